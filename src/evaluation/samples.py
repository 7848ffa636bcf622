"""What an evaluation compares: ground truth from records, predictions of a model or of a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from src.body.joints import COCOPLUS, LSP14
from src.body.safe_npz import load_npz
from src.data.batches import evaluation_batches
from src.errors import UserError
from src.evaluation.groups import select

# The smallest image from which labels can be read along: the JPEGs are decoded at an eighth.
_LABELS_ONLY_PX = 28


@dataclass(frozen=True)
class Truth:
    """Ground truth of N samples, in the order of the records.

    Attributes:
        records: (N,) int, the record's number among those of the split.
        joints3d_m: (N, 14, 3) LSP joints in the camera's frame, metres; zero where absent.
        has_joints3d: (N,) bool.
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
        visibility: (N, 19) bool.
        rays: (N, 3) unit ray through the crop's centre, camera's axes; NaN without a camera.
        names, sequences, activities: (N,) str, the record's own; empty where absent.
    """

    records: np.ndarray
    joints3d_m: np.ndarray
    has_joints3d: np.ndarray
    keypoints2d: np.ndarray
    visibility: np.ndarray
    rays: np.ndarray
    names: np.ndarray
    sequences: np.ndarray
    activities: np.ndarray

    def __len__(self) -> int:
        return len(self.joints3d_m)

    def take(self, chosen: np.ndarray) -> Truth:
        """The chosen samples, by mask or indices."""
        return Truth(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


@dataclass(frozen=True)
class Prediction:
    """Estimates for N samples; what a method does not give is None.

    Attributes:
        joints3d_m: (N, 14, 3) LSP joints, metres, camera's axes (y down).
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
    """

    joints3d_m: np.ndarray | None
    keypoints2d: np.ndarray | None

    def take(self, chosen: np.ndarray) -> Prediction:
        """The chosen samples, by mask or indices."""
        parts = (self.joints3d_m, self.keypoints2d)
        return Prediction(*(None if part is None else part[chosen] for part in parts))


_TRUTH_KEYS = {
    "records": "record",
    "joints3d_m": "joints3d",
    "has_joints3d": "has_joints3d",
    "keypoints2d": "keypoints2d",
    "visibility": "visibility",
    "rays": "ray",
    "names": "filename",
    "sequences": "sequence",
    "activities": "activity",
}


def read_truth(paths: Sequence[str], limit: int | None = None) -> Truth:
    """Labels of the records in `paths`, without running a model.

    Raises:
        UserError: there is no record.
    """
    batches = _numbered(evaluation_batches(paths, _LABELS_ONLY_PX, 64, limit))
    return _truth(tqdm(batches, desc="reading labels", unit="batch"), paths)


def predict_split(
    model: Any,
    paths: Sequence[str],
    batch_size: int,
    limit: int | None = None,
    selection: str = "",
) -> tuple[Prediction, Truth]:
    """Runs a model over the records.

    Args:
        model: `src.network.hmr.HMR`.
        paths: shards.
        batch_size: images at a time.
        limit: how many records are read, all by default.
        selection: key of `src.evaluation.groups.SELECTIONS`: of these, which are predicted.

    Raises:
        UserError: there is no such record.
    """
    batches = _numbered(evaluation_batches(paths, model.input_size, batch_size, limit))
    joints, keypoints, labels = [], [], []
    for batch in tqdm(_selected(batches, selection), desc="predicting", unit="batch"):
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


def _numbered(batches: Iterable[dict]) -> Iterator[dict]:
    count = 0
    for batch in batches:
        size = len(batch["filename"])
        yield {**batch, "record": np.arange(count, count + size)}
        count += size


def _selected(batches: Iterable[dict], selection: str) -> Iterator[dict]:
    for batch in batches:
        chosen = select(selection, _decoded(batch["sequence"]))
        if chosen.any():
            yield {key: values[chosen] for key, values in batch.items()}


def crop_rays(camera: np.ndarray, center_px: np.ndarray) -> np.ndarray:
    """Unit rays (N, 3) through pixels (N, 2) for cameras (N, 3) of focal length, cx, cy."""
    offset = (center_px - camera[:, 1:]) / camera[:, :1]
    rays = np.concatenate([offset, np.ones_like(offset[:, :1])], axis=1)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _truth(batches: Iterable[dict], paths: Sequence[str]) -> Truth:
    columns: dict[str, list] = {field: [] for field in _TRUTH_KEYS}
    for batch in batches:
        batch["ray"] = crop_rays(batch["camera"], batch["center_px"])
        for field, key in _TRUTH_KEYS.items():
            columns[field].append(batch[key])
    if not columns["names"]:
        raise UserError(f"{Path(paths[0]).parent} holds no record that the protocol scores.")
    arrays = {field: np.concatenate(parts) for field, parts in columns.items()}
    for field in ("has_joints3d", "visibility"):
        arrays[field] = arrays[field] > 0
    for field in ("names", "sequences", "activities"):
        arrays[field] = _decoded(arrays[field])
    return Truth(**arrays)


def _decoded(texts: np.ndarray) -> np.ndarray:
    return np.array([text.decode(errors="replace") for text in texts])


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
