"""Stand-in motions in the layout of AMASS: <set>/<subject>/<sequence>_poses.npz, SMPL+H poses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from src.body.smpl import SMPL
from tfrecords_tools.standin.people import NUM_BETAS, sample_betas
from tfrecords_tools.standin.poses import dofs_to_pose, sample_sequence

DATASET_SEED = 6
SECONDS_PER_SEQUENCE, SEQUENCES_PER_SUBJECT = 4.0, 4
NUM_FILE_BETAS, NUM_DMPLS = 16, 8
SHARED_JOINTS, FINGER_JOINTS = 22, 30
FINGER_CURL = 0.3
Z_UP = Rotation.from_euler("X", 90.0, degrees=True)


@dataclass(frozen=True)
class MotionSet:
    """A set of AMASS: its name, its share of the frames, and its frame rates."""

    name: str
    share: float
    frame_rates: tuple[float, ...]


SETS = (MotionSet("CMU", 0.7, (60.0, 120.0, 59.99)), MotionSet("MPI_Limits", 0.3, (30.0,)))
"""Real files hold rates such as 59.99, and gender as text or as bytes: readers have to cope."""
GENDERS = ("male", "female", b"male", b"female")


def write_amass(root: Path, count: int, seed: int, smpl: SMPL) -> None:
    """Writes at least `count` frames of motion; training people and poses only."""
    with tqdm(total=count, desc="amass", unit="frame") as bar:
        for number, motions in enumerate(SETS):
            rng = np.random.default_rng([seed, DATASET_SEED, number])
            for frames in _write_set(rng, root / motions.name, motions, count, smpl):
                bar.update(frames)


def _write_set(
    rng: np.random.Generator, folder: Path, motions: MotionSet, count: int, smpl: SMPL
) -> Iterator[int]:
    written, subject = 0, 0
    while written < motions.share * count:
        subject += 1
        for frames in _write_subject(rng, folder / f"{subject:02d}", motions, smpl):
            written += frames
            yield frames


def _write_subject(
    rng: np.random.Generator, folder: Path, motions: MotionSet, smpl: SMPL
) -> Iterator[int]:
    """Several motions of one person, and the shape.npz that lies beside them."""
    folder.mkdir(parents=True)
    betas = np.zeros(NUM_FILE_BETAS)
    betas[:NUM_BETAS] = sample_betas(rng, 1)[0]
    gender = np.array(GENDERS[rng.integers(len(GENDERS))])
    np.savez(folder / "shape.npz", betas=betas, gender=gender)
    for sequence in range(1, SEQUENCES_PER_SUBJECT + 1):
        rate = float(rng.choice(motions.frame_rates))
        path = folder / f"{folder.name}_{sequence:02d}_poses.npz"
        poses, trans = _move(rng, rate, betas, smpl)
        np.savez(
            path,
            poses=poses,
            trans=trans,
            dmpls=np.zeros((len(poses), NUM_DMPLS)),
            betas=betas,
            gender=gender,
            mocap_framerate=np.array(rate),
        )
        yield len(poses)


def _move(
    rng: np.random.Generator, frame_rate: float, betas: np.ndarray, smpl: SMPL
) -> tuple[np.ndarray, np.ndarray]:
    """poses (N, 156), and trans (N, 3) in metres, z up, that keeps the feet on the floor."""
    num_frames = round(SECONDS_PER_SEQUENCE * frame_rate)
    pose = dofs_to_pose(sample_sequence(rng, num_frames, frame_rate))
    turn = np.cumsum(rng.normal(0.0, 40.0 / frame_rate, size=num_frames)) + rng.uniform(0, 360)
    heading = Rotation.from_euler("Y", turn[:, None], degrees=True)
    root = Z_UP * heading * Rotation.from_rotvec(pose[:, :3])
    posed = smpl.keypoints(
        np.concatenate([root.as_rotvec(), pose[:, 3:]], axis=1).astype(np.float32),
        np.repeat(betas[None, :NUM_BETAS], num_frames, axis=0).astype(np.float32),
    )
    lowest = np.asarray(posed["smpl_joints"])[:, :, 2].min(axis=1)
    drift = np.cumsum(rng.normal(0.0, 0.3 / frame_rate, size=(num_frames, 2)), axis=0)
    fingers = np.cumsum(
        rng.normal(0.0, FINGER_CURL / frame_rate, (num_frames, 3 * FINGER_JOINTS)), 0
    )
    body = pose[:, 3 : 3 * SHARED_JOINTS]
    return (
        np.concatenate([root.as_rotvec(), body, fingers], axis=1),
        np.concatenate([drift, -lowest[:, None]], axis=1),
    )
