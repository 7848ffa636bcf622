"""Reads Human3.6M's pose files (CDF), in a process apart: on damage cdflib can search for ever."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import H36M32
from hmr.files.foreign import check_size
from tfrecords_tools.common.cli import need_library
from tfrecords_tools.common.jobs import SampleError, reading_sample
from tfrecords_tools.common.processes import read_apart

_VARIABLE = "Pose"
_MAX_BYTES = 1 << 26


def count_rows(path: Path, dimensions: int) -> int:
    """Number of frames of a pose file, from its header; arguments as those of `read_positions`.

    Raises:
        SampleError: missing or unreadable.
    """
    return _read_cdf(partial(_count_rows, dimensions=dimensions), path)


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
    return _read_cdf(partial(_read_positions, dimensions=dimensions), path)


def _read_cdf(read: Callable[[Path], Any], path: Path) -> Any:
    """What `read` finds, in a process apart: on damaged files cdflib can search for ever."""
    need_library("cdflib", "reading Human3.6M's poses")
    if not path.is_file():
        raise SampleError("missing annotations", str(path))
    with reading_sample("unreadable annotations", path):
        check_size(path, _MAX_BYTES)
        return read_apart(read, path)


def _count_rows(path: Path, dimensions: int) -> int:
    import cdflib

    shape = cdflib.CDF(path).varinq(_VARIABLE)
    rows = (shape.Last_Rec + 1) * int(np.prod(shape.Dim_Sizes)) // (len(H36M32) * dimensions)
    if not 0 <= rows <= _MAX_BYTES:
        raise ValueError(f"{rows} frames")
    return rows


def _read_positions(path: Path, dimensions: int) -> np.ndarray:
    import cdflib

    values = np.asarray(cdflib.CDF(path).varget(_VARIABLE), np.float32)
    return values.reshape(-1, len(H36M32), dimensions)  # (N, 32, 2 or 3)
