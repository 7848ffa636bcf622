"""Any method's predictions, from an .npz file."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from hmr.body.joints import COCOPLUS, LSP14
from hmr.body.model_file import NUM_BETAS, NUM_JOINTS, NUM_VERTICES
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from hmr.evaluation.meshes import GivenMeshes, Meshes, posed, regress
from hmr.evaluation.samples import Prediction, Truth
from hmr.files.safe_npz import load_npz

# Key -> shapes of one row that are taken.
KEYS = {
    "joints3d": ((len(LSP14), 3), (len(COCOPLUS), 3)),
    "keypoints2d": ((len(COCOPLUS), 2),),
    "camera": ((3,),),
    "vertices": ((NUM_VERTICES, 3),),
    "pose": ((3 * NUM_JOINTS,),),
    "beta": ((NUM_BETAS,),),
}
MAX_BYTES = 4 << 30


def read_predictions(path: str | Path, truth: Truth, body: SMPL | None = None) -> Prediction:
    """Predictions, one row for each record in the records' order.

    Args:
        path: an .npz with some of
            `joints3d` (N, 14 or 19, 3), metres, camera's axes;
            `keypoints2d` (N, 19, 2), normalised to the crop;
            `camera` (N, 3), weak perspective s, tx, ty of the crop;
            `vertices` (N, 6890, 3), metres, camera's axes; or in their place
            `pose` (N, 72) axis-angles, root first, and `beta` (N, 10);
            `filename` (N,), with which the order is checked.
        truth: of the same records.
        body: what `pose` and `beta` belong to, and where joints come from if only a mesh is given.

    Raises:
        UserError: keys, shapes, values or names do not fit.
    """
    arrays = load_npz(path, MAX_BYTES)
    if not KEYS.keys() & arrays.keys():
        raise UserError(
            f"{path} needs joints3d (N, 14 or 19, 3), keypoints2d (N, 19, 2), or more: see python "
            f"-m src.evaluate --help. Received: {', '.join(sorted(arrays))}"
        )
    if "filename" in arrays:
        _check_names(path, arrays["filename"], truth)
    found = {name: _checked(path, name, arrays[name], len(truth)) for name in KEYS.keys() & arrays}
    meshes = _meshes(path, found, body)
    joints = found.get("joints3d")
    if joints is None and meshes is not None and body is not None:
        joints = regress(meshes, body.body.cocoplus_regressor, "joints of the meshes")
    return Prediction(
        joints3d_lsp_m=None if joints is None else joints[:, : len(LSP14)],
        keypoints2d=found.get("keypoints2d"),
        cameras=found.get("camera"),
        meshes=meshes,
    )


def _meshes(path: str | Path, found: dict[str, np.ndarray], body: SMPL | None) -> Meshes | None:
    if "vertices" in found:
        return GivenMeshes(found["vertices"])
    parameters = found.keys() & {"pose", "beta"}
    if not parameters:
        return None
    if len(parameters) == 1 or body is None:
        raise UserError(
            f"{path}: pose and beta come together, and with the body that they belong to: --body "
            f"models/smpl_neutral.npz. Received: {', '.join(sorted(parameters))}, body "
            f"{'given' if body else 'missing'}"
        )
    return posed(body, found["pose"], found["beta"])


def _check_names(path: str | Path, received: np.ndarray, truth: Truth) -> None:
    pairs = itertools.zip_longest(received.tolist(), truth.names.tolist())
    for index, (got, expected) in enumerate(pairs):
        name = got.decode(errors="replace") if isinstance(got, bytes) else got
        if name != expected:
            raise UserError(
                f"{path}: filename must follow the records' order. Row {index}: expected "
                f"{expected!r}. Received: {name!r}"
            )


def _checked(path: str | Path, name: str, array: np.ndarray, count: int) -> np.ndarray:
    allowed = [(count, *shape) for shape in KEYS[name]]
    if array.shape not in allowed or array.dtype.kind != "f":
        raise UserError(
            f"{path}: {name} must be floats of shape {' or '.join(map(str, allowed))}, one row for "
            f"each record. Received: {array.dtype} {array.shape}"
        )
    finite = np.isfinite(array.reshape(count, -1)).all(axis=1)
    if not finite.all():
        raise UserError(f"{path}: {name} is not finite, first in row {np.argmin(finite)}.")
    return array
