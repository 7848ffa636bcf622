"""People of frames between two looks."""

from dataclasses import replace

import numpy as np
import pytest

from hmr.prediction.between import between, with_ids
from hmr.prediction.people import Detections, from_keypoints


def person(x, label="0", shown=17):
    points = np.column_stack([x + np.linspace(0, 40, 17), np.linspace(20, 140, 17), np.ones(17)])
    points[shown:, 2] = 0
    return from_keypoints(points, label=label)


def test_boxes_and_keypoints_lie_linearly_between():
    first, second = Detections([person(100)]), Detections([person(130)])
    (middle,) = between(first, second, 0.2).people
    exact = person(106)
    np.testing.assert_allclose(middle.rectangle_px, exact.rectangle_px)
    np.testing.assert_allclose(middle.box.center_px, exact.box.center_px)
    assert middle.box.scale == pytest.approx(exact.box.scale)
    np.testing.assert_allclose(middle.keypoints2d_px, exact.keypoints2d_px)


def test_a_keypoint_that_one_look_lacks_does_not_count():
    (middle,) = between(Detections([person(0)]), Detections([person(9, shown=14)]), 0.5).people
    assert (middle.keypoints2d_px[:, 2] > 0).sum() == 14


def looks(*people, every_s=0.2, ahead=False):
    image = np.zeros((200, 500, 3), np.uint8)
    given = [(number * every_s, Detections(each), image) for number, each in enumerate(people)]
    return [found for _, found in with_ids(given, ahead)]


def test_people_are_matched_by_place_and_keep_the_earlier_labels():
    before, after = looks([person(0, "0"), person(300, "1")], [person(305, "0"), person(4, "1")])
    assert [p.label for p in after.people] == ["1", "0"]
    people = between(before, after, 0.5).people
    assert [p.label for p in people] == ["0", "1"]
    np.testing.assert_allclose([p.rectangle_px[0] for p in people], [2, 302.5])


def test_who_is_in_one_look_only_is_carried_over_to_the_nearer_half():
    before, after = looks([person(0)], [person(400)])
    assert [p.label for p in after.people] == ["1"]
    assert [p.rectangle_px[0] for p in between(before, after, 0.4).people] == [0]
    assert [p.rectangle_px[0] for p in between(before, after, 0.6).people] == [400]
    assert between(Detections(), after, 0.4).people == []
    assert len(between(before, Detections(), 0.4).people) == 1


def test_labels_stay_apart():
    before, after = looks([person(0, "0")], [person(400, "0"), person(2, "1")])
    assert [p.label for p in between(before, after, 0.6).people] == ["0", "1"]


def test_ids_of_the_source_are_kept():
    given = [replace(person(300), label="7", identified=True), person(0)]
    found = looks(given, given[::-1])
    assert [[p.label for p in each.people] for each in found] == [["7", "0"], ["0", "7"]]


def test_whom_up_to_two_looks_missed_is_put_in_where_looks_may_wait():
    seen = [[person(x)] if x not in (20, 30, 60, 70, 80) else [] for x in range(0, 101, 10)]
    found = looks(*seen, ahead=True)
    places = [[p.rectangle_px[0] for p in each.people] for each in found]
    np.testing.assert_allclose(np.concatenate(places), [0, 10, 20, 30, 40, 50, 90, 100])
    assert [len(each.people) for each in looks(*seen)] == [len(each) for each in seen]


def test_an_exchange_of_ids_is_undone_in_looks_that_waited():
    red, blue = (np.full((200, 500, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 0, 255)))
    both = np.where(np.arange(500)[:, None] < 250, red, blue)  # red on the left
    given = [(0.2 * look, Detections([person(100), person(300)]), both) for look in range(12)]
    # They change places while nobody looks; each stands where the other one was.
    given += [
        (0.2 * look, Detections([person(100), person(300)]), both[:, ::-1])
        for look in range(13, 25)
    ]
    labels = [[p.label for p in each.people] for _, each in with_ids(given, ahead=True)]
    assert labels == [["0", "1"]] * 12 + [["1", "0"]] * 12
