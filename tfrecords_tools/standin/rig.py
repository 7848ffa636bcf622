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
    """The cameras of a sequence, which all look at the middle of the room from 4 m away."""

    lenses: tuple[Lens, ...]
    views: tuple[View, ...]

    def extrinsic(self, camera: int) -> np.ndarray:
        """(4, 4) world -> camera, millimetres."""
        rotation = self.views[camera].rotation()
        matrix = np.eye(4)
        matrix[:3, :3] = rotation.as_matrix()
        ahead = np.array([0.0, 0.0, CAMERA_DISTANCE_M])
        matrix[:3, 3] = MM_PER_M * (ahead - rotation.apply(ROOM_CENTRE_M))
        return matrix

    def carry(self, points_mm: np.ndarray, source: int, target: int) -> np.ndarray:
        """Points (..., 3) of one camera's frame, in millimetres, in that of another."""
        matrix = self.extrinsic(target) @ np.linalg.inv(self.extrinsic(source))
        return points_mm @ matrix[:3, :3].T + matrix[:3, 3]


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
    for camera, lens in enumerate(rig.lenses):
        intrinsic = np.eye(4)
        intrinsic[:3, :3] = lens.intrinsics()
        lines += [
            f"name          {camera}",
            "  sensor      10 10",
            f"  size        {lens.width} {lens.height}",
            "  animated    0",
            f"  intrinsic   {_row(intrinsic)}",
            f"  extrinsic   {_row(rig.extrinsic(camera))}",
            "  radial      0",
        ]
    path.write_text("\n".join(lines) + "\n")


def _row(matrix: np.ndarray) -> str:
    return " ".join(f"{value:.9g}" for value in matrix.reshape(-1))
