"""What a model folder says about its model, read without importing what builds it."""

from __future__ import annotations

import math
import os
import re
import sys
import zipfile
from dataclasses import asdict
from pathlib import Path

from hmr.body.model_file import MISSING_BODY, STANDIN_BODY, load_body, require_faces
from hmr.errors import UserError
from hmr.files.foreign import parsing, read_json
from hmr.files.safe_npz import load_npz
from hmr.files.shipped import find_shipped
from hmr.settings import ModelSpec, read_settings

DESCRIPTION_FILE = "model.json"
TWO_WAYS = (
    "The paper starts from ImageNet weights. Convert TF-Slim's: python -m src.convert_checkpoint "
    "--input resnet_v2_50.ckpt --output models/imagenet; or let Keras download its own: --input "
    "keras. To train from scratch on purpose: --config.initial_encoder="
)
# Goes up when the meaning of a field changes, not when one is added. Older folders hold none: 1.
VERSION = 1
_MAX_DESCRIPTION_BYTES = 1 << 20
_RANGES = {
    "input_size": (32, 2048), "iterations": (1, 100), "hidden_units": (1, 1 << 13),
    "dropout": (0, 1), "discriminator_units": (1, 1 << 13),
}  # fmt: skip


def read_spec(folder: str | os.PathLike) -> ModelSpec:
    """The description in a model folder.

    Raises:
        UserError: it is missing or damaged, or a version or a field is unknown. A missing field
            has its default, see `ModelSpec`.
    """
    path = Path(folder) / DESCRIPTION_FILE
    if not path.is_file():
        raise UserError(
            f"no model in {folder}: {DESCRIPTION_FILE} is missing. Pass the folder of a training "
            "(runs/NAME), or the shipped models/people_free."
        )
    stored = read_json(path, _MAX_DESCRIPTION_BYTES, kind="model description")
    with parsing(path, "model description"):
        values = {"version": VERSION, **stored}
    version = values.pop("version")
    if version != VERSION:
        raise UserError(
            f"{path}: version must be {VERSION}. Received: {version}. Open it with the release "
            "of this project that wrote it."
        )
    spec = read_settings(ModelSpec, values, str(path))
    for name, default in asdict(ModelSpec()).items():
        value, (least, largest) = getattr(spec, name), _RANGES.get(name, (0, math.inf))
        fits = type(value) is type(default) or (type(default), type(value)) == (float, int)
        if not fits or (name in _RANGES and not least <= value <= largest):
            raise UserError(
                f"{path}: {name} must be a {type(default).__name__}"
                f"{f' from {least} to {largest}' if name in _RANGES else ''}. "
                f"Received: {value!r:.60}."
            )
    return spec


def model_folder(folder: str | os.PathLike) -> Path:
    """Where the description lies: in the folder, in a training's `model`, or in what is shipped."""
    folder = find_shipped(folder)
    inside = folder / "model"
    return inside if not (folder / DESCRIPTION_FILE).is_file() and inside.is_dir() else folder


def check_model(
    folder: str | os.PathLike, body: str | None = None, needs_faces: bool = False
) -> None:
    """Checks a model's folder, description and body file, before anything slow is imported.

    Raises:
        UserError: there is no model folder, its description is wrong, or its body is missing or
            has no faces where they are needed.
    """
    found = model_folder(folder)
    check_body(body or body_file(found, read_spec(found).body), needs_faces)


def body_file(folder: Path, named: str) -> str:
    """The body that a description names: beside it if it is there, else as it is named."""
    beside = folder / named
    return str(beside) if beside.is_file() else named


def find_encoder(path: str | os.PathLike) -> Path:
    """The file or model folder with the encoder's weights that a training starts from.

    Raises:
        UserError: there is none.
    """
    found = find_shipped(path)
    if not found.exists():
        raise UserError(f"config.initial_encoder: no file at {path}. {TWO_WAYS}")
    return found


def check_encoder_name(name: str) -> None:
    """Looks a name up in the source text of the table of encoders, without importing it.

    Raises:
        UserError: it is not among them.
    """
    if "hmr.network.encoders" in sys.modules:  # the table is there, perhaps with rows of others
        return
    names = re.findall(r'^    "(\w+)": ', Path(__file__).with_name("encoders.py").read_text(), re.M)
    if name not in names:
        raise UserError(
            f"config.model.encoder must be one of {', '.join(names)}. Received: {name!r}."
        )


def check_body(path: str | os.PathLike, needs_faces: bool = False) -> None:
    """Checks that there is a body file. The stand-in's may be missing: opening it makes it.

    Raises:
        UserError: it is not, or is no .npz file, or has no faces where they are needed.
    """
    if Path(path).is_file():
        if not zipfile.is_zipfile(path):
            load_body(path)  # says what it is instead
        faces = load_npz(path, only=["faces"]).get("faces") if needs_faces else None
        if faces is not None and not len(faces):
            require_faces(load_body(path))
    elif Path(path).name != STANDIN_BODY:
        raise UserError(MISSING_BODY.format(path=path))
