"""Smooth motion: without lag when the whole video is known, with little lag from a camera.

The network looks at each frame alone, so its bodies tremble. Off-line, a Butterworth low-pass runs
forwards and backwards over the rotations (as quaternions, whose sign is chosen so that there are no
jumps at half turns) and over the path; one shape, the median, serves the whole clip.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.signal import butter, sosfiltfilt
from scipy.spatial.transform import Rotation, Slerp

from hmr.motion.clip import Clip, by_joint

_ORDER = 2
_MOST_OF_RATE = 0.45
_DEPTH_SLOWER = 8.0
"""Depth, which a single picture tells worst, is smoothed with so much lower a cutoff."""


def cutoff_hz(strength: float) -> float:
    """The frequency above which motion is taken for noise: 10 Hz at 0+, 3.2 at 0.5, 1 at 1."""
    return 10 ** (1 - strength)


def smooth(clip: Clip, strength: float) -> Clip:
    """The clip without trembling.

    Args:
        clip: as the network sees it; frames that are not `seen` count for nothing.
        strength: from 0 (only frames that are missing are filled) to 1.
    """
    cutoff = min(cutoff_hz(strength), _MOST_OF_RATE * clip.rate)
    calms = strength > 0 and len(clip) > 2

    def calm(matrices: np.ndarray) -> np.ndarray:
        quaternions = _filled_rotations(matrices, clip.seen)  # (N, 3, 3) -> (N, 4)
        calmed = low_pass(quaternions, cutoff, clip.rate) if calms else quaternions
        return Rotation.from_quat(calmed).as_matrix()  # of any length but 0

    path = _filled_path(clip)  # (N, 3)
    if calms:
        across, depth = path[:, :2], path[:, 2:]
        slow = cutoff / _DEPTH_SLOWER
        path = np.hstack([low_pass(across, cutoff, clip.rate), low_pass(depth, slow, clip.rate)])
    rotations = by_joint(clip.rotations, calm, 3, 3, kind=clip.rotations.dtype)
    return replace(clip, rotations=rotations, translation_m=_from_path(path))


def low_pass(values: np.ndarray, cutoff: float, rate: float) -> np.ndarray:
    """Values (N, ...) without what changes faster than `cutoff` Hz; nothing is delayed."""
    sections = butter(_ORDER, cutoff, fs=rate, output="sos")
    padding = min(int(3 * rate / cutoff), len(values) - 1)
    return sosfiltfilt(sections, values, axis=0, padlen=padding)


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """Quaternions (N, ..., 4) with the signs that keep each next to the one before it."""
    dots = (quaternions[1:] * quaternions[:-1]).sum(axis=-1, keepdims=True)
    signs = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    return np.concatenate([quaternions[:1], quaternions[1:] * signs])


def _filled_rotations(matrices: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """A joint's quaternions (N, 4), continuous; between seen frames by the shortest turn."""
    known = np.flatnonzero(seen)
    turns = Rotation.from_matrix(matrices[known])
    if len(known) == 1:
        return np.repeat(turns.as_quat(), len(seen), axis=0)
    if len(known) < len(seen):
        turns = Slerp(known, turns)(np.clip(np.arange(len(seen)), known[0], known[-1]))
    return continuous(turns.as_quat())


def _filled_path(clip: Clip) -> np.ndarray:
    """The path (N, 3) as x / z, y / z, log z: what a camera sees, and how far away that is."""
    known = np.flatnonzero(clip.seen)
    seen = np.asarray(clip.translation_m, np.float64)[known]
    path = np.column_stack([seen[:, :2] / seen[:, 2:], np.log(seen[:, 2])])
    times = np.arange(len(clip))
    return np.column_stack([np.interp(times, known, column) for column in path.T])


def _from_path(path: np.ndarray) -> np.ndarray:
    depth = np.exp(path[:, 2:])
    return np.concatenate([path[:, :2] * depth, depth], axis=1)
