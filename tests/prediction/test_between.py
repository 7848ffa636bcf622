"""People of frames between two looks."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from hmr.motion.track import Tracker
from hmr.prediction.between import between, remember, with_ids
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


def look(tracker, people, seconds=0.0):
    return with_ids(tracker, Detections(people), np.zeros((200, 500, 3), np.uint8), seconds)


def test_people_are_matched_by_place_and_keep_the_earlier_labels():
    tracker = Tracker()
    before = look(tracker, [person(0, "0"), person(300, "1")])
    after = look(tracker, [person(305, "0"), person(4, "1")], 0.2)
    assert [p.label for p in after.people] == ["1", "0"]
    people = between(before, after, 0.5).people
    assert [p.label for p in people] == ["0", "1"]
    np.testing.assert_allclose([p.rectangle_px[0] for p in people], [2, 302.5])


def test_who_is_in_one_look_only_is_carried_over_to_the_nearer_half():
    tracker = Tracker()
    before, after = look(tracker, [person(0)]), look(tracker, [person(400)], 0.2)
    assert [p.label for p in after.people] == ["1"]
    assert [p.rectangle_px[0] for p in between(before, after, 0.4).people] == [0]
    assert [p.rectangle_px[0] for p in between(before, after, 0.6).people] == [400]
    assert between(Detections(), after, 0.4).people == []
    assert len(between(before, Detections(), 0.4).people) == 1


def test_labels_stay_apart():
    tracker = Tracker()
    before = look(tracker, [person(0, "0")])
    after = look(tracker, [person(400, "0"), person(2, "1")], 0.2)
    assert [p.label for p in between(before, after, 0.6).people] == ["0", "1"]


def test_ids_of_the_source_are_kept():
    tracker = Tracker()
    given = [replace(person(300), label="7", identified=True), person(0)]
    assert [p.label for p in look(tracker, given).people] == ["7", "0"]
    assert [p.label for p in look(tracker, given[::-1], 0.2).people] == ["0", "7"]


def test_who_was_named_by_an_earlier_run_keeps_that_name():
    tracker, image = Tracker(), np.zeros((200, 500, 3), np.uint8)
    body = SimpleNamespace(
        label="5", rectangle_px=person(0).rectangle_px, source_keypoints_px=person(0).keypoints2d_px
    )
    remember(tracker, [body], image, 0.0)
    assert [p.label for p in look(tracker, [person(300), person(5)], 0.2).people] == ["0", "5"]
