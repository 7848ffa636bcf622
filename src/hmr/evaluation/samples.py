"""What an evaluation compares: ground truth from records, predictions of a model or of a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hmr.body.joints import LSP14
from hmr.body.smpl import SMPL
from hmr.data.batches import evaluation_batches
from hmr.errors import UserError
from hmr.evaluation.groups import select
from hmr.evaluation.meshes import Meshes, posed
from hmr.evaluation.pixels import PixelCounts

# The smallest image from which labels can be read along: the JPEGs are decoded at an eighth.
_LABELS_ONLY_PX = 28


@dataclass(frozen=True)
class Truth:
    """Ground truth of N samples, in the order of the records.

    Attributes:
        records: (N,) int, the record's number among those of the split.
        joints3d_lsp_m: (N, 14, 3) LSP joints in the camera's frame, metres; zero where absent. A
            15th is the pelvis, where the protocol's root is that.
        has_joints3d: (N,) bool.
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
        visibility: (N, 19) bool.
        rays: (N, 3) unit ray through the crop's centre, camera's axes; NaN without a camera.
        centers_px: (N, 2) x, y of the crop's centre in the stored picture.
        sizes_px: (N, 2) rows, columns of the stored picture.
        whole: (N,) bool, the stored picture is the dataset's own, neither scaled nor cut.
        poses, betas: (N, 72) and (N, 10) SMPL parameters; zero where absent.
        genders: (N,) str, the body that these belong to; empty where absent.
        names, sequences, activities: (N,) str, the record's own; empty where absent.
        meshes: the true bodies, where the protocol has them.
    """

    records: np.ndarray
    joints3d_lsp_m: np.ndarray
    has_joints3d: np.ndarray
    keypoints2d: np.ndarray
    visibility: np.ndarray
    rays: np.ndarray
    centers_px: np.ndarray
    sizes_px: np.ndarray
    whole: np.ndarray
    poses: np.ndarray
    betas: np.ndarray
    genders: np.ndarray
    names: np.ndarray
    sequences: np.ndarray
    activities: np.ndarray
    meshes: Meshes | None = None

    def __len__(self) -> int:
        return len(self.joints3d_lsp_m)

    def take(self, chosen: np.ndarray) -> Truth:
        """The chosen samples, by mask or indices."""
        return _take(self, chosen)


@dataclass(frozen=True)
class Prediction:
    """Estimates for N samples; what a method does not give is None.

    Attributes:
        joints3d_lsp_m: (N, 14, 3) LSP joints, metres, camera's axes (y down); a 15th as in `Truth`.
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
        cameras: (N, 3) weak perspective s, tx, ty of the crop.
        meshes: bodies in the camera's axes.
        pixels: how the drawn bodies compare with annotations, see `hmr.evaluation.segmentation`.
    """

    joints3d_lsp_m: np.ndarray | None = None
    keypoints2d: np.ndarray | None = None
    cameras: np.ndarray | None = None
    meshes: Meshes | None = None
    pixels: PixelCounts | None = None

    def take(self, chosen: np.ndarray) -> Prediction:
        """The chosen samples, by mask or indices."""
        return _take(self, chosen)


def _take(samples: Any, chosen: np.ndarray) -> Any:
    """Every field's chosen samples: arrays are indexed, others have a `take` of their own."""

    def part(value: Any) -> Any:
        if value is None:
            return None
        return value[chosen] if isinstance(value, np.ndarray) else value.take(chosen)

    return replace(samples, **{f.name: part(getattr(samples, f.name)) for f in fields(samples)})


_TRUTH_KEYS = {
    "records": "record",
    "joints3d_lsp_m": "joints3d_lsp_m",
    "has_joints3d": "has_joints3d",
    "keypoints2d": "keypoints2d",
    "visibility": "visibility",
    "rays": "ray",
    "centers_px": "center_px",
    "sizes_px": "size_px",
    "whole": "whole",
    "poses": "pose",
    "betas": "beta",
    "genders": "gender",
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
    quiet: bool = False,
) -> tuple[Prediction, Truth]:
    """Runs a model over the records.

    Args:
        model: `hmr.network.hmr.HMR`.
        paths: shards.
        batch_size: images at a time.
        limit: how many records are read, all by default.
        selection: key of `hmr.evaluation.groups.SELECTIONS`: of these, which are predicted.
        quiet: show no progress.

    Raises:
        UserError: there is no such record.
    """
    batches = _numbered(evaluation_batches(paths, model.input_size, batch_size, limit))
    outputs, labels = [], []
    chosen = _selected(batches, selection)
    for batch in tqdm(chosen, desc="predicting", unit="batch", disable=quiet):
        predicted = model.predict_on_batch(batch.pop("images"))
        outputs.append({key: predicted[key] for key in _MODEL_KEYS})
        labels.append(batch)
    truth = _truth(labels, paths)
    columns = {key: np.concatenate([part[key] for part in outputs]) for key in _MODEL_KEYS}
    return _of_model(columns, model.smpl), truth


_MODEL_KEYS = ("joints3d", "keypoints2d", "camera", "pose", "beta")


def _of_model(outputs: dict[str, np.ndarray], smpl: SMPL) -> Prediction:
    return Prediction(
        joints3d_lsp_m=outputs["joints3d"][:, : len(LSP14)],
        keypoints2d=outputs["keypoints2d"],
        cameras=outputs["camera"],
        meshes=posed(smpl, outputs["pose"], outputs["beta"]),
    )


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


def crop_rays(intrinsics_px: np.ndarray, center_px: np.ndarray) -> np.ndarray:
    """Unit rays (N, 3) through pixels (N, 2) for intrinsics (N, 3) of focal length, cx, cy."""
    offset = (center_px - intrinsics_px[:, 1:]) / intrinsics_px[:, :1]
    rays = np.concatenate([offset, np.ones_like(offset[:, :1])], axis=1)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _truth(batches: Iterable[dict], paths: Sequence[str]) -> Truth:
    columns: dict[str, list] = {field: [] for field in _TRUTH_KEYS}
    for batch in batches:
        batch["ray"] = crop_rays(batch["intrinsics_px"], batch["center_px"])
        unscaled = (batch["scale_factors"] == 1).all(axis=1)
        batch["whole"] = unscaled & (batch["crop_origin_px"] == 0).all(axis=1)
        for field, key in _TRUTH_KEYS.items():
            columns[field].append(batch[key])
    if not columns["names"]:
        raise UserError(f"{Path(paths[0]).parent} holds no record that the protocol scores.")
    arrays: dict[str, Any] = {field: np.concatenate(parts) for field, parts in columns.items()}
    for field in ("has_joints3d", "visibility"):
        arrays[field] = arrays[field] > 0
    for field in ("genders", "names", "sequences", "activities"):
        arrays[field] = _decoded(arrays[field])
    return Truth(**arrays)


def _decoded(texts: np.ndarray) -> np.ndarray:
    return np.array([text.decode(errors="replace") for text in texts])
