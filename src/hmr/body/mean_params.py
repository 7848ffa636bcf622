"""Reads the mean pose and shape from which the regressor starts, Theta_0 (paper section 3.2)."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np

from hmr.errors import UserError
from hmr.files.foreign import reading

_MAX_BYTES = 1 << 24
SHAPES = {"pose": (72,), "shape": (10,)}
WHERE_FROM = (
    "It is neutral_smpl_mean_params.h5 of the authors' models.tar.gz; without it, set "
    "--config.mean_params=mocap to use the mean of the mocap records."
)


def read_mean_params(path: str | os.PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Reads the authors' `neutral_smpl_mean_params.h5` as it is.

    Args:
        path: an HDF5 file with the datasets `pose` and `shape`.
    Returns:
        pose (72,) axis-angles in radians, including the root, and beta (10,); float32.
    Raises:
        UserError: the file is missing or not an HDF5 file, or a dataset is missing, has another
            shape or is not finite.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no mean parameters at {path}. {WHERE_FROM}")
    with reading(path, "readable HDF5 file", _MAX_BYTES, WHERE_FROM), h5py.File(path) as file:
        values = [_read_dataset(file, key, path) for key in SHAPES]
    return values[0], values[1]


def _read_dataset(file: h5py.File, key: str, path: Path) -> np.ndarray:
    dataset = file.get(key)
    if not isinstance(dataset, h5py.Dataset):
        raise UserError(f"{path} has no dataset {key!r}; it holds {sorted(file)}. {WHERE_FROM}")
    if dataset.shape != SHAPES[key] or dataset.dtype.kind not in "fiu":
        raise UserError(
            f"{path}: {key} must hold numbers of shape {SHAPES[key]}. "
            f"Received: {dataset.dtype} {dataset.shape}."
        )
    value = dataset[()].astype(np.float32)
    if not np.isfinite(value).all():
        raise UserError(f"{path}: {key} holds values that are not finite.")
    return value
