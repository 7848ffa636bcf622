"""One person's motion through a video, and where it puts their joints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hmr.body.joints import SMPL_PARENTS

_BLOCK = 1024
"""So many frames are posed at a time, which bounds memory."""


@dataclass(frozen=True)
class Clip:
    """One person in N frames that follow each other.

    Attributes:
        label: their id.
        first_frame: of the video, counted from 0.
        rate: frames per second.
        seen: (N,) bool; in the other frames the motion is interpolated.
        rotations: (N, 24, 3, 3) local rotations; the root's in the camera's axes (y down).
        beta: (10,) shape, the same in all frames.
        translation_m: (N, 3) of the body's origin, camera's axes.
        contact: (N, 2) bool, whether the left and the right foot stands.
    """

    label: str
    first_frame: int
    rate: float
    seen: np.ndarray
    rotations: np.ndarray
    beta: np.ndarray
    translation_m: np.ndarray
    contact: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), bool))

    def __len__(self) -> int:
        return len(self.seen)


def by_joint(
    values: np.ndarray, convert: Callable, *shape: int, kind: npt.DTypeLike = np.float64
) -> np.ndarray:
    """(N, 24, ...) -> (N, 24, *shape) of the type `kind`.

    Args:
        convert: takes what one joint has in all frames, (N, ...), and returns (N, *shape). Being
            called for each joint, it needs little memory for long clips.
    """
    converted = np.empty((len(values), len(SMPL_PARENTS), *shape), kind)
    for joint in range(len(SMPL_PARENTS)):
        converted[:, joint] = convert(values[:, joint])
    return converted


def joints_m(rotations: np.ndarray, translation_m: np.ndarray, rest_m: np.ndarray) -> np.ndarray:
    """SMPL's joints (N, 24, 3) of local rotations (N, 24, 3, 3) (SMPL equation 4).

    Args:
        translation_m: (N, 3) of the body's origin.
        rest_m: (24, 3) joints of the shaped body before posing.
    """
    places = np.empty((len(rotations), len(SMPL_PARENTS), 3))
    for start in range(0, len(rotations), _BLOCK):
        block = slice(start, start + _BLOCK)
        world = np.array(rotations[block], np.float64)
        places[block, 0] = rest_m[0] + translation_m[block]
        for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
            bone = rest_m[joint] - rest_m[parent]
            places[block, joint] = places[block, parent] + world[:, parent] @ bone
            world[:, joint] = world[:, parent] @ world[:, joint]
    return places
