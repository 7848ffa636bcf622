"""What an evaluation compares: ground truth from records, predictions of a model or of a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src.body.joints import COCOPLUS, LSP14
from src.body.safe_npz import load_npz
from src.data.batches import evaluation_batches
from src.errors import UserError

# The smallest image from which labels can be read along: the JPEGs are decoded at an eighth.
_LABELS_ONLY_PX = 28


@dataclass(frozen=True)
class Truth:
    """Ground truth of N samples, in the order of the records.

    Attributes:
        joints3d_m: (N, 14, 3) LSP joints in the camera's frame, metres; zero where absent.
        has_joints3d: (N,) bool.
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
        visibility: (N, 19) bool.
        names, sequences, activities: (N,) str, the record's own; empty where absent.
    """

    joints3d_m: np.ndarray
    has_joints3d: np.ndarray
    keypoints2d: np.ndarray
    visibility: np.ndarray
    names: np.ndarray
    sequences: np.ndarray
    activities: np.ndarray

    def __len__(self) -> int:
        return len(self.joints3d_m)


@dataclass(frozen=True)
class Prediction:
    """Estimates for N samples; what a method does not give is None.

    Attributes:
        joints3d_m: (N, 14, 3) LSP joints, metres, camera's axes (y down).
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
    """

    joints3d_m: np.ndarray | None
    keypoints2d: np.ndarray | None


_TRUTH_KEYS = {
    "joints3d_m": "joints3d",
    "has_joints3d": "has_joints3d",
    "keypoints2d": "keypoints2d",
    "visibility": "visibility",
    "names": "filename",
    "sequences": "sequence",
    "activities": "activity",
}


def read_truth(paths: Sequence[str], limit: int | None = None) -> Truth:
    """Labels of the records in `paths`, without running a model.

    Raises:
        UserError: there is no record.
    """
    batches = evaluation_batches(paths, _LABELS_ONLY_PX, 64, limit)
    return _truth(tqdm(batches, desc="reading labels", unit="batch"), paths)


def predict_split(
    model: Any, paths: Sequence[str], batch_size: int, limit: int | None = None
) -> tuple[Prediction, Truth]:
    """Runs a model over the records.

    Args:
        model: `src.network.hmr.HMR`.
        paths: shards.
        batch_size: images at a time.
        limit: how many records, all by default.
    """
    batches = evaluation_batches(paths, model.input_size, batch_size, limit)
    joints, keypoints, labels = [], [], []
    for batch in tqdm(batches, desc="predicting", unit="batch"):
        outputs = model.predict_on_batch(batch.pop("images"))
        joints.append(outputs["joints3d"][:, : len(LSP14)])
        keypoints.append(outputs["keypoints2d"])
        labels.append(batch)
    truth = _truth(labels, paths)
    return Prediction(np.concatenate(joints), np.concatenate(keypoints)), truth


def read_predictions(path: str | Path, truth: Truth) -> Prediction:
    """Any method's predictions, one row for each record in the records' order.

    Args:
        path: an .npz with `joints3d` (N, 14 or 19, 3) in metres, camera's axes, and/or
            `keypoints2d` (N, 19, 2) normalised to the crop; with `filename` (N,) the order is
            checked.
        truth: of the same records.

    Raises:
        UserError: keys, shapes, values or names do not fit.
    """
    arrays = load_npz(path)
    known = {"joints3d": (len(COCOPLUS), 3), "keypoints2d": (len(COCOPLUS), 2)}
    if not known.keys() & arrays.keys():
        raise UserError(
            f"{path} needs joints3d (N, 14 or 19, 3) and/or keypoints2d (N, 19, 2). "
            f"Received: {', '.join(sorted(arrays))}"
        )
    if "filename" in arrays:
        _check_names(path, arrays["filename"], truth)
    joints, keypoints = (
        _prediction_array(path, name, arrays.get(name), (len(truth), *shape))
        for name, shape in known.items()
    )
    return Prediction(None if joints is None else joints[:, : len(LSP14)], keypoints)


def _truth(batches: Iterable[dict], paths: Sequence[str]) -> Truth:
    columns: dict[str, list] = {field: [] for field in _TRUTH_KEYS}
    for batch in batches:
        for field, key in _TRUTH_KEYS.items():
            columns[field].append(batch[key])
    if not columns["names"]:
        raise UserError(f"{paths[0]} holds no record. Run make tfrecords again.")
    arrays = {field: np.concatenate(parts) for field, parts in columns.items()}
    for field in ("has_joints3d", "visibility"):
        arrays[field] = arrays[field] > 0
    for field in ("names", "sequences", "activities"):
        arrays[field] = np.array([text.decode(errors="replace") for text in arrays[field]])
    return Truth(**arrays)


def _check_names(path: str | Path, received: np.ndarray, truth: Truth) -> None:
    pairs = itertools.zip_longest(received.tolist(), truth.names.tolist())
    for index, (got, expected) in enumerate(pairs):
        name = got.decode(errors="replace") if isinstance(got, bytes) else got
        if name != expected:
            raise UserError(
                f"{path}: filename must follow the records' order. Row {index}: expected "
                f"{expected!r}. Received: {name!r}"
            )


def _prediction_array(
    path: str | Path, name: str, array: np.ndarray | None, shape: tuple[int, ...]
) -> np.ndarray | None:
    if array is None:
        return None
    allowed = [shape]
    if name == "joints3d":
        allowed.append((shape[0], len(LSP14), 3))
    if array.shape not in allowed or array.dtype.kind != "f":
        raise UserError(
            f"{path}: {name} must be floats of shape {' or '.join(map(str, allowed))}, one row for "
            f"each record. Received: {array.dtype} {array.shape}"
        )
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        raise UserError(f"{path}: {name} is not finite, first in row {row}.")
    return array
