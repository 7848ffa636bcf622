"""Matlab files that depend on nothing but their content."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import scipy.io

TEXT_BYTES = 116


def save_mat(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a Matlab v5 file; its free text does not tell the hour, as scipy's does."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays, do_compression=True)
    text = b"MATLAB 5.0 MAT-file, written by tfrecords_tools.standin".ljust(TEXT_BYTES)
    path.write_bytes(text + buffer.getvalue()[TEXT_BYTES:])
