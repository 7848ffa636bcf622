"""Readers of MPI-INF-3DHP's training files: `annot.mat` and `camera.calibration`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.body.joints import LSP14, MPI_INF_3DHP28, take_joints
from hmr.errors import UserError
from tfrecords_tools.common.frames3d import Frame
from tfrecords_tools.common.matlab import read_mat

DATASET = "mpi_inf_3dhp"
_MATRIX_SIZE = 16


@dataclass(frozen=True)
class Session:
    """One recording session.

    Attributes:
        folder: S<subject>/Seq<number>.
        name: S<subject>_Seq<number>.
        frames: (N,) 0-based frame numbers of the rows.
        joints2d_px: camera -> (N, 14, 2) LSP-14 joints.
        joints_mm: camera -> (N, 14, 3), camera frame.
        intrinsics_px: camera -> (3,) focal length, cx, cy in px.
    """

    folder: Path
    name: str
    frames: np.ndarray
    joints2d_px: dict[int, np.ndarray]
    joints_mm: dict[int, np.ndarray]
    intrinsics_px: dict[int, np.ndarray]

    def pictures(self, camera: int) -> Path | None:
        """Folder of a camera's extracted frames, if there is one."""
        folder = self.folder / "imageFrames" / f"video_{camera}"
        return folder if folder.is_dir() else None

    def video(self, camera: int) -> Path | None:
        """A camera's video, if there is one."""
        path = self.folder / "imageSequence" / f"video_{camera}.avi"
        return path if path.is_file() else None

    def folders(self) -> list[Path]:
        """Where its pictures and videos lie."""
        found = (self.folder / "imageFrames", self.folder / "imageSequence")
        return [folder for folder in found if folder.is_dir()]

    def frame(self, camera: int, row: int) -> Frame:
        """One row of one camera; copied, so that it does not keep the session in memory."""
        number = int(self.frames[row])
        folder = self.folder / "imageFrames" / f"video_{camera}"
        return Frame(
            path=folder / f"frame_{number + 1:06d}.jpg",
            dataset=DATASET,
            sequence=f"{self.name}_cam{camera}",
            frame=number,
            joints2d_px=self.joints2d_px[camera][row].copy(),
            joints3d_lsp_mm=self.joints_mm[camera][row].copy(),
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
    try:
        ids = content["cameras"].ravel().astype(int).tolist()
        points = [
            _by_camera(content[key], ids, size) for key, size in (("annot2", 2), ("annot3", 3))
        ]
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: annot2 and annot3 are not one cell a camera, N x 56 and N x 84 ({error})."
        ) from error
    rows = {len(joints) for joints in (*points[0].values(), *points[1].values())}
    frames = content["frames"].ravel().astype(int)
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
        raise UserError(f"{DATASET}: no file at {path}, which every sequence comes with.")
    cameras: dict[int, np.ndarray] = {}
    camera = None
    for keyword, *values in filter(None, map(str.split, path.read_text().splitlines())):
        if keyword == "name":
            camera = int(values[0])
        elif keyword == "intrinsic" and camera is not None and len(values) == _MATRIX_SIZE:
            matrix = np.array(values, np.float64).reshape(4, 4)
            cameras[camera] = np.array([matrix[[0, 1], [0, 1]].mean(), matrix[0, 2], matrix[1, 2]])
    if not cameras:
        raise UserError(f"{path} holds no `name` and `intrinsic` lines of a calibration.")
    return cameras
