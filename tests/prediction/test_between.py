"""People of frames between two looks."""

import numpy as np
import pytest

from hmr.prediction.between import between, same_people
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


def test_people_are_matched_by_place_and_keep_the_earlier_labels():
    before = Detections([person(0, "0"), person(300, "1")])
    after = Detections([person(305, "0"), person(4, "1")])
    assert sorted(same_people(before.people, after.people)) == [(0, 1), (1, 0)]
    people = between(before, after, 0.5).people
    assert [p.label for p in people] == ["0", "1"]
    np.testing.assert_allclose([p.rectangle_px[0] for p in people], [2, 302.5])


def test_who_is_in_one_look_only_is_carried_over_to_the_nearer_half():
    before, after = Detections([person(0)]), Detections([person(400)])
    assert same_people(before.people, after.people) == []
    assert [p.rectangle_px[0] for p in between(before, after, 0.4).people] == [0]
    assert [p.rectangle_px[0] for p in between(before, after, 0.6).people] == [400]
    assert between(Detections(), after, 0.4).people == []
    assert len(between(before, Detections(), 0.4).people) == 1


def test_labels_stay_apart():
    before = Detections([person(0, "0")])
    after = Detections([person(400, "0"), person(2, "1")])
    assert [p.label for p in between(before, after, 0.6).people] == ["0", "1"]
