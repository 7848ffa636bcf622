"""What a training starts from: the weights of an encoder, of a model, or a converted training.

A converted training lies in a model folder: the weights of encoder and regressor, and
`training_start.npz` with the discriminators and, optionally, both Adams' moments and the step.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from absl import logging

from hmr.errors import UserError
from hmr.files.foreign import brief
from hmr.files.safe_npz import load_npz
from hmr.files.whole import write_whole
from hmr.network.adapter import ADAPTER
from hmr.network.checkpoint import load_model, load_weights
from hmr.network.description import find_encoder, model_folder
from hmr.network.encoders import split_encoder
from hmr.network.hmr import HMR

START_FILE = "training_start.npz"
_MOMENTS = ("momentum", "velocity")


def set_initial_weights(model: HMR, initial_model: str, initial_encoder: str) -> int:
    """Gives a compiled model the weights that its training starts from.

    Args:
        model: its weights are set.
        initial_model: model folder with weights of encoder, regressor and, where it has them,
            discriminators; or a converted training; "" for none.
        initial_encoder: where `initial_model` is "": weights of an encoder alone, or a model
            folder, whose encoder is taken; its adapter begins anew. "" for random ones.
    Returns:
        the step at which the training starts: above 0 for a converted training.
    Raises:
        UserError: the weights are missing or do not fit.
    """
    if not initial_model:
        if initial_encoder:
            _load_encoder(model.encoder, initial_encoder)
        return 0
    folder = model_folder(initial_model)
    known, start = load_weights(model, folder), load_start(folder)
    if start:
        start.assign(model)
    origin = f"from {initial_model}" if known or start else "fresh: the folder holds none"
    # Warnings are what absl shows by default.
    logging.warning("weights from %s, discriminators %s", initial_model, origin)
    return start.step if start else 0


def _load_encoder(encoder: keras.Model, path: str) -> None:
    found = find_encoder(path)
    try:
        if found.is_dir():
            both = (_known(each) for each in (encoder, load_model(path).encoder))
            for layer, given in zip(*both, strict=True):
                layer.set_weights(given.get_weights())
        else:
            with warnings.catch_warnings(action="ignore"):  # a line for each layer that is skipped
                split_encoder(encoder)[0].load_weights(found)
    except UserError:
        raise
    except Exception as error:  # whatever damage leads to
        reason = brief(error).rstrip(" .:")
        raise UserError(
            f"config.initial_encoder: {path} does not fit config.model, or is damaged: {reason}. "
            "Give weights of the encoder that config.model.encoder names; "
            "--config.initial_encoder= starts from random ones."
        ) from error


def _known(encoder: keras.Model) -> list[keras.layers.Layer]:
    """The layers with weights; an adapter begins anew, beside its regressor."""
    return [layer for layer in encoder.layers if layer.weights and layer.name != ADAPTER]


@dataclass(frozen=True)
class AdamState:
    """An Adam's memory.

    Attributes:
        steps: how many updates it has made.
        momentum, velocity: path of a trained variable -> its first and second moment.
    """

    steps: int
    momentum: dict[str, np.ndarray]
    velocity: dict[str, np.ndarray]

    def assign(self, optimizer: keras.optimizers.Adam, variables: list) -> None:
        """Sets an Adam that was built on `variables`.

        Raises:
            UserError: the variables are others.
        """
        slots = [v for v in optimizer.variables if v.name.endswith(_MOMENTS)]
        for variable, momentum, velocity in zip(variables, slots[::2], slots[1::2], strict=True):
            _assign(momentum, self.momentum, variable.path)
            _assign(velocity, self.velocity, variable.path)
        optimizer.iterations.assign(self.steps)


@dataclass(frozen=True)
class TrainingStart:
    """What a converted training goes on from, besides the weights of encoder and regressor.

    Attributes:
        discriminator: path of a variable -> its value.
        step: of the training; 0 without the optimisers' states.
        encoder_adam, discriminator_adam: None for fresh optimisers.
    """

    discriminator: dict[str, np.ndarray] = field(default_factory=dict)
    step: int = 0
    encoder_adam: AdamState | None = None
    discriminator_adam: AdamState | None = None

    def assign(self, model: HMR) -> None:
        """Sets a compiled model.

        Raises:
            UserError: the model's discriminators or optimisers have other variables.
        """
        discriminator: Any = model.discriminator
        for variable in discriminator.weights:
            _assign(variable, self.discriminator, variable.path)
        if self.encoder_adam:
            self.encoder_adam.assign(model.encoder_optimizer, model.encoder_variables)
        if self.discriminator_adam:
            self.discriminator_adam.assign(
                model.discriminator_optimizer, discriminator.trainable_variables
            )


def save_start(folder: Path, start: TrainingStart) -> Path:
    """Writes training_start.npz into a model folder."""
    arrays: dict[str, Any] = {"step": np.int64(start.step)}
    arrays |= {f"discriminator:{path}": value for path, value in start.discriminator.items()}
    for owner in ("encoder_adam", "discriminator_adam"):
        state = getattr(start, owner)
        if state:
            arrays[f"{owner}:steps"] = np.int64(state.steps)
            for moment in _MOMENTS:
                values = getattr(state, moment)
                arrays |= {f"{owner}.{moment}:{path}": value for path, value in values.items()}
    path = folder / START_FILE
    write_whole(path, lambda file: np.savez(file, **arrays))
    return path


def load_start(folder: Path) -> TrainingStart | None:
    """Reads training_start.npz of a model folder; None if there is none.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / START_FILE
    if not path.is_file():
        return None
    arrays = load_npz(path)
    if "step" not in arrays:
        raise UserError(f"{path} holds no step: it is not a training's start. Convert it again.")
    adams = {owner: _adam(arrays, owner) for owner in ("encoder_adam", "discriminator_adam")}
    return TrainingStart(_group(arrays, "discriminator"), int(arrays["step"]), **adams)


def _adam(arrays: Mapping[str, np.ndarray], owner: str) -> AdamState | None:
    steps = arrays.get(f"{owner}:steps")
    if steps is None:
        return None
    momentum, velocity = (_group(arrays, f"{owner}.{moment}") for moment in _MOMENTS)
    return AdamState(int(steps), momentum, velocity)


def _group(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    prefix = f"{name}:"
    return {k.removeprefix(prefix): value for k, value in arrays.items() if k.startswith(prefix)}


def _assign(variable: keras.Variable, values: Mapping[str, np.ndarray], path: str) -> None:
    value = values.get(path)
    if value is None or value.shape != tuple(variable.shape):
        received = "nothing" if value is None else str(value.shape)
        raise UserError(
            f"{START_FILE} does not fit the configuration: {path} must be "
            f"{tuple(variable.shape)}. Received: {received}."
        )
    variable.assign(value)
