"""Stand-in motions in the layout of AMASS: <set>/<subject>/<sequence>_poses.npz, SMPL+H poses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hmr.body.joints import SMPL_JOINTS
from hmr.body.smpl import SMPL
from hmr.progress import progress_bar
from tfrecords_tools.standin.characters import NUM_BETAS, sample_betas
from tfrecords_tools.standin.poses import USUAL, Repertoire, dofs_to_pose, sample_sequence

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
GENDERS = ("male", "female", b"male", b"female")
"""Real files hold rates such as 59.99, and genders as text or as bytes: readers have to cope."""


def write_amass(
    root: Path, count: int, seed: int, smpl: SMPL, repertoire: Repertoire = USUAL
) -> None:
    """Writes at least `count` frames of motion, built on the key poses of training only."""
    with progress_bar(total=count, desc="amass", unit="frame") as bar:
        for number, motions in enumerate(SETS):
            rng = np.random.default_rng([seed, DATASET_SEED, number])
            for frames in _write_set(rng, root / motions.name, motions, count, smpl, repertoire):
                bar.update(frames)


def _write_set(
    rng: np.random.Generator,
    folder: Path,
    motions: MotionSet,
    count: int,
    smpl: SMPL,
    repertoire: Repertoire,
) -> Iterator[int]:
    written, subject = 0, 0
    while written < motions.share * count:
        subject += 1
        for frames in _write_subject(rng, folder / f"{subject:02d}", motions, smpl, repertoire):
            written += frames
            yield frames


def _write_subject(
    rng: np.random.Generator,
    folder: Path,
    motions: MotionSet,
    smpl: SMPL,
    repertoire: Repertoire,
) -> Iterator[int]:
    """Several motions of one person, and the shape.npz that lies beside them."""
    folder.mkdir(parents=True)
    betas = np.zeros(NUM_FILE_BETAS)
    betas[:NUM_BETAS] = sample_betas(rng, 1)[0]
    gender = np.array(GENDERS[rng.integers(len(GENDERS))])
    np.savez(folder / "shape.npz", betas=betas, gender=gender)
    rates = rng.choice(motions.frame_rates, size=SEQUENCES_PER_SUBJECT)
    poses = [_move(rng, float(rate), repertoire) for rate in rates]
    for sequence, (rate, pose, height) in enumerate(
        zip(rates, poses, _pelvis_heights(poses, betas, smpl), strict=True), start=1
    ):
        drift = np.cumsum(rng.normal(0.0, 0.3 / rate, size=(len(pose), 2)), axis=0)
        np.savez(
            folder / f"{folder.name}_{sequence:02d}_poses.npz",
            poses=pose,
            trans=np.concatenate([drift, height[:, None]], axis=1),
            dmpls=np.zeros((len(pose), NUM_DMPLS)),
            betas=betas,
            gender=gender,
            mocap_framerate=np.array(rate),
        )
        yield len(pose)


def _move(rng: np.random.Generator, frame_rate: float, repertoire: Repertoire) -> np.ndarray:
    """A motion: SMPL+H poses (N, 156), rad, in a world whose z axis points up."""
    num_frames = round(SECONDS_PER_SEQUENCE * frame_rate)
    pose = dofs_to_pose(sample_sequence(rng, num_frames, frame_rate, repertoire))
    turn = np.cumsum(rng.normal(0.0, 40.0 / frame_rate, size=num_frames)) + rng.uniform(0, 360)
    heading = Rotation.from_euler("Y", turn[:, None], degrees=True)
    root = Z_UP * heading * Rotation.from_rotvec(pose[:, :3])
    steps = rng.normal(0.0, FINGER_CURL / frame_rate, size=(num_frames, 3 * FINGER_JOINTS))
    body = pose[:, 3 : 3 * SHARED_JOINTS]
    return np.concatenate([root.as_rotvec(), body, np.cumsum(steps, axis=0)], axis=1)


def _pelvis_heights(poses: list[np.ndarray], betas: np.ndarray, smpl: SMPL) -> Sequence[np.ndarray]:
    """For each motion the z of `trans` (N,), metres, that puts the lowest joint on the floor."""
    stacked = np.concatenate(poses)[:, : 3 * SHARED_JOINTS]
    hands = np.zeros((len(stacked), 3 * (len(SMPL_JOINTS) - SHARED_JOINTS)))
    posed = smpl.keypoints(
        np.concatenate([stacked, hands], axis=1).astype(np.float32),
        np.repeat(betas[None, :NUM_BETAS], len(stacked), axis=0).astype(np.float32),
    )
    lowest = np.asarray(posed["smpl_joints"])[:, :, 2].min(axis=1)
    return np.split(-lowest, np.cumsum([len(pose) for pose in poses])[:-1])
