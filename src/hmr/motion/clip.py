"""One person's motion through a video, and where it puts their joints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hmr.body.joints import SMPL_PARENTS


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


def turned(rotations: np.ndarray) -> np.ndarray:
    """The joints' rotations in the root's frame of reference, (N, 24, 3, 3), of local ones."""
    world = np.array(rotations, np.float64)
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        world[:, joint] = world[:, parent] @ world[:, joint]
    return world


def joints_m(rotations: np.ndarray, translation_m: np.ndarray, rest_m: np.ndarray) -> np.ndarray:
    """SMPL's joints (N, 24, 3) of local rotations (N, 24, 3, 3) (SMPL equation 4).

    Args:
        translation_m: (N, 3) of the body's origin.
        rest_m: (24, 3) joints of the shaped body before posing.
    """
    world = turned(rotations)
    places = np.empty((len(world), len(SMPL_PARENTS), 3))
    places[:, 0] = rest_m[0] + translation_m
    for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
        bone = rest_m[joint] - rest_m[parent]
        places[:, joint] = places[:, parent] + world[:, parent] @ bone
    return places
