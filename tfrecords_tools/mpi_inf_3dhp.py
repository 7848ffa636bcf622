"""MPI-INF-3DHP: people with 3D joints, seen by many cameras.

Training: subjects 1 to 7 (`train`), 8 (`val`), all (`trainval`), eight of the fourteen cameras. As
in the original, a frame is kept if one of the 14 joints has moved 200 mm or more since the last
kept frame of its camera, and if at least 8 joints lie inside the picture; the keypoints' box gets
a diagonal of 150 px and the window is +-150 px. Joints are `annot3`, camera frame. Difference: the
intrinsics are those of the frame's own sequence (the original takes S1/Seq1's for all).

Test: TS1 to TS6, valid frames. Joints are `univ_annot3`, which the official errors are measured
with (--test_joints annot3 for those that project onto the picture). The intrinsics are not
published with the set: they are fitted to `annot2` and `annot3`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from hmr.body.joints import LSP14, MPI_INF_3DHP17, MPI_INF_3DHP28, take_joints
from hmr.errors import UserError, run_verb
from hmr.files.foreign import parsing, reading
from tfrecords_tools.common.cli import Converter, plan_splits, run_converter
from tfrecords_tools.common.frames import FrameUnit, LabelledFrame, convert_frames
from tfrecords_tools.common.jobs import PEOPLE_PER_SHARD, DropLog, Job, Plan, chunks, fingerprint
from tfrecords_tools.common.matlab import read_mat
from tfrecords_tools.common.processes import read_apart

NAME = "mpi_inf_3dhp"
CAMERAS = (0, 1, 2, 4, 5, 6, 7, 8)
SUBJECTS = {"train": range(1, 8), "val": range(8, 9), "trainval": range(1, 9)}
SEQUENCES = (1, 2)
MOTION_MM = 200.0
_SHUFFLE_SEED, _FRAMES_AHEAD = 0, 256
_MATRIX_SIZE = 16
_MAX_CALIBRATION_BYTES = 1 << 20
TEST_SEQUENCES = tuple(f"TS{number}" for number in range(1, 7))
GROUND_TRUTHS = ("univ_annot3", "annot3")
ACTIVITIES = {
    1: "Stand/Walk", 2: "Exercise", 3: "Sit on Chair", 4: "Crouch/Reach", 5: "On Floor",
    6: "Sports", 7: "Misc",
}  # fmt: skip
_TEST_FOLDER = "mpi_inf_3dhp_test_set"


@dataclass(frozen=True)
class Session:
    """One recording session.

    Attributes:
        folder: S<subject>/Seq<number>.
        name: S<subject>_Seq<number>.
        frames: (N,) 0-based frame numbers of the rows.
        joints2d_px: camera -> (N, 14, 2) LSP-14 joints.
        joints3d_mm: camera -> (N, 14, 3) LSP-14 joints, camera frame.
        intrinsics_px: camera -> (3,) focal length, cx, cy in px.
    """

    folder: Path
    name: str
    frames: np.ndarray
    joints2d_px: dict[int, np.ndarray]
    joints3d_mm: dict[int, np.ndarray]
    intrinsics_px: dict[int, np.ndarray]

    def pictures(self, camera: int) -> Path:
        """Folder of a camera's extracted frames; it need not exist."""
        return self.folder / "imageFrames" / f"video_{camera}"

    def video(self, camera: int) -> Path:
        """A camera's video; it need not exist."""
        return self.folder / "imageSequence" / f"video_{camera}.avi"

    def folders(self) -> list[Path]:
        """Where its pictures and videos lie."""
        found = (self.folder / "imageFrames", self.folder / "imageSequence")
        return [folder for folder in found if folder.is_dir()]

    def frame(self, camera: int, row: int) -> LabelledFrame:
        """One row of one camera; arrays are copied, else they would keep the session in memory."""
        number = int(self.frames[row])
        return LabelledFrame(
            path=self.pictures(camera) / f"frame_{number + 1:06d}.jpg",
            dataset=NAME,
            sequence=f"{self.name}_cam{camera}",
            frame=number,
            joints2d_px=self.joints2d_px[camera][row].copy(),
            joints3d_lsp_mm=self.joints3d_mm[camera][row].copy(),
            intrinsics_px=self.intrinsics_px[camera],
        )


def read_session(folder: Path, name: str) -> Session:
    """Reads a session's annotations and cameras.

    Raises:
        UserError: a file is missing or has another layout.
    """
    cameras = read_calibration(folder / "camera.calibration")
    path = folder / "annot.mat"
    content = read_mat(path, ("annot2", "annot3", "frames", "cameras"))
    with parsing(path, "annot.mat: annot2 and annot3 are one cell a camera, N x 56 and N x 84"):
        ids = content["cameras"].ravel().astype(int).tolist()
        points = [
            _by_camera(content[key], ids, size) for key, size in (("annot2", 2), ("annot3", 3))
        ]
        frames = content["frames"].ravel().astype(int)
    rows = {len(joints) for joints in (*points[0].values(), *points[1].values())}
    if rows != {len(frames)}:
        raise UserError(f"{path}: annotations have {sorted(rows)} rows, expected {len(frames)}.")
    known = set(points[0]) & set(points[1]) & set(cameras)
    pixels, joints = ({camera: table[camera] for camera in known} for table in points)
    return Session(folder, name, frames, pixels, joints, cameras)


def _by_camera(cells: np.ndarray, ids: list[int], size: int) -> dict[int, np.ndarray]:
    """Camera -> LSP-14 joints (N, 14, size); cameras with an empty cell did not film."""
    joints = {}
    for camera, cell in zip(ids, cells.ravel(), strict=True):
        if not cell.size:
            continue
        # (N, 56 or 84) -> (N, 28, 2 or 3)
        points = np.asarray(cell, np.float64).reshape(len(cell), len(MPI_INF_3DHP28), size)
        joints[camera] = take_joints(points, MPI_INF_3DHP28, LSP14).astype(np.float32)
    return joints


def read_calibration(path: Path) -> dict[int, np.ndarray]:
    """Reads `camera.calibration`: a header, then per camera seven lines of a keyword and values.

    Returns:
        camera -> (3,) focal length (mean of both axes), cx, cy, px.
    Raises:
        UserError: the file is missing or holds no cameras.
    """
    if not path.is_file():
        raise UserError(f"{NAME}: no file at {path}, which every sequence comes with.")
    cameras: dict[int, np.ndarray] = {}
    camera = None
    with reading(path, "readable camera.calibration", _MAX_CALIBRATION_BYTES):
        for keyword, *values in filter(None, map(str.split, path.read_text().splitlines())):
            if keyword == "name":
                camera = int(values[0])
            elif keyword == "intrinsic" and camera is not None and len(values) == _MATRIX_SIZE:
                matrix = np.array(values, np.float64).reshape(4, 4)
                focal_px = matrix[[0, 1], [0, 1]].mean()
                cameras[camera] = np.array([focal_px, matrix[0, 2], matrix[1, 2]])
    if not cameras:
        raise UserError(f"{path} holds no `name` and `intrinsic` lines of a calibration.")
    return cameras


def moving_frames(joints_mm: np.ndarray) -> np.ndarray:
    """Frames in which a joint has moved 200 mm since the last kept one; the first is always kept.

    Args:
        joints_mm: (N, J, 3).
    Returns:
        rows, ascending.
    """
    kept = [0][: len(joints_mm)]
    start = 1
    while start < len(joints_mm):
        offset = joints_mm[start : start + _FRAMES_AHEAD] - joints_mm[kept[-1]]  # (n, J, 3)
        moved = np.flatnonzero((np.linalg.norm(offset, axis=2) >= MOTION_MM).any(axis=1))
        if len(moved):
            kept.append(start + int(moved[0]))
            start = kept[-1] + 1
        else:
            start += _FRAMES_AHEAD
    return np.array(kept, int)


def sequence_folders(root: Path, split: str) -> dict[str, Path]:
    """Name -> folder of each sequence of a split, existing or not."""
    return {
        f"S{subject}_Seq{number}": root / f"S{subject}" / f"Seq{number}"
        for subject in SUBJECTS[split]
        for number in SEQUENCES
    }


def _collect_frames(
    session: Session, units: list[FrameUnit], loose: list[LabelledFrame], dropped: DropLog
) -> None:
    """Adds a session's frames: one unit per video to `units`, frames with pictures to `loose`."""
    for camera in (camera for camera in CAMERAS if camera in session.joints3d_mm):
        finite = np.isfinite(session.joints3d_mm[camera]).all(axis=(1, 2))
        for row in np.flatnonzero(~finite):
            dropped.add("coordinates that are not finite", session.frame(camera, int(row)).name)
        rows = np.flatnonzero(finite)
        kept = rows[moving_frames(session.joints3d_mm[camera][rows])]
        frames = [session.frame(camera, row) for row in kept]
        if session.pictures(camera).is_dir():
            loose.extend(frames)
        elif session.video(camera).is_file():
            units.append(FrameUnit(frames, session.video(camera)))
        else:
            dropped.add("missing pictures", f"{session.name}, camera {camera}")


def _train_job(root: Path, split: str) -> Job:
    units: list[FrameUnit] = []
    loose: list[LabelledFrame] = []
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
        _collect_frames(session, units, loose, dropped)
    order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(loose))
    shuffled = chunks([loose[i] for i in order], PEOPLE_PER_SHARD)
    units += [FrameUnit(list(frames)) for frames in shuffled]
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


def find_test_sequences(root: Path) -> list[Path]:
    """Folders TS1, TS2, ... of the test set, in whichever of the three usual places they are."""
    for folder in (root / _TEST_FOLDER / _TEST_FOLDER, root / _TEST_FOLDER, root):
        found = sorted(path.parent for path in folder.glob("TS*/annot_data.mat"))
        if found:
            return found
    return []


def read_test_sequence(folder: Path, ground_truth: str) -> Iterator[LabelledFrame]:
    """Yields the valid frames of a sequence of the test set.

    Raises:
        UserError: `annot_data.mat` is unreadable or lacks something.
    """
    path = folder / "annot_data.mat"
    keys = ("valid_frame", "activity_annotation", "annot2", "annot3", ground_truth)
    with reading(path, f"annot_data.mat (MATLAB v7.3) with {', '.join(keys)}"):
        arrays = read_apart(partial(_read_datasets, keys=keys), path)
        valid = np.flatnonzero(arrays["valid_frame"].ravel())
        activities = arrays["activity_annotation"].ravel().astype(int)
        points = {key: _joints(arrays[key], len(activities)) for key in keys[2:]}
        intrinsics_px = fit_intrinsics(points["annot2"][valid], points["annot3"][valid])
    for row in valid:
        yield LabelledFrame(
            path=folder / "imageSequence" / f"img_{row + 1:06d}.jpg",
            dataset=NAME,
            sequence=folder.name,
            frame=int(row),
            joints2d_px=points["annot2"][row],
            joints3d_lsp_mm=points[ground_truth][row],
            intrinsics_px=intrinsics_px,
            extras={"activity": ACTIVITIES.get(activities[row], "")},
        )


def _read_datasets(path: Path, keys: tuple[str, ...]) -> dict[str, np.ndarray]:
    with h5py.File(path) as content:
        return {key: np.asarray(content[key][()], np.float64) for key in keys}


def _joints(values: np.ndarray, rows: int) -> np.ndarray:
    """LSP-14 joints (N, 14, D) of MATLAB's D x 17 x 1 x N, which HDF5 shows as (N, 1, 17, D)."""
    values = values.reshape(rows, len(MPI_INF_3DHP17), -1)  # (N, 17, D)
    return take_joints(values, MPI_INF_3DHP17, LSP14).astype(np.float32)


def fit_intrinsics(joints2d_px: np.ndarray, joints3d_mm: np.ndarray) -> np.ndarray | None:
    """Intrinsics of the pinhole camera that projects 3D onto 2D joints, by least squares.

    Args:
        joints2d_px: (N, J, 2).
        joints3d_mm: (N, J, 3), camera frame, in front of the camera.
    Returns:
        (3,) focal length (mean of both axes), cx, cy in px; None if there is nothing to fit.
    """
    points = np.asarray(joints3d_mm, np.float64).reshape(-1, 3)
    pixels = np.asarray(joints2d_px, np.float64).reshape(-1, 2)
    usable = np.isfinite(points).all(axis=1) & np.isfinite(pixels).all(axis=1) & (points[:, 2] > 0)
    points, pixels = points[usable], pixels[usable]
    if len(points) < len(LSP14):
        return None
    focal, center = [], []
    for axis in (0, 1):
        slopes = np.stack([points[:, axis] / points[:, 2], np.ones(len(points))], axis=1)
        (f, c), *_ = np.linalg.lstsq(slopes, pixels[:, axis], rcond=None)
        focal.append(f)
        center.append(c)
    return np.array([np.mean(focal), *center])


def _test_job(root: Path, ground_truth: str) -> Job:
    """The job of the test split: every valid frame, in order."""
    folders = find_test_sequences(root)
    dropped = DropLog()
    for name in sorted(set(TEST_SEQUENCES) - {folder.name for folder in folders}):
        dropped.add("missing sequence", name)
    frames = [frame for f in folders for frame in read_test_sequence(f, ground_truth)]
    return Job(
        NAME,
        "test",
        [FrameUnit(list(part), min_joints_inside=0) for part in chunks(frames)],
        convert_frames,
        samples=len(frames),
        dropped=dropped,
        arguments={"joints3d": ground_truth},
        source_fingerprint=fingerprint(
            [folder / "annot_data.mat" for folder in folders],
            filter(Path.is_dir, (folder / "imageSequence" for folder in folders)),
        ),
    )


def _missing(root: Path, split: str) -> str | None:
    if split == "test":
        found = find_test_sequences(root)
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
    jobs = [
        _test_job(args.input, args.test_joints)
        if split == "test"
        else _train_job(args.input, split)
        for split in splits
    ]
    if empty := [job.split for job in jobs if not job.units]:
        raise UserError(f"{NAME}: no pictures and no videos for {empty} in {args.input}.")
    return Plan(jobs, skipped)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the option which of the two 3D annotations the test records hold."""
    parser.add_argument(
        "--test_joints",
        choices=GROUND_TRUTHS,
        default=GROUND_TRUTHS[0],
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
