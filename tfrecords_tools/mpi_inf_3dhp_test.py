"""The test set of MPI-INF-3DHP: TS1 to TS6, frames marked as valid."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from hmr.body.joints import LSP14, MPI_INF_3DHP17, take_joints
from hmr.errors import UserError
from tfrecords_tools.common.frames3d import Frame, Frames3dUnit, convert_frames
from tfrecords_tools.common.jobs import DropLog, Job, chunks, fingerprint

SEQUENCES = tuple(f"TS{number}" for number in range(1, 7))
GROUND_TRUTHS = ("univ_annot3", "annot3")
ACTIVITIES = (
    "", "Stand/Walk", "Exercise", "Sit on Chair", "Crouch/Reach", "On Floor", "Sports", "Misc",
)  # fmt: skip
_FOLDER = "mpi_inf_3dhp_test_set"


def find_sequences(root: Path) -> list[Path]:
    """Folders TS1, TS2, ... of the test set, wherever of its three usual places they lie."""
    for folder in (root / _FOLDER / _FOLDER, root / _FOLDER, root):
        found = sorted(path.parent for path in folder.glob("TS*/annot_data.mat"))
        if found:
            return found
    return []


def read_sequence(folder: Path, dataset: str, ground_truth: str) -> Iterator[Frame]:
    """Yields the valid frames of a sequence.

    Raises:
        UserError: `annot_data.mat` is unreadable or lacks something.
    """
    path = folder / "annot_data.mat"
    keys = ("valid_frame", "activity_annotation", "annot2", "annot3", ground_truth)
    try:
        with h5py.File(path) as content:
            arrays = {key: content[key][()] for key in keys}
        valid = np.flatnonzero(arrays["valid_frame"].ravel())
        activities = arrays["activity_annotation"].ravel().astype(int)
        points = {key: _joints(arrays[key], len(activities)) for key in keys[2:]}
    except (KeyError, ValueError, OSError) as error:
        raise UserError(
            f"{path} is not an annot_data.mat (MATLAB v7.3) with {', '.join(keys)} ({error})."
        ) from error
    intrinsics_px = fit_intrinsics(points["annot2"][valid], points["annot3"][valid])
    for row in valid:
        yield Frame(
            path=folder / "imageSequence" / f"img_{row + 1:06d}.jpg",
            dataset=dataset,
            sequence=folder.name,
            frame=int(row),
            joints2d_px=points["annot2"][row],
            joints3d_lsp_mm=points[ground_truth][row],
            intrinsics_px=intrinsics_px,
            activity=ACTIVITIES[activities[row]] if activities[row] < len(ACTIVITIES) else "",
        )


def _joints(values: np.ndarray, rows: int) -> np.ndarray:
    """(N, 1, 17, D), as HDF5 shows MATLAB's D x 17 x 1 x N -> LSP-14 joints (N, 14, D)."""
    values = values.reshape(rows, len(MPI_INF_3DHP17), -1)
    return take_joints(values, MPI_INF_3DHP17, LSP14).astype(np.float32)


def fit_intrinsics(joints2d_px: np.ndarray, joints3d_mm: np.ndarray) -> np.ndarray | None:
    """The pinhole camera that projects 3D joints onto 2D joints, by least squares.

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


def make_job(dataset: str, root: Path, ground_truth: str) -> Job:
    """The job of the test split: every valid frame, in order."""
    folders = find_sequences(root)
    dropped = DropLog()
    for name in sorted(set(SEQUENCES) - {folder.name for folder in folders}):
        dropped.add("missing sequence", name)
    frames = [frame for f in folders for frame in read_sequence(f, dataset, ground_truth)]
    return Job(
        dataset,
        "test",
        [Frames3dUnit(list(part), min_joints_inside=0) for part in chunks(frames)],
        convert_frames,
        samples=len(frames),
        dropped=dropped,
        arguments={"joints3d": ground_truth},
        source_fingerprint=fingerprint(
            [folder / "annot_data.mat" for folder in folders],
            filter(Path.is_dir, (folder / "imageSequence" for folder in folders)),
        ),
    )
