"""Measures of people in motion, against cases worked by hand."""

import numpy as np
import pytest

from hmr.errors import UserError
from hmr.evaluation.video_metrics import acceleration_errors, idf1, pairs_above, slides
from hmr.studies.videos import find_videos


def test_idf1_counts_the_frames_of_the_best_pairing():
    # A is id 0 for 6 of 10 frames and id 1 for 4; B is id 1 for 8 frames, and missed in 2.
    right, frames = idf1(np.array([[6, 4], [0, 8]]), np.array([10, 10]), np.array([6, 12]))
    assert (right, frames) == (2 * 14, 38)
    assert idf1(np.array([[5]]), np.array([5]), np.array([5])) == (10, 10)


def test_pairs_are_the_best_as_a_whole_and_none_is_below():
    similar = np.array([[0.9, 0.8], [0.85, 0.1]])
    assert pairs_above(similar, 0.5) == [(0, 1), (1, 0)]
    assert pairs_above(similar, 0.82) == [(0, 0)] or pairs_above(similar, 0.82) == [(1, 0)]
    assert pairs_above(np.zeros((0, 2)), 0.5) == []


def test_acceleration_error_is_the_second_difference():
    truth = np.zeros((6, 2, 3))
    predicted = truth.copy()
    predicted[:, :, 0] = (0.001 * np.arange(6) ** 2)[:, None]
    np.testing.assert_allclose(acceleration_errors(predicted, truth, np.ones(6, bool)), 2)
    assert len(acceleration_errors(predicted, truth, np.arange(6) != 2)) == 1


def test_slides_are_millimetres_of_feet_that_stand_in_both_frames():
    feet = np.zeros((4, 2, 3))
    feet[:, 0, 0] = [0, 0.003, 0.003, 1]
    contact = np.array([[1, 0], [1, 0], [1, 1], [0, 1]], bool)
    np.testing.assert_allclose(slides(feet, contact), [3, 0, 0])


def test_missing_videos_are_told_with_the_command_that_makes_them(tmp_path):
    with pytest.raises(UserError, match="--videos 5"):
        find_videos(tmp_path)
