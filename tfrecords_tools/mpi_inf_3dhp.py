"""MPI-INF-3DHP: people with 3D joints, seen by many cameras.

Training: subjects 1 to 7 (`train`), 8 (`val`), all (`trainval`), eight of the fourteen cameras. As
in the original, a frame is kept if one of the 14 joints has moved 200 mm or more since the last
kept frame of its camera, and if at least 8 joints lie inside the picture; the keypoints' box gets
a diagonal of 150 px and the window is +-150 px. Joints are `annot3`, camera frame. Difference: the
camera is that of the frame's own sequence (the original takes S1/Seq1's for all).

Test: TS1 to TS6, valid frames. Joints are `univ_annot3`, which the official errors are measured
with (--test_joints annot3 for those that project onto the picture). The camera, which is not
published with the set, is fitted to `annot2` and `annot3`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hmr.errors import UserError, run_verb
from tfrecords_tools import mpi_inf_3dhp_test
from tfrecords_tools.common.cli import Converter, plan_splits, run_converter
from tfrecords_tools.common.frames3d import Frame, Frames3dUnit, convert_frames
from tfrecords_tools.common.jobs import PEOPLE_PER_SHARD, DropLog, Job, Plan, chunks, fingerprint
from tfrecords_tools.mpi_inf_3dhp_files import Session, read_session

NAME = "mpi_inf_3dhp"
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
SUBJECTS = {"train": range(1, 8), "val": range(8, 9), "trainval": range(1, 9)}
SEQUENCES = (1, 2)
MOTION_MM = 200.0
_SHUFFLE_SEED = 0


def moving_frames(joints_mm: np.ndarray, motion_mm: float = MOTION_MM) -> np.ndarray:
    """Frames in which a joint has moved since the last kept one; the first is always kept.

    Args:
        joints_mm: (N, J, 3).
        motion_mm: how far.
    Returns:
        frame numbers, ascending.
    """
    kept = [0][: len(joints_mm)]
    ahead = 256
    start = 1
    while start < len(joints_mm):
        offset = joints_mm[start : start + ahead] - joints_mm[kept[-1]]
        moved = np.flatnonzero((np.linalg.norm(offset, axis=2) >= motion_mm).any(axis=1))
        if len(moved):
            kept.append(start + int(moved[0]))
            start = kept[-1] + 1
        else:
            start += ahead
    return np.array(kept, int)


def sequence_folders(root: Path, split: str) -> dict[str, Path]:
    """Name -> folder of each sequence of a split, whether it is there or not."""
    return {
        f"S{subject}_Seq{number}": root / f"S{subject}" / f"Seq{number}"
        for subject in SUBJECTS[split]
        for number in SEQUENCES
    }


def _collect(
    session: Session, units: list[Frames3dUnit], loose: list[Frame], dropped: DropLog
) -> None:
    """Adds a session's frames: a unit per video, or single frames where they lie as pictures."""
    for camera in (camera for camera in CAMERAS if camera in session.joints_mm):
        finite = np.isfinite(session.joints_mm[camera]).all(axis=(1, 2))
        for row in np.flatnonzero(~finite):
            dropped.add("coordinates that are not finite", session.frame(camera, int(row)).name)
        rows = np.flatnonzero(finite)
        kept = rows[moving_frames(session.joints_mm[camera][rows])]
        frames = [session.frame(camera, row) for row in kept]
        if session.pictures(camera) is not None:
            loose.extend(frames)
        elif (video := session.video(camera)) is not None:
            units.append(Frames3dUnit(frames, video))
        else:
            dropped.add("missing pictures", f"{session.name}, camera {camera}")


def _train_job(root: Path, split: str) -> Job:
    units: list[Frames3dUnit] = []
    loose: list[Frame] = []
    dropped = DropLog()
    annotations: list[Path] = []
    folders: list[Path] = []
    for name, folder in sequence_folders(root, split).items():
        if not (folder / "annot.mat").is_file():
            dropped.add("missing sequence", name)
            continue
        annotations += [folder / "annot.mat", folder / "camera.calibration"]
        session = read_session(folder, name)
        folders += session.folders()
        _collect(session, units, loose, dropped)
    order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(loose))
    shuffled = chunks([loose[i] for i in order], PEOPLE_PER_SHARD)
    units += [Frames3dUnit(list(frames)) for frames in shuffled]
    return Job(
        NAME,
        split,
        units,
        convert_frames,
        samples=sum(len(unit.frames) for unit in units),
        dropped=dropped,
        arguments={"cameras": list(CAMERAS), "motion_mm": MOTION_MM},
        source_fingerprint=fingerprint(annotations, folders),
    )


def _missing(root: Path, split: str) -> str | None:
    if split == "test":
        found = mpi_inf_3dhp_test.find_sequences(root)
        return None if found else f"no mpi_inf_3dhp_test_set/TS1/annot_data.mat in {root}"
    if split not in SUBJECTS:
        return f"there is no split {split}"
    folders = sequence_folders(root, split)
    if any((folder / "annot.mat").is_file() for folder in folders.values()):
        return None
    return f"no annot.mat in any of {', '.join(folders)} of {root}"


def plan(args: argparse.Namespace) -> Plan:
    """One job per split."""
    splits, skipped = plan_splits(args, CONVERTER, lambda split: _missing(args.input, split))
    jobs = []
    for split in splits:
        if split == "test":
            jobs.append(mpi_inf_3dhp_test.make_job(NAME, args.input, args.test_joints))
        else:
            jobs.append(_train_job(args.input, split))
    if empty := [job.split for job in jobs if not job.units]:
        raise UserError(f"{NAME}: no pictures and no videos for {empty} in {args.input}.")
    return Plan(jobs, skipped)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which of the two 3D annotations the test records hold."""
    parser.add_argument(
        "--test_joints",
        choices=mpi_inf_3dhp_test.GROUND_TRUTHS,
        default=mpi_inf_3dhp_test.GROUND_TRUTHS[0],
        help="3D joints of the test records (default: %(default)s)",
    )


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download with the set's own scripts (subjects 1 to 8, and the test set). Layout:
  S1/Seq1/annot.mat, camera.calibration
  S1/Seq1/imageSequence/video_0.avi ..., or extracted: S1/Seq1/imageFrames/video_0/frame_000001.jpg
  mpi_inf_3dhp_test_set/mpi_inf_3dhp_test_set/TS1/annot_data.mat, imageSequence/img_000001.jpg""",
    plan=plan,
    splits=("train", "val", "test"),
    add_options=add_options,
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
