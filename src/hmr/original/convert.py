"""Converts the authors' TF1 checkpoints, or Keras's ImageNet weights, to files of this project."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from hmr.body.joints import SMPL_PARENTS
from hmr.body.model_file import NO_FACES, BodyModel, body_from_arrays, load_body, save_body
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from hmr.files.safe_npz import load_npz
from hmr.network.checkpoint import save_model
from hmr.network.discriminator import Discriminator
from hmr.network.encoders import build_encoder
from hmr.network.hmr import HMR
from hmr.network.regressor import NUM_THETA, Regressor
from hmr.original import tf1_names
from hmr.original.keras_imagenet import (
    DIFFERENCE,
    copy_applications_weights,
    load_applications,
)
from hmr.original.release import DOWNLOAD
from hmr.original.smpl_file import read_official
from hmr.original.tf1_checkpoint import IMAGENET, CheckpointKind, Tf1Checkpoint
from hmr.original.tf1_names import Tf1Mapping
from hmr.settings import ModelSpec
from hmr.training.start import AdamState, TrainingStart, save_start

BODY_FILE, ENCODER_FILE = "body.npz", "encoder.weights.h5"
# Adam's beta_2; the number of steps follows from its power, unless float32 has underflowed.
_BETA_2, _SMALLEST_POWER = 0.999, 1e-30


def convert_checkpoint(
    prefix: str, folder: Path, body: str | Path | None = None, training: bool = False
) -> list[str]:
    """Writes a model folder, or only `encoder.weights.h5` for ImageNet weights.

    Args:
        prefix: the checkpoint, with or without suffix; or "keras" or an .h5 file, for the
            ImageNet weights of `keras.applications`.
        folder: where to write.
        body: path of a SMPL file or a body file, for the faces, which no checkpoint holds, and for
            the whole body if the checkpoint holds none.
        training: also convert the moments of both Adams and the step.
    Returns:
        a report of what was found, line by line.

    Raises:
        UserError: the checkpoint does not hold exactly the variables of its kind, or `training` is
            asked for and it is not a checkpoint of a training.
    """
    if prefix == DOWNLOAD or prefix.endswith(".h5"):
        return _convert_applications(prefix, folder)
    checkpoint = Tf1Checkpoint(prefix)
    kind = checkpoint.kind
    if training and not kind.with_discriminator:
        raise UserError(
            "--training needs a checkpoint of HMR in training. "
            f"Received: {checkpoint.path}, {kind.title}."
        )
    parts = NetworkParts.of(kind)
    holds_body = not checkpoint.shapes.keys().isdisjoint(tf1_names.BODY_SHAPES)
    with_body = kind.with_regressor and (holds_body or not body)
    expected = expected_variables(parts, kind, with_body)
    checkpoint.require(expected, kind.ignored)
    tensors = checkpoint.read(expected)
    parts.load(tensors)
    lines = [f"{checkpoint.path}: {kind.title}, {len(expected)} variables, all by name"]
    if parts.regressor is None:
        parts.encoder.save_weights(folder / ENCODER_FILE)
        return lines
    given = read_body(body) if body else None
    arrays = _body(tensors, given, checkpoint) if with_body else given
    assert arrays is not None
    save_body(folder / BODY_FILE, arrays)
    model = HMR(parts.encoder, parts.regressor, SMPL(arrays), parts.discriminator)
    save_model(model, ModelSpec(body=BODY_FILE), folder)
    lines.append(f"body{'' if len(arrays.faces) else ' without faces'}: {arrays.source}")
    if kind.with_discriminator:
        start = training_start(parts, tensors, training)
        save_start(folder, start)
        adam = f", both Adams, step {start.step}" if training else ""
        lines.append(f"discriminators{adam}")
    return lines


def read_body(path: str | Path) -> BodyModel:
    """A body file, or a SMPL file as it was downloaded.

    Raises:
        UserError: it is neither.
    """
    is_body = Path(path).suffix == ".npz" and bool(load_npz(path, only=("source",)))
    return load_body(path) if is_body else read_official(path).body


def _convert_applications(source: str, folder: Path) -> list[str]:
    encoder = NetworkParts.of(IMAGENET).encoder
    copy_applications_weights(load_applications(source), encoder)
    encoder.save_weights(folder / ENCODER_FILE)
    return [DIFFERENCE]


def _body(
    tensors: Mapping[str, np.ndarray], given: BodyModel | None, checkpoint: Tf1Checkpoint
) -> BodyModel:
    """The checkpoint's body, with the faces of the given one."""
    tree = {"parents": np.array(SMPL_PARENTS), "faces": given.faces if given else NO_FACES}
    source = f"checkpoint {Path(checkpoint.path).name}"
    if given:
        source += f", faces of {given.source}"
    return body_from_arrays({**tf1_names.body_arrays(tensors), **tree}, source)


@dataclass(frozen=True)
class NetworkParts:
    """The networks whose weights a kind of checkpoint holds, with the original's structure.

    Attributes:
        encoder: the ResNet-50 v2.
        regressor, discriminator: None if the kind lacks them.
    """

    encoder: keras.Model
    regressor: Regressor | None
    discriminator: Discriminator | None

    @classmethod
    def of(cls, kind: CheckpointKind) -> NetworkParts:
        """Builds the networks of a kind, with fresh weights."""
        spec = ModelSpec()
        encoder, theta0 = build_encoder(spec.encoder, spec.input_size), np.zeros(NUM_THETA)
        return cls(
            encoder,
            Regressor(encoder.output_shape[-1], theta0) if kind.with_regressor else None,
            Discriminator() if kind.with_discriminator else None,
        )

    @property
    def mappings(self) -> list[Tf1Mapping]:
        """The mappings of all variables."""
        return self.encoder_mappings + tf1_names.map_discriminator(self.discriminator)

    @property
    def encoder_mappings(self) -> list[Tf1Mapping]:
        """The mappings of encoder and regressor, which one Adam trains."""
        mappings = tf1_names.map_encoder(self.encoder)
        return mappings + (tf1_names.map_regressor(self.regressor) if self.regressor else [])

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Assigns every variable."""
        for mapping in self.mappings:
            mapping.variable.assign(mapping.value(tensors))


def expected_variables(
    parts: NetworkParts, kind: CheckpointKind, with_body: bool
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all variables that a checkpoint of a kind must hold.

    Args:
        parts: the networks of the kind.
        kind: the set of variables.
        with_body: whether it must hold the SMPL tensors.
    """
    training = kind.with_discriminator
    expected = tf1_names.expected_shapes(parts.mappings, with_adam=training)
    if with_body:
        expected |= tf1_names.BODY_SHAPES
    if training:
        scalars = (*tf1_names.ENCODER_POWERS, *tf1_names.DISCRIMINATOR_POWERS, tf1_names.STEP)
        expected |= dict.fromkeys(scalars, ())
    return expected


def training_start(
    parts: NetworkParts, tensors: Mapping[str, np.ndarray], with_adam: bool
) -> TrainingStart:
    """The state from which a training continues, besides the weights of encoder and regressor.

    Args:
        parts: the networks of the training kind.
        tensors: the values of a training checkpoint.
        with_adam: include the moments of both optimisers and the step.
    """
    discriminator = tf1_names.map_discriminator(parts.discriminator)
    weights = {mapping.variable.path: mapping.value(tensors) for mapping in discriminator}
    if not with_adam:
        return TrainingStart(weights)
    return TrainingStart(
        weights,
        step=int(tensors[tf1_names.STEP]),
        encoder_adam=_adam_state(parts.encoder_mappings, tensors, tf1_names.ENCODER_POWERS),
        discriminator_adam=_adam_state(discriminator, tensors, tf1_names.DISCRIMINATOR_POWERS),
    )


def adam_steps(tensors: Mapping[str, np.ndarray], powers: tuple[str, str]) -> int:
    """How many updates an Adam of TF1 has made.

    TF1 stores beta^(t + 1) instead of t. Once that power has underflowed in float32, the bias
    correction is 1 for any t, and the global step is returned instead.

    Args:
        tensors: the values of a training checkpoint.
        powers: the names of this optimiser's powers of beta_1 and beta_2.
    """
    power = float(tensors[powers[1]])
    if power < _SMALLEST_POWER:
        return int(tensors[tf1_names.STEP])
    return round(np.log(power) / np.log(_BETA_2)) - 1


def _adam_state(
    mappings: Iterable[Tf1Mapping], tensors: Mapping[str, np.ndarray], powers: tuple[str, str]
) -> AdamState:
    trained = [mapping for mapping in mappings if mapping.variable.trainable]
    momentum, velocity = (
        {mapping.variable.path: mapping.value(tensors, slot) for mapping in trained}
        for slot in (tf1_names.MOMENTUM_SLOT, tf1_names.VELOCITY_SLOT)
    )
    return AdamState(adam_steps(tensors, powers), momentum, velocity)
