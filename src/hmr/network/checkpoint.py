"""Models on disk.

A model folder holds `model.json`, the description, and `model.weights.h5`, the weights of encoder
and regressor in float32 or float16; `model.discriminators.npz` the discriminators', by their names,
where it was trained with them: continued training starts from them. The body lies in its own file,
which the description names: beside the description if it is there, else from the working directory.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hmr.errors import UserError
from hmr.files.foreign import brief, parsing
from hmr.files.safe_npz import load_npz
from hmr.files.whole import whole_file, write_text, write_whole
from hmr.network.build import build_model
from hmr.network.description import (
    DESCRIPTION_FILE,
    VERSION,
    body_file,
    model_folder,
    read_spec,
)
from hmr.network.discriminator import Discriminator
from hmr.network.hmr import HMR
from hmr.settings import ModelSpec

WEIGHTS_FILE = "model.weights.h5"
DISCRIMINATORS_FILE = "model.discriminators.npz"


def save_model(model: HMR, spec: ModelSpec, folder: str | os.PathLike, half: bool = False) -> None:
    """Writes a model folder; a file appears under its name only when it is complete.

    Args:
        model: encoder, regressor and, if it has them, discriminators are written.
        spec: its structure.
        folder: made if it is missing.
        half: store float16, half the size; values are rounded to 11 significant bits.
    """
    folder = Path(folder)
    used = HMR(model.encoder, model.regressor, model.smpl)
    with whole_file(folder / WEIGHTS_FILE) as partial:
        used.save_weights(partial)
        if half:
            halve(partial)
    _save_discriminators(model, folder / DISCRIMINATORS_FILE, half)
    description = {"version": VERSION, **asdict(spec)}
    write_text(folder / DESCRIPTION_FILE, json.dumps(description, indent=2) + "\n")


def _save_discriminators(model: HMR, path: Path, half: bool) -> None:
    if model.discriminator is None:
        path.unlink(missing_ok=True)  # of another model, which the folder held before
        return
    stored = np.float16 if half else np.float32
    arrays = {v.path: np.asarray(v).astype(stored) for v in model.discriminator.weights}
    write_whole(path, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


def load_model(
    folder: str | os.PathLike, body: str | None = None, with_discriminator: bool = False
) -> HMR:
    """Reads a model folder, or the `model` folder inside a training's working directory.

    Args:
        folder: see above.
        body: path of another body file than the one the model was trained with.
        with_discriminator: also read the discriminators; a folder without them gives none.
    Raises:
        UserError: the folder or a file in it is missing, unreadable, or does not fit.
    """
    folder = model_folder(Path(folder))
    spec = read_spec(folder)
    spec = replace(spec, body=body or body_file(folder, spec.body))
    has_them = with_discriminator and (folder / DISCRIMINATORS_FILE).is_file()
    model = build_model(spec, with_discriminator=has_them)
    load_weights(model, folder)
    return model


def load_weights(model: HMR, folder: Path) -> bool:
    """Loads a folder's weights into encoder, regressor and, where both have them, discriminators.

    Args:
        model: of the structure that the folder was written with.
        folder: the one that holds the description, see `model_folder`.
    Returns:
        whether the discriminators were among them; otherwise they stay as they are.
    Raises:
        UserError: weights are missing, damaged, or of another structure.
    """
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        raise UserError(f"{folder} holds no {WEIGHTS_FILE}. Train one: hmr train.")
    try:
        HMR(model.encoder, model.regressor, model.smpl).load_weights(weights)
    except Exception as error:  # whatever damage leads to
        raise UserError(
            f"{weights} does not fit the model, or is damaged: {brief(error)}. "
            f"{DESCRIPTION_FILE} beside it says what it was made for."
        ) from error
    discriminators = folder / DISCRIMINATORS_FILE
    if model.discriminator is None or not discriminators.is_file():
        return False
    _load_discriminators(model.discriminator, discriminators)
    return True


def _load_discriminators(discriminator: Discriminator, path: Path) -> None:
    arrays = load_npz(path)
    shapes = {name: np.shape(array) for name, array in arrays.items()}
    if shapes != {v.path: tuple(v.shape) for v in discriminator.weights}:
        raise UserError(
            f"{path} does not fit the model: its discriminators have another width than "
            f"discriminator_units = {discriminator.hidden_units}. Set the width that "
            f"{DESCRIPTION_FILE} beside it says, or remove the file to begin with fresh ones."
        )
    with parsing(path, "file of discriminators"):
        values = {name: array.astype(np.float32) for name, array in arrays.items()}
    for variable in discriminator.weights:
        variable.assign(values[variable.path])


def halve(path: Path) -> None:
    """Rewrites an HDF5 weight file with float16 datasets: half the size."""
    wide = path.with_suffix(".wide")
    os.replace(path, wide)
    with h5py.File(wide, "r") as source, h5py.File(path, "w") as target:
        source.visititems(lambda name, item: _copy_half(name, item, target))
        target.attrs.update(source.attrs)
    wide.unlink()


def _copy_half(name: str, item: Any, target: h5py.File) -> None:
    if isinstance(item, h5py.Group):
        target.require_group(name).attrs.update(item.attrs)
        return
    values = item[()]
    if values.dtype == np.float32:
        values = values.astype(np.float16)
    target.create_dataset(name, data=values).attrs.update(item.attrs)
