"""Going on with a training that began elsewhere.

A model folder holds the weights of encoder and regressor. `training_start.npz` beside them holds
the rest: the discriminators, and optionally both Adams' moments and the step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from hmr.errors import UserError
from hmr.files.safe_npz import load_npz
from hmr.files.whole import write_whole
from hmr.network.hmr import HMR

START_FILE = "training_start.npz"
_MOMENTS = ("momentum", "velocity")


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
    """What a training goes on from, besides the weights of encoder and regressor.

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
        critic: Any = model.discriminator
        for variable in critic.weights:
            _assign(variable, self.discriminator, variable.path)
        if self.encoder_adam:
            self.encoder_adam.assign(model.encoder_optimizer, model.encoder_variables)
        if self.discriminator_adam:
            critic_variables = critic.trainable_variables
            self.discriminator_adam.assign(model.discriminator_optimizer, critic_variables)


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
