"""Reads MATLAB files up to version 7, with errors that name the file, and writes them."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from hmr.errors import UserError
from hmr.files.foreign import reading
from tfrecords_tools.common.processes import read_apart

_VERSION_7_3 = 2  # scipy's number of the version whose files are HDF5


def read_mat(path: Path, variables: tuple[str, ...], **options: Any) -> dict[str, Any]:
    """Reads variables of a MATLAB file, in a process apart because scipy can crash on damage.

    Args:
        path: the file.
        variables: which ones; others are not loaded.
        **options: of `scipy.io.loadmat`.
    Raises:
        UserError: the file is missing, damaged, of version 7.3, or lacks a variable.
    """
    with reading(path, "readable MATLAB file of version 5 to 7", advice="Copy it again."):
        content = read_apart(partial(_load, variables=variables, options=options), path)
    if content is None:
        raise UserError(
            f"{path} is a MATLAB file of version 7.3, expected 5 to 7. Save it anew in MATLAB: "
            f"s = load('{path.name}'); save('{path.name}', '-struct', 's', '-v7')"
        )
    missing = [name for name in variables if name not in content]
    if missing:
        raise UserError(f"{path} lacks the variables {missing}: is it the file its name says?")
    return content


def _load(path: Path, variables: tuple[str, ...], options: dict[str, Any]) -> dict | None:
    """The variables that are there; None for a file of version 7.3."""
    if scipy.io.matlab.matfile_version(path)[0] == _VERSION_7_3:
        return None
    return scipy.io.loadmat(path, variable_names=list(variables), **options)


TEXT_BYTES = 116


def save_mat(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes a MATLAB v5 file without scipy's time of writing: equal arrays give equal bytes."""
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, arrays, do_compression=True)
    text = b"MATLAB 5.0 MAT-file, written by tfrecords_tools.standin".ljust(TEXT_BYTES)
    path.write_bytes(text + buffer.getvalue()[TEXT_BYTES:])
