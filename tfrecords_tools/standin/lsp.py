"""Stand-in pictures in the layout of Leeds Sports Pose: images/im0001.jpg ... and joints.mat.

As in the real dataset, the first half is for training; the second shows held-out people in held-out
poses.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hmr.body.joints import LSP14
from tfrecords_tools.common.matlab import save_mat
from tfrecords_tools.standin.picture import GroundTruth
from tfrecords_tools.standin.scene import SceneStyle, sample_lens
from tfrecords_tools.standin.shots import Shot, portrait, sample_cast, sample_view
from tfrecords_tools.standin.studio import Studio

DATASET_SEED = 1
VISIBLE, OCCLUDED = 0, 1


def write_lsp(root: Path, count: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    """Writes `count` pictures, two at least, and their joints.mat.

    Its key `joints` holds (3, 14, count) float64: x, y in pixels and a flag, 0 = visible,
    1 = occluded or outside.
    """
    (root / "images").mkdir(parents=True)
    half = count // 2
    shots = _plan(root, 0, half, style, seed) + _plan(root, half, count, style, seed)
    truths = studio.render(shots, "lsp")
    joints = np.stack([_joints(truth) for truth in truths], axis=-1)
    save_mat(root / "joints.mat", {"joints": joints})


def _plan(root: Path, start: int, stop: int, style: SceneStyle, seed: int) -> list[Shot]:
    rng = np.random.default_rng([seed, DATASET_SEED, start])
    cast = sample_cast(rng, stop - start, held_out=start > 0, style=style)
    shots = []
    for number in range(start, stop):
        # The real pictures were scaled to people of about 150 px and come in many sizes.
        width, height = (int(side) for side in rng.integers(180, 300, size=2))
        lens, view = sample_lens(rng, width, height, style), sample_view(rng, style)
        path = root / "images" / f"im{number + 1:04d}.jpg"
        shot_seed = (seed, DATASET_SEED, number)
        shots.append(portrait(rng, path, shot_seed, cast, number - start, lens, view, style))
    return shots


def _joints(truth: GroundTruth) -> np.ndarray:
    """x, y, flag (3, 14) of the only person; LSP's joints are the first 14 of cocoplus."""
    count = len(LSP14)
    flag = np.where(truth.visible[0, :count], VISIBLE, OCCLUDED)
    return np.concatenate([truth.joints_px[0, :count].T, flag[None]]).astype(np.float64)
