"""Motion as Biovision hierarchy (.bvh) with root motion."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hmr.body.joints import SMPL_JOINTS, SMPL_PARENTS
from hmr.files.whole import whole_file
from hmr.motion.clip import by_joint
from hmr.prediction.result import Body
from hmr.prediction.writers.obj import Y_UP, to_y_up

# R = Rz Rx Ry, the order that most programs write.
_EULER_ORDER = "ZXY"
_ROTATION_CHANNELS = "Zrotation Xrotation Yrotation"
_ROOT_CHANNELS = "Xposition Yposition Zposition " + _ROTATION_CHANNELS


class MotionFrame(NamedTuple):
    """The part of a body that files of joints need.

    rotations (24, 3, 3), local; beta (10,); translation_m (3,), of the body's origin.
    """

    rotations: np.ndarray
    beta: np.ndarray
    translation_m: np.ndarray

    @classmethod
    def of(cls, person: Body) -> MotionFrame:
        """The pose of a body, placed at the distance that an ordinary lens gives."""
        return cls(person.rotations, person.beta, person.translation_room_m)


def write_bvh(
    path: str | os.PathLike,
    rotations: np.ndarray,
    root_positions_m: np.ndarray,
    rest_joints_m: np.ndarray,
    frames_per_second: float,
) -> None:
    """Writes a motion: y up, metres, degrees, channels Z X Y.

    Args:
        path: of the file, written atomically.
        rotations: (N, 24, 3, 3) local rotations, the root's in the camera's axes.
        root_positions_m: (N, 3) of the pelvis joint, camera's axes.
        rest_joints_m: (24, 3) joints of the shaped body before posing, SMPL's axes.
        frames_per_second: of the motion.
    """
    from scipy.spatial.transform import Rotation  # takes a quarter of a second to import

    def angles_of(matrices: np.ndarray) -> np.ndarray:
        angles = Rotation.from_matrix(matrices).as_euler(_EULER_ORDER, degrees=True)
        # Without jumps of whole turns between frames, so that programs can interpolate.
        return np.unwrap(angles, axis=0, period=360.0)

    rotations, count = np.array(rotations), len(rotations)
    rotations[:, 0] = Y_UP @ rotations[:, 0]
    angles = by_joint(rotations, angles_of, 3)[:, _depth_first()].reshape(count, 72)
    lines = ["HIERARCHY", *_joint_lines(0, np.asarray(rest_joints_m, np.float64), "")]
    lines += ["MOTION", f"Frames: {count}", f"Frame Time: {1 / frames_per_second:.8f}"]
    rows = np.hstack([to_y_up(root_positions_m).reshape(count, 3), angles])
    with whole_file(path) as partial, open(partial, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
        np.savetxt(file, rows, "%.6f")


def _children(joint: int) -> list[int]:
    return [child for child, parent in enumerate(SMPL_PARENTS) if parent == joint]


def _depth_first(joint: int = 0) -> list[int]:
    """Joint indices in the order in which the hierarchy names them."""
    return [joint] + [below for child in _children(joint) for below in _depth_first(child)]


def _joint_lines(joint: int, rest: np.ndarray, indent: str) -> Iterator[str]:
    is_root = SMPL_PARENTS[joint] < 0
    offset = np.zeros(3) if is_root else rest[joint] - rest[SMPL_PARENTS[joint]]
    channels = f"6 {_ROOT_CHANNELS}" if is_root else f"3 {_ROTATION_CHANNELS}"
    yield f"{indent}{'ROOT' if is_root else 'JOINT'} {SMPL_JOINTS[joint]}"
    yield f"{indent}{{"
    yield f"{indent}  OFFSET {_numbers(offset)}"
    yield f"{indent}  CHANNELS {channels}"
    for child in _children(joint):
        yield from _joint_lines(child, rest, indent + "  ")
    if not _children(joint):
        # The format requires a tip for each last bone: half the length of the bone before it.
        yield f"{indent}  End Site"
        yield f"{indent}  {{"
        yield f"{indent}    OFFSET {_numbers(offset / 2)}"
        yield f"{indent}  }}"
    yield f"{indent}}}"


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values)
