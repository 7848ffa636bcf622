"""What an evaluation compares: ground truth from records, predictions of a model or of a file."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import COCOPLUS, LSP14
from hmr.body.model_file import NUM_BETAS, NUM_JOINTS, NUM_VERTICES
from hmr.body.smpl import SMPL
from hmr.data.pipeline import evaluation_batches
from hmr.errors import UserError
from hmr.evaluation.meshes import Columns, GivenMeshes, Meshes, PosedBodies, posed, regress
from hmr.evaluation.protocols import select_sequences
from hmr.files.foreign import MAX_BYTES
from hmr.files.safe_npz import load_npz
from hmr.fitting.fit import Fitter
from hmr.network.hmr import bodies_of
from hmr.progress import progress_bar

# Where only labels are wanted the crops are made this small, which reads fastest: the JPEGs are
# then decoded at an eighth of their size.
_LABELS_ONLY_PX = 28
_FITTED_AT_ONCE = 256


@dataclass(frozen=True)
class PixelCounts(Columns):
    """How N samples' drawn bodies compare with annotations, see `hmr.evaluation.segmentation`.

    A sample that does not count has zeros everywhere.

    Attributes:
        foreground: (N, 2, 2) pixels by annotation and prediction.
        parts: (N, 7, 7) pixels by annotated and predicted part, without ignored pixels.
        parts_right: (N,) pixels with the right part; ignored ones count as background.
        pixels: (N,) all pixels of the annotation.
        notes: what the reader of the numbers has to know.
    """

    foreground: np.ndarray
    parts: np.ndarray
    parts_right: np.ndarray
    pixels: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Truth(Columns):
    """Ground truth of N samples, in the order of the records.

    Attributes:
        record: (N,) int, the record's number among those of the split.
        joints3d_lsp_m: (N, 14, 3) LSP joints in the camera's frame, metres; zero where absent. With
            a protocol whose root is the pelvis, that is a 15th joint.
        has_joints3d: (N,) bool.
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
        visibility: (N, 19) bool.
        ray: (N, 3) unit ray through the crop's centre, camera's axes; NaN without intrinsics.
        center_px: (N, 2) x, y of the crop's centre in the stored picture.
        size_px: (N, 2) rows, columns of the stored picture.
        whole: (N,) bool, the stored picture is the dataset's own, neither scaled nor cut.
        pose, beta: (N, 72) and (N, 10) SMPL parameters; zero where absent.
        gender: (N,) str, the body that these belong to; empty where absent.
        filename, sequence, activity: (N,) str, the record's own; empty where absent.
        meshes: the true bodies; None where the protocol has none.
    """

    record: np.ndarray
    joints3d_lsp_m: np.ndarray
    has_joints3d: np.ndarray
    keypoints2d: np.ndarray
    visibility: np.ndarray
    ray: np.ndarray
    center_px: np.ndarray
    size_px: np.ndarray
    whole: np.ndarray
    pose: np.ndarray
    beta: np.ndarray
    gender: np.ndarray
    filename: np.ndarray
    sequence: np.ndarray
    activity: np.ndarray
    meshes: Meshes | None = None

    def __len__(self) -> int:
        return len(self.joints3d_lsp_m)


@dataclass(frozen=True)
class Prediction(Columns):
    """Estimates for N samples; what a method does not give is None.

    Attributes:
        joints3d_lsp_m: (N, 14, 3) LSP joints, metres, camera's axes (y down); a 15th as in `Truth`.
        keypoints2d: (N, 19, 2) cocoplus, normalised to the crop.
        camera: (N, 3) weak perspective s, tx, ty of the crop.
        meshes: bodies in the camera's axes.
        pixels: how the drawn bodies compare with annotations.
    """

    joints3d_lsp_m: np.ndarray | None = None
    keypoints2d: np.ndarray | None = None
    camera: np.ndarray | None = None
    meshes: Meshes | None = None
    pixels: PixelCounts | None = None


_FLAGS = ("has_joints3d", "visibility")
_TEXTS = ("gender", "filename", "sequence", "activity")
_RECORD_FIELDS = tuple(field.name for field in fields(Truth) if field.name != "meshes")


def read_truth(paths: Sequence[str], limit: int | None = None) -> Truth:
    """Labels of the records in `paths`, without running a model.

    Raises:
        UserError: there is no record.
    """
    batches = _numbered(evaluation_batches(paths, _LABELS_ONLY_PX, 64, limit))
    return _truth(progress_bar(batches, desc="reading labels", unit="batch"), paths)


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
        selection: key of `hmr.evaluation.protocols.SELECTIONS`: which of these are predicted.
        quiet: show no progress.

    Raises:
        UserError: there is no record that the selection keeps.
    """
    batches = _numbered(evaluation_batches(paths, model.input_size, batch_size, limit))
    outputs, labels = [], []
    chosen = _selected(batches, selection)
    for batch in progress_bar(chosen, desc="predicting", unit="batch", disable=quiet):
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
        camera=outputs["camera"],
        meshes=posed(smpl, outputs["pose"], outputs["beta"]),
    )


def moved_onto_keypoints(fitter: Fitter, prediction: Prediction, truth: Truth) -> Prediction:
    """A model's prediction with every body fitted to the true keypoints, see `hmr.fitting.fit`.

    Args:
        fitter: of the model's body.
        prediction: of `predict_split`.
        truth: of the same samples.
    """
    assert isinstance(prediction.meshes, PosedBodies) and prediction.camera is not None
    bodies, parts = prediction.meshes, []
    theta = np.concatenate([prediction.camera, bodies.pose, bodies.beta], axis=1)  # (N, 85)
    for start in progress_bar(range(0, len(theta), _FITTED_AT_ONCE), desc="fitting", unit="batch"):
        chosen = slice(start, start + _FITTED_AT_ONCE)
        given = truth.keypoints2d[chosen], truth.visibility[chosen]
        parts.append(bodies_of(fitter.fit(theta[chosen], *given), fitter.smpl))
    columns = {key: np.concatenate([part[key] for part in parts]) for key in _MODEL_KEYS}
    return _of_model(columns, fitter.smpl)


def _numbered(batches: Iterable[dict]) -> Iterator[dict]:
    """The batches with `record`, each sample's number counted through all of them."""
    count = 0
    for batch in batches:
        size = len(batch["filename"])
        yield {**batch, "record": np.arange(count, count + size)}
        count += size


def _selected(batches: Iterable[dict], selection: str) -> Iterator[dict]:
    """The samples of each batch that the protocol scores; batches without any are left out."""
    for batch in batches:
        chosen = select_sequences(selection, _decoded(batch["sequence"]))
        if chosen.any():
            yield {key: values[chosen] for key, values in batch.items()}


def crop_rays(intrinsics_px: np.ndarray, center_px: np.ndarray) -> np.ndarray:
    """Unit rays (N, 3) through pixels (N, 2) for intrinsics (N, 3) of focal length, cx, cy.

    Camera's axes: x right, y down, z away. NaN where the intrinsics are.
    """
    offset = (center_px - intrinsics_px[:, 1:]) / intrinsics_px[:, :1]  # (N, 2): x / z, y / z
    ray = np.concatenate([offset, np.ones_like(offset[:, :1])], axis=1)  # (N, 3)
    return ray / np.linalg.norm(ray, axis=1, keepdims=True)


def _truth(batches: Iterable[dict], paths: Sequence[str]) -> Truth:
    columns: dict[str, list] = {name: [] for name in _RECORD_FIELDS}
    for batch in batches:
        unscaled = (batch["scale_factors"] == 1).all(axis=1)
        derived = {
            "ray": crop_rays(batch["intrinsics_px"], batch["center_px"]),
            "whole": unscaled & (batch["crop_origin_px"] == 0).all(axis=1),
        }
        for name, parts in columns.items():
            parts.append(derived[name] if name in derived else batch[name])
    if not columns["record"]:
        raise UserError(f"{Path(paths[0]).parent} holds no record that the protocol scores.")
    arrays: dict[str, Any] = {name: np.concatenate(parts) for name, parts in columns.items()}
    arrays |= {name: arrays[name] > 0 for name in _FLAGS}
    arrays |= {name: _decoded(arrays[name]) for name in _TEXTS}
    return Truth(**arrays)


def _decoded(texts: np.ndarray) -> np.ndarray:
    return np.array([text.decode(errors="replace") for text in texts])


_FILE_KEYS = {
    "joints3d": ((len(LSP14), 3), (len(COCOPLUS), 3)),
    "keypoints2d": ((len(COCOPLUS), 2),),
    "camera": ((3,),),
    "vertices": ((NUM_VERTICES, 3),),
    "pose": ((3 * NUM_JOINTS,),),
    "beta": ((NUM_BETAS,),),
}
"""Key of a file of predictions -> the shapes that one row may have."""


def read_predictions(path: str | Path, truth: Truth, smpl: SMPL | None = None) -> Prediction:
    """Any method's predictions, one row for each record in the records' order.

    Args:
        path: an .npz with some of
            `joints3d` (N, 14 or 19, 3), metres, camera's axes;
            `keypoints2d` (N, 19, 2), normalised to the crop;
            `camera` (N, 3), weak perspective s, tx, ty of the crop;
            `vertices` (N, 6890, 3), metres, camera's axes; or in their place
            `pose` (N, 72) axis-angles, root first, and `beta` (N, 10);
            `filename` (N,), with which the order is checked.
        truth: of the same records.
        smpl: the body of `pose` and `beta`; it also regresses the joints if only a mesh is given.

    Raises:
        UserError: keys, shapes, values or names do not fit.
    """
    arrays = load_npz(path, 2 * MAX_BYTES // 3)
    if not _FILE_KEYS.keys() & arrays.keys():
        raise UserError(
            f"{path} needs joints3d (N, 14 or 19, 3), keypoints2d (N, 19, 2), or more: see python "
            f"-m src.evaluate --help. Received: {', '.join(sorted(arrays))}"
        )
    if "filename" in arrays:
        _check_names(path, arrays["filename"], truth)
    found = {
        name: _checked(path, name, arrays[name], len(truth)) for name in _FILE_KEYS.keys() & arrays
    }
    meshes = _meshes(path, found, smpl)
    joints = found.get("joints3d")
    if joints is None and meshes is not None and smpl is not None:
        joints = regress(meshes, smpl.body.cocoplus_regressor, "joints of the meshes")
    return Prediction(
        joints3d_lsp_m=None if joints is None else joints[:, : len(LSP14)],
        keypoints2d=found.get("keypoints2d"),
        camera=found.get("camera"),
        meshes=meshes,
    )


def _meshes(path: str | Path, found: dict[str, np.ndarray], smpl: SMPL | None) -> Meshes | None:
    if "vertices" in found:
        return GivenMeshes(found["vertices"])
    parameters = found.keys() & {"pose", "beta"}
    if not parameters:
        return None
    if len(parameters) == 1 or smpl is None:
        raise UserError(
            f"{path}: pose and beta come together, and with the body that they belong to: --body "
            f"models/smpl_neutral.npz. Received: {', '.join(sorted(parameters))}, body "
            f"{'given' if smpl else 'missing'}"
        )
    return posed(smpl, found["pose"], found["beta"])


def _check_names(path: str | Path, received: np.ndarray, truth: Truth) -> None:
    pairs = itertools.zip_longest(received.tolist(), truth.filename.tolist())
    for index, (got, expected) in enumerate(pairs):
        name = got.decode(errors="replace") if isinstance(got, bytes) else got
        if name != expected:
            raise UserError(
                f"{path}: filename must follow the records' order. Row {index}: expected "
                f"{expected!r}. Received: {name!r}"
            )


def _checked(path: str | Path, name: str, array: np.ndarray, count: int) -> np.ndarray:
    allowed = [(count, *shape) for shape in _FILE_KEYS[name]]
    if array.shape not in allowed or array.dtype.kind != "f":
        raise UserError(
            f"{path}: {name} must be floats of shape {' or '.join(map(str, allowed))}, one row for "
            f"each record. Received: {array.dtype} {array.shape}"
        )
    finite = np.isfinite(array.reshape(count, -1)).all(axis=1)
    if not finite.all():
        raise UserError(f"{path}: {name} is not finite, first in row {np.argmin(finite)}.")
    return array
