"""The floor: found where feet stand, and the turn that makes it level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

_CAMERA_UP = np.array([0.0, -1.0, 0.0])
_MOST_TILT_DEG = 50.0
_ROUNDS = 10


@dataclass(frozen=True)
class Ground:
    """The floor as a plane, camera's axes (y down), metres.

    Attributes:
        up: (3,) unit normal, away from the floor.
        height_m: of the camera above it: a point X lies on the floor where up @ X = -height_m.
    """

    up: np.ndarray
    height_m: float

    @property
    def levelled(self) -> np.ndarray:
        """(4, 4) from the camera's axes to the same turned level: y down, the floor at y = 0."""
        turn, _ = Rotation.align_vectors(_CAMERA_UP[None], self.up[None])
        matrix = np.eye(4)
        matrix[:3, :3] = turn.as_matrix()
        matrix[1, 3] = -self.height_m
        return matrix


def find_ground(feet_m: np.ndarray, upright: np.ndarray) -> Ground:
    """The plane that feet stand on; where they tell its tilt badly, how people stand tells it.

    Iterated least squares in which far points count less and less (Cauchy's weights).

    Args:
        feet_m: (M, 3) where feet stand, of everybody, camera's axes.
        upright: (3,) the mean direction from the feet to the head of those who stand, which counts
            as much as points half a metre around the middle.
    """
    if not len(feet_m):
        return Ground(_CAMERA_UP, 0.0)
    prior = upright / max(float(np.linalg.norm(upright)), 1e-9) if upright.any() else _CAMERA_UP
    up, middle, weights = prior, np.median(feet_m, axis=0), np.ones(len(feet_m))
    for _ in range(_ROUNDS):
        share = weights / weights.sum()
        middle = share @ feet_m
        spread = ((feet_m - middle) * share[:, None]).T @ (feet_m - middle)  # (3, 3), m^2
        spread += 0.25 * (np.eye(3) - np.outer(prior, prior))
        up = np.linalg.eigh(spread)[1][:, 0]
        up = up if up @ prior > 0 else -up
        off = (feet_m - middle) @ up
        weights = 1 / (1 + (off / max(1.5 * np.median(np.abs(off)), 0.01)) ** 2)
    if up @ _CAMERA_UP < np.cos(np.radians(_MOST_TILT_DEG)):
        up = _CAMERA_UP
    return Ground(up, -float(up @ middle))
