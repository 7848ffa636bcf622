"""Raw network inputs from a file: the way to compare with any other implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from hmr.errors import UserError
from hmr.files.whole import write_whole
from hmr.prediction.predictor import Predictor


def open_crops(path: Path) -> np.ndarray:
    """Maps an .npy file of crops into memory.

    Raises:
        UserError: it is missing, no .npy file, holds objects, or no crop.
    """
    if not path.is_file():
        raise UserError(f"--crops {path}: no such file")
    try:
        crops = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not an .npy file of numbers: {error}") from error
    if not isinstance(crops, np.ndarray) or len(crops.shape) == 0 or len(crops) == 0:
        raise UserError(f"{path} holds no crops: expected one .npy array (N, S, S, 3) float32")
    return crops


def predict_crops_file(
    predictor: Predictor,
    crops: np.ndarray,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, np.ndarray]:
    """The network's outputs for any number of crops, a batch at a time.

    Args:
        predictor: the loaded model.
        crops: (N, S, S, 3) float32; may be a memory map.
        progress: wraps the batches, for a progress bar.

    Raises:
        UserError: shape or type do not fit the model, or a value is not finite.
    """
    parts = []
    for start in progress(range(0, len(crops), predictor.batch_size)):
        batch = np.ascontiguousarray(crops[start : start + predictor.batch_size])
        if batch.dtype.kind == "f" and not np.isfinite(batch).all():
            raise UserError(f"crops {start} to {start + len(batch) - 1}: a value is not finite")
        parts.append(predictor.predict_crops(batch))
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def save_crops_outputs(path: Path, outputs: dict[str, Any]) -> None:
    """Writes the outputs as npz under their names in `Predictor.predict_crops`."""
    write_whole(path, lambda file: np.savez(file, **outputs))
