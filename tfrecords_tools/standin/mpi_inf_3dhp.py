"""Stand-in pictures in the layout of MPI-INF-3DHP: S1..S8/Seq1,2 and the test set TS1..TS6.

A "subject" is a cast of up to 64 characters. Each picture shows one of them in a pose of its own,
so that a few thousand pictures hold a few thousand poses. The cameras of a sequence are fixed and
calibrated, but do not film the same moments. S8, the validation subject, and the test set show
characters and combinations of key poses that S1 to S7 never show.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hmr.body.joints import COCOPLUS, MPI_INF_3DHP17, MPI_INF_3DHP28, joint_map
from tfrecords_tools.common.matlab import save_mat
from tfrecords_tools.standin.picture import ALL_JOINTS, GroundTruth
from tfrecords_tools.standin.scene import (
    Lens,
    SceneStyle,
    View,
    sample_lens,
    sample_roll,
    sample_tilt,
)
from tfrecords_tools.standin.shots import Shot, portrait, sample_cast
from tfrecords_tools.standin.studio import Studio

DATASET_SEED, TEST_SEED = 3, 4
SUBJECTS, SEQUENCES = range(1, 9), (1, 2)
HELD_OUT_SUBJECT = 8
FILMED_CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
"""The cameras that HMR and VNect use. The other six have annotations only, those of the people whom
camera 0 films."""
TEST_SUBJECTS = range(1, 7)
TEST_ROOT = Path("mpi_inf_3dhp_test_set", "mpi_inf_3dhp_test_set")
TEST_ACTIVITIES = 7
CELLS = ("annot2", "annot3", "univ_annot3")
UNIVERSAL_LEG_MM = 800.0
MM_PER_M = 1000.0
NUM_CAMERAS = 14
ROOM_CENTRE_M = np.array([0.0, 1.0, 0.0])
CAMERA_DISTANCE_M = 4.0
LENS_SEED = 5

DERIVED_JOINTS: dict[str, dict[str, float]] = {
    "spine4": {"smpl_spine3": 0.5, "smpl_neck": 0.5},
    "spine2": {"smpl_spine2": 1.0},
    "spine3": {"smpl_spine3": 1.0},
    "spine": {"smpl_spine1": 1.0},
    "pelvis": {"smpl_pelvis": 1.0},
    "head": {"smpl_head": 1.0},
    "left_clavicle": {"smpl_left_collar": 1.0},
    "right_clavicle": {"smpl_right_collar": 1.0},
    "left_hand": {"smpl_left_hand": 1.0},
    "right_hand": {"smpl_right_hand": 1.0},
    "left_foot": {"smpl_left_foot": 1.0},
    "right_foot": {"smpl_right_foot": 1.0},
    "left_toe": {"smpl_left_foot": 1.5, "smpl_left_ankle": -0.5},
    "right_toe": {"smpl_right_foot": 1.5, "smpl_right_ankle": -0.5},
}
"""The dataset's joints that cocoplus lacks, as weights of annotated joints."""


@dataclass(frozen=True)
class CameraRig:
    """The cameras of a sequence, which all look at the middle of the room from 4 m away."""

    lenses: tuple[Lens, ...]
    views: tuple[View, ...]

    def extrinsic(self, camera: int) -> np.ndarray:
        """Matrix (4, 4) from the world to the camera frame, millimetres."""
        rotation = self.views[camera].rotation()
        matrix = np.eye(4)
        matrix[:3, :3] = rotation.as_matrix()
        ahead = np.array([0.0, 0.0, CAMERA_DISTANCE_M])
        matrix[:3, 3] = MM_PER_M * (ahead - rotation.apply(ROOM_CENTRE_M))
        return matrix

    def carry(self, points_mm: np.ndarray, source: int, target: int) -> np.ndarray:
        """Points (..., 3), mm, from the frame of camera `source` to that of camera `target`."""
        matrix = self.extrinsic(target) @ np.linalg.inv(self.extrinsic(source))
        return points_mm @ matrix[:3, :3].T + matrix[:3, 3]


def build_rig(rig_seed: tuple[int, ...], style: SceneStyle, frame_px: int, seed: int) -> CameraRig:
    """The rig of one sequence.

    A camera has the same lens in every sequence, as in the real dataset, where some readers take
    all lenses from S1/Seq1.

    Args:
        rig_seed: decides how the cameras are held.
        seed: of the whole dataset; decides the lenses.
    """
    lens_rng = np.random.default_rng([seed, LENS_SEED])
    lenses = tuple(sample_lens(lens_rng, frame_px, frame_px, style) for _ in range(NUM_CAMERAS))
    rng = np.random.default_rng(rig_seed)
    turns = 360.0 / NUM_CAMERAS
    views = tuple(
        View(sample_tilt(rng, style), sample_roll(rng, style, 2.0), turns * camera)
        for camera in range(NUM_CAMERAS)
    )
    return CameraRig(lenses, views)


def write_calibration(path: Path, rig: CameraRig) -> None:
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


def joint_matrix() -> np.ndarray:
    """Weights (28, 43) that give the dataset's joints from `ALL_JOINTS`."""
    matrix = np.zeros((len(MPI_INF_3DHP28), len(ALL_JOINTS)))
    for row, name in enumerate(MPI_INF_3DHP28):
        weights = {name: 1.0} if name in COCOPLUS else DERIVED_JOINTS[name]
        for source, weight in weights.items():
            matrix[row, ALL_JOINTS.index(source)] = weight
    return matrix


def write_mpi_inf_3dhp(
    root: Path, count: int, style: SceneStyle, frame_px: int, seed: int, studio: Studio
) -> None:
    """Writes at least `count` pictures, equally many for each camera that films in a sequence.

    Args:
        frame_px: width and height of the pictures, as the calibration files say.
    """
    style = style.for_frame(frame_px)
    per_camera = -(-count // (len(SUBJECTS) * len(SEQUENCES) * len(FILMED_CAMERAS)))
    sequences = [(subject, sequence) for subject in SUBJECTS for sequence in SEQUENCES]
    rigs = {at: build_rig((seed, DATASET_SEED, *at), style, frame_px, seed) for at in sequences}
    shots = [
        shot for at in sequences for shot in _plan(root, *at, rigs[at], per_camera, style, seed)
    ]
    truths = studio.render(shots, "mpi_inf_3dhp")
    for subject, sequence in sequences:
        folder = root / f"S{subject}" / f"Seq{sequence}"
        write_calibration(folder / "camera.calibration", rigs[subject, sequence])
        _write_annotations(folder / "annot.mat", rigs[subject, sequence], truths, per_camera)


def write_test_set(
    root: Path, count: int, style: SceneStyle, frame_px: int, seed: int, studio: Studio
) -> None:
    """Writes at least `count` test pictures in six sequences, with HDF5 annotations."""
    style = style.for_frame(frame_px)
    per_sequence = -(-count // len(TEST_SUBJECTS))
    rigs = {ts: build_rig((seed, TEST_SEED, ts), style, frame_px, seed) for ts in TEST_SUBJECTS}
    shots: list[Shot] = []
    for ts in TEST_SUBJECTS:
        folder = root / TEST_ROOT / f"TS{ts}"
        shots += _plan_test(folder, ts, rigs[ts], per_sequence, style, seed)
    truths = studio.render(shots, "mpi_inf_3dhp test")
    for ts in TEST_SUBJECTS:
        frames = [next(truths) for _ in range(per_sequence)]
        path = root / TEST_ROOT / f"TS{ts}" / "annot_data.mat"
        _write_test_annotations(path, rigs[ts], frames, (seed, TEST_SEED, ts))


def _plan(
    root: Path,
    subject: int,
    sequence: int,
    rig: CameraRig,
    per_camera: int,
    style: SceneStyle,
    seed: int,
) -> Iterator[Shot]:
    sequence_seed = (seed, DATASET_SEED, subject, sequence)
    rng = np.random.default_rng([*sequence_seed, 1])
    held_out = subject == HELD_OUT_SUBJECT
    cast = sample_cast(rng, len(FILMED_CAMERAS) * per_camera, held_out, style)
    for index in range(len(cast.poses)):
        camera, frame = FILMED_CAMERAS[index // per_camera], index % per_camera
        folder = root / f"S{subject}" / f"Seq{sequence}" / "imageFrames" / f"video_{camera}"
        folder.mkdir(parents=True, exist_ok=True)
        path, shot_seed = folder / f"frame_{frame + 1:06d}.jpg", (*sequence_seed, 2, index)
        lens, view = rig.lenses[camera], rig.views[camera]
        yield portrait(rng, path, shot_seed, cast, index, lens, view, style)


def _plan_test(
    folder: Path, ts: int, rig: CameraRig, per_sequence: int, style: SceneStyle, seed: int
) -> Iterator[Shot]:
    (folder / "imageSequence").mkdir(parents=True)
    rng = np.random.default_rng([seed, TEST_SEED, ts, 1])
    cast = sample_cast(rng, per_sequence, held_out=True, style=style)
    for index in range(per_sequence):
        path = folder / "imageSequence" / f"img_{index + 1:06d}.jpg"
        shot_seed = (seed, TEST_SEED, ts, 2, index)
        lens, view = rig.lenses[0], rig.views[0]
        yield portrait(rng, path, shot_seed, cast, index, lens, view, style)


def _write_annotations(
    path: Path, rig: CameraRig, truths: Iterator[GroundTruth], per_camera: int
) -> None:
    """Writes cells (14, 1), one a camera; each holds (N, 56) or (N, 84), a row a frame."""
    filmed_mm = {c: _joints_mm([next(truths) for _ in range(per_camera)]) for c in FILMED_CAMERAS}
    cells = {name: np.empty((NUM_CAMERAS, 1), object) for name in CELLS}
    for camera in range(NUM_CAMERAS):
        joints_mm = filmed_mm.get(camera, rig.carry(filmed_mm[0], 0, camera))
        joints_px = rig.lenses[camera].project(joints_mm)
        cells["annot2"][camera, 0] = joints_px.reshape(per_camera, -1)  # (N, 56)
        cells["annot3"][camera, 0] = joints_mm.reshape(per_camera, -1)  # (N, 84)
        cells["univ_annot3"][camera, 0] = to_universal(joints_mm).reshape(per_camera, -1)
    frames = np.arange(per_camera, dtype=np.float64)[:, None]
    cameras = np.arange(NUM_CAMERAS, dtype=np.float64)[None]
    save_mat(path, {**cells, "frames": frames, "cameras": cameras})


def _write_test_annotations(
    path: Path, rig: CameraRig, truths: list[GroundTruth], seed: tuple[int, ...]
) -> None:
    relevant = joint_map(MPI_INF_3DHP28, MPI_INF_3DHP17)
    joints_mm = _joints_mm(truths)
    arrays = {
        "annot2": rig.lenses[0].project(joints_mm)[:, None, relevant],
        "annot3": joints_mm[:, None, relevant],
        "univ_annot3": to_universal(joints_mm)[:, None, relevant],
    }
    rng = np.random.default_rng([*seed, 3])
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values.astype(np.float64)
        file["valid_frame"] = np.array(
            [[truth.visible[0, :14].any()] for truth in truths], np.float64
        )
        activity = rng.integers(1, TEST_ACTIVITIES + 1, size=(len(truths), 1))
        file["activity_annotation"] = activity.astype(np.float64)


def _joints_mm(truths: list[GroundTruth]) -> np.ndarray:
    """(N, 28, 3) joints in the camera frame, mm."""
    joints_m = np.stack([truth.joints_m[0] for truth in truths]).astype(np.float64)
    return MM_PER_M * np.einsum("kj,njc->nkc", joint_matrix(), joints_m)  # (N, 28, 3)


def to_universal(joints_mm: np.ndarray) -> np.ndarray:
    """Joints (N, 28, 3) scaled about the pelvis to people with legs of one length.

    As in the real dataset, these do not reproject to `annot2`.
    """
    at = MPI_INF_3DHP28.index
    hip, knee, ankle = (joints_mm[:, at(f"left_{name}")] for name in ("hip", "knee", "ankle"))
    leg = np.linalg.norm(knee - hip, axis=1) + np.linalg.norm(ankle - knee, axis=1)
    pelvis = joints_mm[:, at("pelvis")][:, None]
    return pelvis + (UNIVERSAL_LEG_MM / leg)[:, None, None] * (joints_mm - pelvis)
