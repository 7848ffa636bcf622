"""Ids of people in a video."""

import numpy as np
import pytest

from hmr.body.joints import COCOPLUS_FLIP
from hmr.motion.track import Tracker, clothes_colour, iou

SHAPE = np.random.default_rng(0).uniform((-20, -60), (20, 60), (19, 2))
RED, BLUE = np.array([0.9, 0.1, 0.1] * 2), np.array([0.1, 0.1, 0.9] * 2)


def look(tracker, seconds, places, given=(), colour=()):
    points = [np.column_stack([SHAPE + place, np.ones(19)]) for place in places]
    boxes = [[*(SHAPE + place).min(0), *np.ptp(SHAPE, axis=0)] for place in places]
    return tracker.assign(seconds, boxes, points, given, colour)


def test_people_keep_their_ids_where_the_order_changes():
    tracker = Tracker()
    assert look(tracker, 0.0, [(100, 100), (300, 100)]) == ["0", "1"]
    assert look(tracker, 0.2, [(305, 100), (96, 100)]) == ["1", "0"]


def test_people_who_cross_at_their_pace_do_not_swap():
    tracker = Tracker()
    for frame in range(21):
        x = 20.0 * frame
        labels = look(tracker, frame / 10, [(x, 100), (400 - x, 130)])
        assert labels == ["0", "1"]


def test_somebody_hidden_for_less_than_a_second_comes_back_as_the_same():
    tracker = Tracker()
    for frame in range(5):
        look(tracker, frame / 5, [(100 + 10 * frame, 100)])
    assert look(tracker, 1.7, [(185, 100)]) == ["0"]


def test_after_more_than_two_seconds_only_clothes_tell():
    tracker = Tracker()
    look(tracker, 0.0, [(100, 100), (400, 100)], colour=[RED, BLUE])
    assert look(tracker, 5.0, [(700, 100), (300, 100)], colour=[BLUE, RED]) == ["1", "0"]
    assert look(tracker, 8.5, [(100, 100)]) == ["2"]


def test_ids_are_exchanged_back_once_clothes_have_told():
    tracker, places = Tracker(), [(100, 100), (200, 100)]
    before = [look(tracker, frame / 5, places, colour=[RED, BLUE]) for frame in range(15)]
    after = [look(tracker, frame / 5, places, colour=[BLUE, RED]) for frame in range(15, 17)]
    assert after == [["0", "1"]] * 2  # by their places
    assert look(tracker, 3.4, places, colour=[BLUE, RED]) == ["1", "0"]
    assert before == [["0", "1"]] * 15 and after == [["1", "0"]] * 2
    assert look(tracker, 3.6, places[:1], colour=[BLUE]) == ["1"]


@pytest.mark.parametrize("given", [["0", "1"], ["0", None]])
def test_given_ids_are_not_exchanged(given):
    tracker, places = Tracker(), [(100, 100), (200, 100)]
    for frame in range(20):
        worn = [RED, BLUE] if frame < 15 else [BLUE, RED]
        assert look(tracker, frame / 5, places, given, worn)[0] == "0"


def test_one_look_at_somebody_elses_clothes_does_not_count_much():
    tracker = Tracker()
    for frame in range(20):
        look(tracker, frame / 5, [(100, 100)], colour=[RED])
    look(tracker, 4.0, [(100, 100)], colour=[BLUE])
    assert look(tracker, 9.0, [(500, 100)], colour=[RED]) == ["0"]


def test_the_same_clothes_in_brighter_light():
    brown, grey = np.array([0.5, 0.35, 0.2] * 2), np.array([0.35, 0.4, 0.4] * 2)
    tracker = Tracker()
    look(tracker, 0.0, [(100, 100), (400, 100)], colour=[brown, grey])
    assert look(tracker, 5.0, [(700, 100)], colour=[brown + 0.15]) == ["0"]


@pytest.mark.parametrize("who", [0, 1])
def test_a_finder_may_exchange_left_and_right(who):
    shapes = np.random.default_rng(1).uniform((100, 100), (140, 220), (2, 19, 2))
    points = [np.column_stack([shape, np.ones(19)]) for shape in shapes]
    box, tracker = [100, 100, 40, 120], Tracker()
    assert tracker.assign(0.0, [box, box], points) == ["0", "1"]
    assert tracker.assign(0.2, [box], [points[who][COCOPLUS_FLIP]]) == [str(who)]


def test_given_ids_are_kept_and_not_given_to_others():
    tracker = Tracker()
    assert look(tracker, 0.0, [(100, 100), (300, 100)], given=["7", None]) == ["7", "0"]
    assert look(tracker, 0.1, [(300, 100), (100, 100)], given=["0", "7"]) == ["0", "7"]
    assert look(tracker, 0.2, [(600, 100)], given=[None]) == ["1"]


def test_people_without_keypoints_are_told_by_their_boxes():
    tracker = Tracker()
    assert tracker.assign(0.0, [[0, 0, 50, 100], [200, 0, 50, 100]], [None, None]) == ["0", "1"]
    assert tracker.assign(0.1, [[205, 0, 50, 100], [5, 0, 50, 100]], [None, None]) == ["1", "0"]
    assert tracker.assign(0.2, [], []) == []


def test_clothes_are_the_colours_between_shoulders_hips_and_knees():
    image = np.zeros((200, 100, 3), np.uint8)
    image[:100], image[100:] = (255, 0, 0), (0, 0, 255)
    points = np.zeros((19, 3))
    for joint, place in {
        8: (30, 30), 9: (70, 30), 2: (30, 100), 3: (70, 100), 1: (30, 180), 4: (70, 180)
    }.items():  # fmt: skip
        points[joint] = (*place, 1)
    np.testing.assert_allclose(clothes_colour(image, points), [1, 0, 0, 0, 0, 1])
    points[1, 2] = 0
    assert np.isnan(clothes_colour(image, points)[3:]).all()
    assert np.isnan(clothes_colour(image, None)).all()


def test_iou():
    box = np.array([0.0, 0, 10, 10])
    others = np.array([[0.0, 0, 10, 10], [5, 0, 10, 10], [20, 0, 10, 10]])
    assert iou(box, others) == pytest.approx([1, 1 / 3, 0])
