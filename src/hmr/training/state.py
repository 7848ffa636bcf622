"""All that a training starts from and resumes from: configuration, initial weights, checkpoints.

A working directory holds `config.json`, the configuration that it was made with; `checkpoints/`,
everything that a resumed run needs; and `best/`, the checkpoint with the best score.

A converted training lies in a model folder: the weights of encoder and regressor, and
`training_start.npz` with the discriminators and, optionally, both Adams' moments and the step.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from hmr.data.pipeline import POSITION_VERSION
from hmr.errors import UserError
from hmr.files.lock import only_one
from hmr.files.safe_npz import load_npz
from hmr.files.whole import write_text, write_whole
from hmr.network.checkpoint import load_weights, save_model
from hmr.network.hmr import HMR
from hmr.settings import Experiment, ModelSpec, read_settings
from hmr.training.checkpoint_folder import CheckpointFolder
from hmr.training.devices import Devices

CONFIG_FILE, CHECKPOINTS_FOLDER, BEST_FOLDER = "config.json", "checkpoints", "best"
START_FILE, _LOCK = "training_start.npz", ".lock"
CONFIG_VERSION = 1
# What may differ between the run that a working directory belongs to and one that resumes it.
FREE_TO_CHANGE = (
    "train.checkpoint_every_steps",
    "train.checkpoints_kept",
    "train.log_every_steps",
    "validation.pictures",
)
_MOMENTS = ("momentum", "velocity")
_VERSION_KEY = "position_version/.ATTRIBUTES/VARIABLE_VALUE"
_TWO_WAYS = (
    "The paper starts from ImageNet weights. Convert TF-Slim's: python -m src.convert_checkpoint "
    "--input resnet_v2_50.ckpt --output models/imagenet; or let Keras download its own: --input "
    "keras. To train from scratch on purpose: --config.initial_encoder="
)


@contextlib.contextmanager
def open_workdir(workdir: Path, experiment: Experiment, devices: Devices) -> Iterator[None]:
    """Holds a working directory for one training, the one that it was made for.

    Raises:
        UserError: another training runs in it, or it was made with another configuration.
    """
    lock = workdir / (_LOCK if devices.is_first else f"{_LOCK}_{devices.worker}")
    with only_one(lock, f"a training in {workdir}"):
        _check_config(experiment, workdir / CONFIG_FILE)
        if devices.is_first:
            fields = {"version": CONFIG_VERSION, **asdict(experiment)}
            write_json(workdir / CONFIG_FILE, fields)
        yield


def _check_config(experiment: Experiment, path: Path) -> None:
    """Compares an experiment with the one in `config.json`, if there is one.

    A field that did not exist when it was written counts as its default.

    Raises:
        UserError: naming the field and both values, or a field that this version does not have.
    """
    if not path.is_file():
        return
    try:
        fields = dict(json.loads(path.read_text()))
    except (ValueError, TypeError):
        logging.warning("%s is empty or cut off: it is written anew from this run's.", path)
        return
    version = fields.pop("version", CONFIG_VERSION)
    if version > CONFIG_VERSION:
        raise UserError(
            f"{path} has version {version}, expected at most {CONFIG_VERSION}: a newer release "
            "wrote it. Resume with that one, or choose another --workdir."
        )
    stored = _flatten(asdict(read_settings(Experiment, fields, f"{path}: config")))
    current = _flatten(asdict(experiment))
    for key in sorted({*current, *stored}):
        before, now = stored.get(key, 0.0), current.get(key, 0.0)  # a dataset that is not named
        if before != now and key not in FREE_TO_CHANGE:
            raise UserError(
                f"{path.parent} was trained with config.{key} = {before!r}, this run has "
                f"{now!r}. Use the same value to resume, or another --workdir."
            )


def write_json(path: Path, content: dict) -> None:
    """Writes a file whole or not at all."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def _flatten(tree: dict, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        nested = isinstance(value, dict)
        flat |= _flatten(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return flat


def set_initial_weights(model: HMR, model_folder: str, encoder_file: str) -> int:
    """Gives a compiled model the weights that its training starts from.

    Args:
        model: its weights are set.
        model_folder: weights of encoder and regressor, or a converted training; "" for none.
        encoder_file: weights of the encoder alone, where `model_folder` is ""; "" for random ones.
    Returns:
        the step at which the training starts: above 0 for a converted training.
    Raises:
        UserError: the weights are missing or do not fit.
    """
    if not model_folder:
        if encoder_file:
            _load_encoder(model.encoder, encoder_file)
        return 0
    load_weights(model, model_folder)
    start = load_start(Path(model_folder))
    if start:
        start.assign(model)
    return start.step if start else 0


def _load_encoder(encoder: keras.Model, path: str) -> None:
    if not Path(path).is_file():
        raise UserError(f"config.initial_encoder: no file at {path}. {_TWO_WAYS}")
    try:
        encoder.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"config.initial_encoder: {path} does not fit config.model: {reason} {_TWO_WAYS}"
        ) from error


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


class TrainingState:
    """Weights, both optimisers, step, time spent, best score and the position in the data.

    Each process saves one of its own, since it stands at its own position in the data.

    Args:
        workdir: the last checkpoints lie in its `checkpoints/`, the best one in `best/`.
        model: built and compiled.
        spec: the model's structure, for the model folder beside the best checkpoint.
        batches: iterator of the training dataset; None if its position is not kept.
        devices: says which process this is.
        kept: how many of the last checkpoints stay.
        first_step: above 0 for a training that began elsewhere.
    """

    def __init__(
        self,
        workdir: Path,
        model: HMR,
        spec: ModelSpec,
        batches: Iterator | None,
        devices: Devices,
        kept: int,
        first_step: int = 0,
    ) -> None:
        self.workdir, self.model, self.devices, self._spec = workdir, model, devices, spec
        self.step = tf.Variable(first_step, dtype=tf.int64, trainable=False)
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.best_score = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        learned = {
            "encoder": model.encoder,
            "regressor": model.regressor,
            "discriminator": model.discriminator,
            "encoder_optimizer": model.encoder_optimizer,
            "discriminator_optimizer": model.discriminator_optimizer,
            # Keras does not track generator states for TensorFlow's checkpoints.
            "random_states": [state.value for state in model.regressor.random_states],
            "step": self.step,
            "seconds": self.seconds,
            "best_score": self.best_score,
        }
        version = tf.Variable(POSITION_VERSION, dtype=tf.int64, trainable=False)
        position = {} if batches is None else {"batches": batches, "position_version": version}
        self._keeps_position = batches is not None
        self._learned = tf.train.Checkpoint(**learned)
        self._position = tf.train.Checkpoint(**position)
        self._all = tf.train.Checkpoint(**learned, **position)
        first = workdir / CHECKPOINTS_FOLDER
        others = [first / f"worker_{index}" for index in range(1, devices.workers)]
        self._folders = [CheckpointFolder(folder, kept) for folder in (first, *others)]
        self._last = self._folders[devices.worker]
        self._best = CheckpointFolder(workdir / BEST_FOLDER, kept=1)

    def save(self) -> None:
        """Writes a checkpoint.

        Raises:
            UserError: the place cannot be written to, or is full.
        """
        self._last.save(self._all, int(self.step))

    def save_if_best(self, score: float) -> None:
        """Keeps this step as the best one, with a model folder, if its score is the lowest yet."""
        if score < float(self.best_score):
            self.best_score.assign(score)
            self._best.save(self._all, int(self.step))
            save_model(self.model, self._spec, self.workdir / BEST_FOLDER)

    def restore(self) -> int:
        """Restores the newest whole checkpoint that all processes have, and returns its step.

        Returns:
            the step; that of the start where no checkpoint was ever saved.
        Raises:
            UserError: the checkpoints hold other variables than the model, none of them can be
                read, or the processes' have no step in common.
        """
        steps = [folder.steps() for folder in self._folders]
        common = sorted(set.intersection(*steps), reverse=True)
        if any(steps) and not common:
            raise UserError(
                f"the checkpoints in {self._last.folder} were saved by another number of processes "
                f"than these {len(steps)}. Use as many as before, or choose another --workdir."
            )
        for step in common:
            damage = self._last.damage(step) or self._read(step)
            if not self.devices.agree(bool(damage)):
                return step
            logging.warning(
                "the checkpoint of step %d in %s is damaged (%s): the one before it is tried.",
                step, self._last.folder, damage or "in another process",
            )  # fmt: skip
        if common:
            raise UserError(
                f"none of the {len(common)} checkpoints in {self._last.folder} can be read, the "
                "newest are damaged. Restore them from a copy, or choose another --workdir."
            )
        return int(self.step)

    def _read(self, step: int) -> str:
        """Restores a checkpoint, and returns what is damaged in its position; "" if nothing is."""
        try:
            with self._last.open(step) as path:
                _restore(self._learned, path)
                if self._keeps_position:
                    self._restore_position(path)
        except tf.errors.DataLossError as error:
            return str(error).splitlines()[0]
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise UserError(
                f"the checkpoint of step {step} in {self._last.folder} does not fit this "
                f"configuration: {str(error).splitlines()[0]} Resume with the configuration it was "
                "made with, or choose another --workdir."
            ) from error
        return ""

    def _restore_position(self, path: str) -> None:
        """Goes on at the same record, or anew where another version of the pipeline saved it."""
        reader = tf.train.load_checkpoint(path)
        saved = reader.get_tensor(_VERSION_KEY) if reader.has_tensor(_VERSION_KEY) else 1
        if saved == POSITION_VERSION:
            _restore(self._position, path)
            return
        logging.warning(
            "%s was saved by another version of the input pipeline: weights, optimisers and step "
            "are restored, the order of the data begins anew.",
            path,
        )


def _restore(objects: tf.train.Checkpoint, path: str) -> None:
    """Restores all of `objects`, which may be a part of what the checkpoint holds."""
    status = objects.read(path)
    status.assert_existing_objects_matched()
    status.expect_partial()
