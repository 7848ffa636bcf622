"""Feet that stand: found by their speed, kept from sliding by moving the whole body a little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import binary_opening

from hmr.body.model_file import BodyModel, rest_body
from hmr.motion.clip import Clip, joints_m

FARTHEST_M = 0.15
"""No joint is moved farther than that."""
_ENDS = ([7, 8], [10, 11])  # SMPL's ankles and balls of the feet, left and right
_SLOW_M_PER_S, _SLOWER_THAN_OTHER = 0.35, 0.7
_SHORTEST_S = 0.1
_BACK_WITHIN_S = 0.6
_STIFFNESS = 0.02


def plant(clip: Clip, body: BodyModel) -> Clip:
    """The clip with `contact`, and a path on which feet that stand stay where they are.

    Args:
        clip: smooth.
        body: the arrays of the body model.
    """
    if len(clip) < 3:
        return replace(clip, contact=np.zeros((len(clip), 2), bool))
    feet_m = feet_of(joints_m(clip.rotations, clip.translation_m, rest_body(body, clip.beta)[1]))
    contact = find_contact(feet_m, clip.rate)
    shift = _holding(feet_m, contact, clip.rate)
    return replace(clip, contact=contact, translation_m=clip.translation_m + shift)


def feet_of(joints: np.ndarray) -> np.ndarray:
    """The left and the right foot's middle (N, 2, 3) of SMPL's joints (N, 24, 3)."""
    return joints[:, _ENDS].mean(axis=1)


def find_contact(feet_m: np.ndarray, rate: float) -> np.ndarray:
    """Which feet stand, (N, 2) bool: slow ones, and those much slower than the other.

    Args:
        feet_m: (N, 2, 3), N at least 3.
        rate: frames per second.
    """
    speed = np.linalg.norm(np.gradient(feet_m, axis=0), axis=-1) * rate  # (N, 2)
    stands = speed < np.maximum(_SLOW_M_PER_S, _SLOWER_THAN_OTHER * speed[:, ::-1])
    return binary_opening(stands, np.ones((max(1, round(_SHORTEST_S * rate)), 1)))


def _holding(feet_m: np.ndarray, contact: np.ndarray, rate: float) -> np.ndarray:
    """How far (N, 3) the body has to move in each frame so that standing feet stay.

    Least squares over the shifts c: the sum over standing feet of |moved + c[t + 1] - c[t]|^2, of
    |c|^2 with a small weight, so that the path is followed, and of |c''|^2, so that it is smooth.
    The matrix has five bands.
    """
    both = (contact[1:] & contact[:-1]).astype(np.float64)  # (N - 1, 2)
    stay, moved = both.sum(axis=1), (both[..., None] * np.diff(feet_m, axis=0)).sum(axis=1)
    bands, right = np.zeros((3, len(feet_m))), np.zeros((len(feet_m), 3))
    bands[0] = 1 / (_BACK_WITHIN_S * rate) ** 2
    for row, end in ((slice(1, None), -1), (slice(None, -1), 1)):
        bands[0, row] += stay
        right[row] += end * moved
    bands[1, :-1] -= stay
    for offset, (diagonal, beside) in enumerate(((1, -2), (4, -2), (1, 0))):
        end = len(feet_m) - 2 + offset
        bands[0, offset:end] += diagonal * _STIFFNESS
        bands[1, offset:end] += beside * _STIFFNESS
    bands[2, :-2] += _STIFFNESS
    shift = solveh_banded(bands, right, lower=True)
    length = np.linalg.norm(shift, axis=1, keepdims=True)
    return shift * np.minimum(1, FARTHEST_M / np.maximum(length, 1e-12))
