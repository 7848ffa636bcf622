"""Readers of Human3.6M's official files: metadata.xml, poses in CDF, the authors' SMPL fits."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hmr.body.joints import H36M32
from hmr.errors import UserError
from hmr.files.safe_pickle import safe_load
from tfrecords_tools.common.cli import need_library
from tfrecords_tools.common.jobs import SampleError

NUM_CAMERAS = 4
NUM_SUBJECTS = 11
NUM_TAKES = 32
_EXTRINSIC, _INTRINSIC = 6, 9
_NUMBERS = NUM_CAMERAS * (NUM_SUBJECTS * _EXTRINSIC + _INTRINSIC)
_VARIABLE = "Pose"
_UNREADABLE_FITS = "unreadable SMPL fits (the joints are kept)"


@dataclass(frozen=True)
class Metadata:
    """What metadata.xml says.

    Attributes:
        prefixes: (subject, action, subaction), all from 1 -> what its files' names begin with.
        camera_names: the four cameras' numbers, as the files' names carry them.
        numbers: (300,) camera parameters.
    """

    prefixes: dict[tuple[int, int, int], str]
    camera_names: list[str]
    numbers: np.ndarray

    def intrinsics_px(self, index: int) -> np.ndarray:
        """(3,) focal length (mean of both axes), cx, cy of a camera (from 0), px."""
        start = NUM_CAMERAS * NUM_SUBJECTS * _EXTRINSIC + index * _INTRINSIC
        fx, fy, cx, cy = self.numbers[start : start + 4]
        return np.array([(fx + fy) / 2, cx, cy])


def read_metadata(path: Path) -> Metadata:
    """Reads metadata.xml.

    Raises:
        UserError: the file is no metadata.xml of Human3.6M.
    """
    try:
        root = ElementTree.parse(path).getroot()
        rows = [[cell.text or "" for cell in row] for row in _element(root, "mapping")]
        cameras = [item.text or "" for item in _element(root, "dbcameras/index2id")]
        numbers = np.array((_element(root, "w0").text or "").strip(" []\n").split(), np.float64)
        prefixes = _read_prefixes(rows)
    except (OSError, ElementTree.ParseError, ValueError, IndexError) as error:
        raise UserError(f"{path} is no metadata.xml of Human3.6M: {error}.") from error
    if len(cameras) != NUM_CAMERAS or numbers.shape != (_NUMBERS,):
        raise UserError(
            f"{path}: {len(cameras)} cameras and {numbers.size} camera numbers, expected "
            f"{NUM_CAMERAS} and {_NUMBERS}."
        )
    return Metadata(prefixes, cameras, numbers)


def _element(root: ElementTree.Element, name: str) -> ElementTree.Element:
    found = root.find(name)
    if found is None:
        raise ValueError(f"<{name}> is missing")
    return found


def _read_prefixes(rows: list[list[str]]) -> dict[tuple[int, int, int], str]:
    """A row of subjects S1 ..., then per take: action, subaction, and a name for each subject."""
    subjects = [int(name.removeprefix("S")) for name in rows[0][2:]]
    return {
        (subject, int(action), int(subaction)): prefix
        for action, subaction, *names in rows[1 : NUM_TAKES + 1]
        for subject, prefix in zip(subjects, names, strict=True)
    }


def count_rows(path: Path, dimensions: int) -> int:
    """Number of frames of a pose file, from its header; arguments as those of `read_positions`.

    Raises:
        SampleError: missing or unreadable.
    """
    cdflib = need_library("cdflib", "reading Human3.6M's poses")
    try:
        shape = cdflib.CDF(path).varinq(_VARIABLE)
        numbers = (shape.Last_Rec + 1) * int(np.prod(shape.Dim_Sizes))
        return numbers // (len(H36M32) * dimensions)
    except FileNotFoundError as error:
        raise SampleError("missing annotations", str(path)) from error
    except Exception as error:  # cdflib raises whatever a damaged header leads to
        raise SampleError("unreadable annotations", f"{path}: {error!r}") from error


def read_positions(path: Path, dimensions: int) -> np.ndarray:
    """Reads a pose file.

    Args:
        path: the .cdf.
        dimensions: 2 (px) or 3 (mm).
    Returns:
        (N, 32, dimensions) float32.
    Raises:
        SampleError: missing, unreadable, or of another shape.
    """
    cdflib = need_library("cdflib", "reading Human3.6M's poses")
    try:
        values = np.asarray(cdflib.CDF(path).varget(_VARIABLE), np.float32)
        return values.reshape(-1, len(H36M32), dimensions)
    except FileNotFoundError as error:
        raise SampleError("missing annotations", str(path)) from error
    except Exception as error:  # cdflib raises whatever damage leads to
        raise SampleError("unreadable annotations", f"{path}: {error!r}") from error


def read_fits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the authors' SMPL fits of one video, `<take>_cam<c>_aligned.pkl`.

    The fits' root rotation stands on its head: it is turned about the body's own x axis by half a
    turn, after which the body projects onto the picture.

    Returns:
        poses (N, 72), rad, root in the camera frame, row j for frame 5 j; beta (10,).
    Raises:
        SampleError: unreadable or of another layout.
    """
    try:
        content = safe_load(path)
        poses = np.array(content["new_poses"], np.float64).reshape(-1, 72)
        beta = np.asarray(content["betas"], np.float32).ravel()[:10]
    except (UserError, KeyError, TypeError, ValueError) as error:
        raise SampleError(_UNREADABLE_FITS, f"{path}: {error}") from error
    if beta.shape != (10,) or not (np.isfinite(poses).all() and np.isfinite(beta).all()):
        raise SampleError(_UNREADABLE_FITS, f"{path}: beta of {beta.size} numbers, or NaN")
    upright = Rotation.from_rotvec(poses[:, :3]) * Rotation.from_rotvec([np.pi, 0, 0])
    poses[:, :3] = upright.as_rotvec()
    return poses.astype(np.float32), beta
