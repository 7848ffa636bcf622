"""Doubts: each threshold from both sides."""

import numpy as np
import pytest

from hmr.body.joints import COCOPLUS
from hmr.prediction.doubts import (
    BORDER_SHARE,
    CUT_OFF,
    FAR_OFF,
    FEW_KEYPOINTS,
    FEWEST_LIMB_JOINTS,
    LARGE_ERROR_PX,
    SMALL,
    SMALL_PX,
    doubts,
)
from hmr.prediction.people import WholePicture, from_rectangle

HEIGHT, WIDTH = 400, 600


def person(rectangle=(200, 100, 80, 200), known=None):
    found = from_rectangle(rectangle)
    if known is None:
        return found
    points = np.ones((len(COCOPLUS), 3))
    points[known:12] = 0
    return type(found)(found.box, found.rectangle_px, keypoints2d_px=points)


def reasons(who, error_px=np.nan, scale=1.0):
    return doubts(who, error_px, HEIGHT, WIDTH, scale)


def test_nothing_speaks_against_a_large_person_in_the_middle():
    assert reasons(person(known=12), error_px=LARGE_ERROR_PX) == ()
    assert reasons(person()) == ()


@pytest.mark.parametrize(("diagonal_px", "expected"), [(49, (SMALL,)), (51, ())])
def test_small(diagonal_px, expected):
    assert SMALL_PX == 50
    assert reasons(person(), scale=150 / diagonal_px) == expected


@pytest.mark.parametrize(
    ("rectangle", "expected"),
    [
        ((200, 100, 80, 200), ()),
        ((9, 100, 80, 200), (CUT_OFF,)),
        ((11, 100, 80, 200), ()),
        ((200, 191, 80, 200), (CUT_OFF,)),
        ((-20, -20, 80, 200), (CUT_OFF,)),
        ((530, 100, 80, 200), (CUT_OFF,)),
    ],
)
def test_cut_off(rectangle, expected):
    assert BORDER_SHARE * 200 == 10
    assert reasons(person(rectangle)) == expected


def test_the_whole_picture_says_nothing_about_the_border():
    (whole,) = WholePicture().find("", np.zeros((HEIGHT, WIDTH, 3), np.uint8)).people
    assert reasons(whole) == ()


def test_few_keypoints():
    assert reasons(person(known=FEWEST_LIMB_JOINTS)) == ()
    assert reasons(person(known=FEWEST_LIMB_JOINTS - 1)) == (FEW_KEYPOINTS,)


def test_far_off_and_several_reasons():
    assert reasons(person(), error_px=LARGE_ERROR_PX + 0.1) == (FAR_OFF,)
    assert reasons(person((0, 0, 9, 20), known=0), 99, 10.0) == (
        SMALL, CUT_OFF, FEW_KEYPOINTS, FAR_OFF,
    )  # fmt: skip
