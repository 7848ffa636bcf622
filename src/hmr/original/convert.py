"""From a TF1 checkpoint of the authors' to a model folder of this project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.body.joints import SMPL_PARENTS
from hmr.body.model_file import NO_FACES, BodyModel, body_from_arrays, load_body, save_body
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from hmr.network.checkpoint import save_model
from hmr.network.hmr import HMR
from hmr.original.keras_imagenet import (
    DIFFERENCE,
    DOWNLOAD,
    copy_applications_weights,
    load_applications,
)
from hmr.original.tf1_checkpoint import (
    IMAGENET,
    Network,
    Tf1Checkpoint,
    expected_variables,
    training_start,
)
from hmr.original.tf1_names import body_arrays
from hmr.settings import ModelSpec
from hmr.training.start import save_start

BODY_FILE, ENCODER_FILE = "body.npz", "encoder.weights.h5"


@dataclass(frozen=True)
class Conversion:
    """What to convert.

    Attributes:
        prefix: the checkpoint, with or without suffix; or "keras" or an .h5 file, for the
            ImageNet weights of `keras.applications`.
        body: path of a body file: it gives the faces, which no checkpoint holds, and all of the
            body if the checkpoint holds none.
        training: also both Adams' moments and the step.
    """

    prefix: str
    body: str | None = None
    training: bool = False


def convert(conversion: Conversion, folder: Path) -> list[str]:
    """Writes a model folder, or of an ImageNet checkpoint `encoder.weights.h5` alone.

    Returns:
        what was found, line by line.

    Raises:
        UserError: the checkpoint does not hold exactly what its kind holds, or lacks what was
            asked for.
    """
    if conversion.prefix == DOWNLOAD or conversion.prefix.endswith(".h5"):
        return _convert_applications(conversion.prefix, folder)
    checkpoint = Tf1Checkpoint(conversion.prefix)
    layout = checkpoint.layout
    if conversion.training and not layout.with_discriminator:
        raise UserError(
            "--training needs a checkpoint of HMR in training. "
            f"Received: {checkpoint.path}, {layout.title}."
        )
    network = Network.of(layout)
    with_body = layout.with_regressor and (checkpoint.has_body or not conversion.body)
    expected = expected_variables(network, layout, with_body)
    checkpoint.require(expected, layout.ignored)
    tensors = checkpoint.read(expected)
    network.load(tensors)
    lines = [f"{checkpoint.path}: {layout.title}, {len(expected)} variables, all by name"]
    if network.regressor is None:
        network.encoder.save_weights(folder / ENCODER_FILE)
        return lines
    body = _body(tensors if with_body else None, conversion)
    save_body(folder / BODY_FILE, body)
    model = HMR(network.encoder, network.regressor, SMPL(body))
    save_model(model, ModelSpec(body=BODY_FILE), folder)
    lines.append(
        f"body: {body.source}" if len(body.faces) else f"body without faces: {body.source}"
    )
    if layout.with_discriminator:
        start = training_start(network, tensors, conversion.training)
        save_start(folder, start)
        adam = f", both Adams, step {start.step}" if conversion.training else ""
        lines.append(f"discriminators{adam}")
    return lines


def _convert_applications(source: str, folder: Path) -> list[str]:
    encoder = Network.of(IMAGENET).encoder
    copy_applications_weights(load_applications(source), encoder)
    encoder.save_weights(folder / ENCODER_FILE)
    return [DIFFERENCE]


def _body(tensors: Mapping[str, np.ndarray] | None, conversion: Conversion) -> BodyModel:
    given = load_body(conversion.body) if conversion.body else None
    if tensors is None:
        assert given is not None
        return given
    tree = {"parents": np.array(SMPL_PARENTS), "faces": given.faces if given else NO_FACES}
    source = f"checkpoint {Path(conversion.prefix).name}"
    if given:
        source += f", faces of {given.source}"
    return body_from_arrays({**body_arrays(tensors), **tree}, source)
