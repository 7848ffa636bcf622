"""Reads the authors' TF1 checkpoints by variable name, into models and optimisers of ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from hmr.errors import UserError
from hmr.network.discriminator import Discriminator
from hmr.network.encoders import build_encoder
from hmr.network.regressor import NUM_THETA, Regressor
from hmr.original import tf1_names
from hmr.original.tf1_names import Tf1Source
from hmr.settings import ModelSpec
from hmr.training.start import AdamState, TrainingStart

_SUFFIXES = (".index", ".data-00000-of-00001", ".meta")
_SHOWN = 5
# What TensorFlow's reader raises on damaged files.
_DAMAGE = (tf.errors.OpError, IndexError, ValueError, RuntimeError)
# Adam's beta_2; its power over the steps tells how many there were, until float32 underflows.
_BETA_2, _SMALLEST_POWER = 0.999, 1e-30


@dataclass(frozen=True)
class Layout:
    """One set of variables that the original's code writes.

    Attributes:
        title: for messages.
        with_regressor, with_discriminator: which parts it holds besides the encoder.
        ignored: names that may be there and are not read.
    """

    title: str
    with_regressor: bool = True
    with_discriminator: bool = False
    ignored: frozenset[str] = field(default_factory=frozenset)


IMAGENET = Layout("TF-Slim's ImageNet ResNet-50 v2", False, False, tf1_names.IMAGENET_EXTRAS)
INFERENCE = Layout("HMR for inference", ignored=tf1_names.RUN_SETTINGS)
TRAINING = Layout("HMR in training", with_discriminator=True, ignored=tf1_names.RUN_SETTINGS)


class Tf1Checkpoint:
    """A TF1 checkpoint on disk.

    Args:
        prefix: path without suffix, as TF1 names it (`model.ckpt-667589`), or any of its files.

    Attributes:
        path: the prefix.
        shapes: variable name -> shape.

    Raises:
        UserError: a file is missing or is no checkpoint.
    """

    def __init__(self, prefix: str):
        self.path = _strip_suffix(prefix)
        if not Path(f"{self.path}.index").is_file():
            raise UserError(
                f"no TF1 checkpoint at {self.path}: {self.path}.index is missing. Give the path "
                "without suffix, such as models/model.ckpt-667589."
            )
        if not list(Path(self.path).parent.glob(f"{Path(self.path).name}.data-*-of-*")):
            raise UserError(
                f"{self.path}.index is there, but not the values, {self.path}.data-00000-of-00001. "
                "Copy both files of the checkpoint into one folder."
            )
        try:
            self._reader = tf.train.load_checkpoint(self.path)
        except _DAMAGE as error:
            raise UserError(f"{self.path} is not a TF1 checkpoint: {error}") from error
        shapes = self._reader.get_variable_to_shape_map()
        self.shapes = {name: tuple(shape) for name, shape in sorted(shapes.items())}

    @property
    def layout(self) -> Layout:
        """Which set of variables this is, by the scopes that occur."""
        scopes = {name.split("/")[0] + "/" for name in self.shapes}
        if tf1_names.DISCRIMINATOR_SCOPE in scopes:
            return TRAINING
        return INFERENCE if tf1_names.REGRESSOR_SCOPE in scopes else IMAGENET

    @property
    def has_body(self) -> bool:
        """Whether it holds any of the SMPL tensors."""
        return bool(self.shapes.keys() & tf1_names.BODY_SHAPES.keys())

    def require(self, expected: Mapping[str, tuple[int, ...]], ignored: frozenset[str]) -> None:
        """Compares names and shapes.

        Raises:
            UserError: names are missing or unknown, or shapes differ; it lists the first of each.
        """
        missing = sorted(expected.keys() - self.shapes.keys())
        unknown = sorted(self.shapes.keys() - expected.keys() - ignored)
        misshaped = [
            f"{name} {self.shapes[name]} instead of {shape}"
            for name, shape in sorted(expected.items())
            if name in self.shapes and self.shapes[name] != shape
        ]
        problems = [
            f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' * (len(names) > _SHOWN)}"
            for what, names in (
                ("missing", missing),
                ("unknown", unknown),
                ("of another shape", misshaped),
            )
            if names
        ]
        if problems:
            raise UserError(
                f"{self.path} does not hold the variables of {self.layout.title} "
                f"({len(expected)} expected, {len(self.shapes)} found). {'; '.join(problems)}."
            )

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The values of some variables.

        Raises:
            UserError: a value cannot be read or is not finite.
        """
        tensors = {}
        for name in tqdm(list(names), desc="reading variables", unit="variable"):
            try:
                tensors[name] = np.asarray(self._reader.get_tensor(name))
            except _DAMAGE as error:
                raise UserError(
                    f"{self.path}: {name} cannot be read, the file is damaged or cut short "
                    f"({error}). Download it again."
                ) from error
            if not np.isfinite(tensors[name]).all():
                raise UserError(f"{self.path}: {name} holds values that are not finite.")
        return tensors


@dataclass(frozen=True)
class Network:
    """Our counterparts of a layout's parts, with the original's structure and fresh weights.

    Attributes:
        encoder: the ResNet-50 v2.
        regressor, discriminator: None where the layout lacks them.
    """

    encoder: keras.Model
    regressor: Regressor | None
    discriminator: Discriminator | None

    @classmethod
    def of(cls, layout: Layout) -> Network:
        """Builds the parts of a layout."""
        spec = ModelSpec()
        encoder, theta0 = build_encoder(spec.encoder, spec.input_size), np.zeros(NUM_THETA)
        return cls(
            encoder,
            Regressor(encoder.output_shape[-1], theta0) if layout.with_regressor else None,
            Discriminator() if layout.with_discriminator else None,
        )

    @property
    def sources(self) -> list[Tf1Source]:
        """Where every variable comes from."""
        return self.encoder_side + tf1_names.discriminator_sources(self.discriminator)

    @property
    def encoder_side(self) -> list[Tf1Source]:
        """Those of encoder and regressor, which one Adam trains."""
        sources = tf1_names.encoder_sources(self.encoder)
        return sources + (tf1_names.regressor_sources(self.regressor) if self.regressor else [])

    def load(self, tensors: Mapping[str, np.ndarray]) -> None:
        """Assigns every variable."""
        for source in self.sources:
            source.variable.assign(source.value(tensors))


def expected_variables(
    network: Network, layout: Layout, with_body: bool
) -> dict[str, tuple[int, ...]]:
    """Name -> shape of everything that a layout's checkpoint must hold.

    Args:
        network: of the layout.
        layout: which set of variables.
        with_body: whether the SMPL tensors must be there.
    """
    training = layout.with_discriminator
    expected = tf1_names.expected_shapes(network.sources, with_adam=training)
    if with_body:
        expected |= tf1_names.BODY_SHAPES
    if training:
        scalars = (*tf1_names.ENCODER_POWERS, *tf1_names.DISCRIMINATOR_POWERS, tf1_names.STEP)
        expected |= dict.fromkeys(scalars, ())
    return expected


def training_start(
    network: Network, tensors: Mapping[str, np.ndarray], with_adam: bool
) -> TrainingStart:
    """What a training goes on from, besides the weights of encoder and regressor.

    Args:
        network: of the training layout.
        tensors: of a training checkpoint.
        with_adam: also both optimisers' moments and the step.
    """
    critic = tf1_names.discriminator_sources(network.discriminator)
    weights = {source.variable.path: source.value(tensors) for source in critic}
    if not with_adam:
        return TrainingStart(weights)
    return TrainingStart(
        weights,
        step=int(tensors[tf1_names.STEP]),
        encoder_adam=_adam_state(network.encoder_side, tensors, tf1_names.ENCODER_POWERS),
        discriminator_adam=_adam_state(critic, tensors, tf1_names.DISCRIMINATOR_POWERS),
    )


def adam_steps(tensors: Mapping[str, np.ndarray], powers: tuple[str, str]) -> int:
    """How many updates an Adam of TF1 has made.

    TF1 keeps beta^(t + 1) instead of t. Once float32 has rounded that power away the bias
    correction is 1 for any t, and the global step stands in.

    Args:
        tensors: of a training checkpoint.
        powers: names of beta_1's and beta_2's powers of this optimiser.
    """
    power = float(tensors[powers[1]])
    if power < _SMALLEST_POWER:
        return int(tensors[tf1_names.STEP])
    return round(np.log(power) / np.log(_BETA_2)) - 1


def _adam_state(
    sources: Iterable[Tf1Source], tensors: Mapping[str, np.ndarray], powers: tuple[str, str]
) -> AdamState:
    trained = [source for source in sources if source.variable.trainable]
    momentum, velocity = (
        {source.variable.path: source.value(tensors, slot) for source in trained}
        for slot in (tf1_names.MOMENTUM_SLOT, tf1_names.VELOCITY_SLOT)
    )
    return AdamState(adam_steps(tensors, powers), momentum, velocity)


def _strip_suffix(prefix: str) -> str:
    for suffix in _SUFFIXES:
        prefix = prefix.removesuffix(suffix)
    return prefix
