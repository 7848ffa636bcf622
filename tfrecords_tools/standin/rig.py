"""Fixed, calibrated cameras around a room, and MPI-INF-3DHP's calibration file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrecords_tools.standin.scene import Lens, SceneStyle, View, sample_lens

NUM_CAMERAS = 14
ROOM_CENTRE_M = np.array([0.0, 1.0, 0.0])
CAMERA_DISTANCE_M = 4.0
LENS_SEED = 5
MM_PER_M = 1000.0


@dataclass(frozen=True)
class Rig:
    """The cameras of a sequence."""

    lenses: tuple[Lens, ...]
    views: tuple[View, ...]


def build_rig(place: tuple[int, ...], style: SceneStyle, frame_px: int, seed: int) -> Rig:
    """The rig of the sequence with the random seed `place`.

    Lenses belong to the cameras and are the same in every sequence, as in the real dataset, where
    readers take them from S1/Seq1.
    """
    lens_rng = np.random.default_rng([seed, LENS_SEED])
    lenses = tuple(sample_lens(lens_rng, frame_px, frame_px) for _ in range(NUM_CAMERAS))
    rng = np.random.default_rng(place)
    turns = 360.0 / NUM_CAMERAS
    views = tuple(
        View(rng.uniform(*style.pitch_deg), rng.normal(0.0, 2.0), turns * camera)
        for camera in range(NUM_CAMERAS)
    )
    return Rig(lenses, views)


def write_calibration(path: Path, rig: Rig) -> None:
    """Writes camera.calibration: 7 lines a camera, extrinsics world -> camera in mm."""
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera, (lens, view) in enumerate(zip(rig.lenses, rig.views, strict=True)):
        rotation, intrinsic, extrinsic = view.rotation(), np.eye(4), np.eye(4)
        intrinsic[:3, :3] = lens.intrinsics()
        extrinsic[:3, :3] = rotation.as_matrix()
        looks_along = np.array([0.0, 0.0, CAMERA_DISTANCE_M])
        extrinsic[:3, 3] = MM_PER_M * (looks_along - rotation.apply(ROOM_CENTRE_M))
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            f"  size        {lens.width} {lens.height}",
            "  animated    0",
            f"  intrinsic   {_row(intrinsic)}",
            f"  extrinsic   {_row(extrinsic)}",
            "  radial      0",
        ]
    path.write_text("\n".join(lines) + "\n")


def _row(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in matrix.reshape(-1))
