"""When a body is a guess: what can be told without knowing the truth."""

from __future__ import annotations

import numpy as np

from hmr.geometry.crop import PERSON_DIAGONAL_PX
from hmr.prediction.people import Detection

# The crop enlarges a person's diagonal to 150 px: at a third of that it holds a ninth of the pixels
# that the network was trained on.
SMALL_PX = 50.0
# A person's keypoints end at the ankles, about a twentieth of their height above the soles: nearer
# than that to the picture's border feet, or more, are outside.
BORDER_SHARE = 0.05
# Of 12 limb joints: without a third of them a leg, or both forearms, follow from nothing seen.
FEWEST_LIMB_JOINTS = 8
# In the crop, in which a person's diagonal is 150 px: a tenth of a person, a head's length, beside.
LARGE_ERROR_PX = 15.0

_LIMB_JOINTS = slice(0, 12)
SMALL, CUT_OFF, FEW_KEYPOINTS, FAR_OFF = (
    "small", "cut off by the border", "few keypoints", "far from the keypoints",
)  # fmt: skip


def doubts(
    person: Detection, error_px: float, height: int, width: int, scale: float
) -> tuple[str, ...]:
    """The reasons why a body is uncertain; none where nothing speaks against it.

    Args:
        person: where they are.
        error_px: mean distance of the body from their keypoints in pixels of the crop; nan where
            they have none.
        height, width: of the picture, pixels.
        scale: pixels of a 224 px crop for each picture pixel.
    """
    found = {
        SMALL: PERSON_DIAGONAL_PX / scale < SMALL_PX,
        CUT_OFF: _is_cut_off(person.rectangle_px, height, width),
        FEW_KEYPOINTS: _has_few(person),
        FAR_OFF: error_px > LARGE_ERROR_PX,
    }
    return tuple(name for name, applies in found.items() if applies)


def _is_cut_off(rectangle_px: np.ndarray, height: int, width: int) -> bool:
    """Whether the picture's border cuts or touches a person.

    A rectangle that touches all four sides says nothing: it is the whole picture (`--find none`).
    """
    near = BORDER_SHARE * rectangle_px[2:].max()
    low, high = rectangle_px[:2], rectangle_px[:2] + rectangle_px[2:]
    beside = np.concatenate([low < near, high > np.array([width, height]) - near])
    return bool(beside.any() and not beside.all())


def _has_few(person: Detection) -> bool:
    if person.keypoints2d_px is None:
        return False
    return int(np.count_nonzero(person.keypoints2d_px[_LIMB_JOINTS, 2])) < FEWEST_LIMB_JOINTS
