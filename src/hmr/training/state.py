"""All that a training resumes from: its configuration and its checkpoints.

A working directory holds `config.json`, the configuration that it was made with; `checkpoints/`,
everything that a resumed run needs; and `best/`, the checkpoint with the best score.

Checkpoints have TensorFlow's format, and a checkpoint exists if its files do. They are written into
a folder beside it and then renamed, the index last: a killed process leaves no half checkpoint.
TensorFlow's own manager instead keeps a list of checkpoints in a file and finds none without it,
reads folder names as patterns, and leaves behind what a killed process was writing.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from hmr.data.pipeline import POSITION_VERSION
from hmr.errors import UserError
from hmr.files.lock import only_one
from hmr.files.whole import plain_folder, remove, scratch_folder, take_name, write_text
from hmr.network.hmr import HMR
from hmr.settings import Experiment, read_settings
from hmr.training.devices import Devices

CONFIG_FILE, CHECKPOINTS_FOLDER, BEST_FOLDER = "config.json", "checkpoints", "best"
_LOCK = ".lock"
CONFIG_VERSION = 1
# What may differ between the run that a working directory belongs to and one that resumes it.
FREE_TO_CHANGE = (
    "optimizer.encoder_learning_rate",
    "optimizer.discriminator_learning_rate",
    "train.checkpoint_every_steps",
    "train.checkpoints_kept",
    "train.log_every_steps",
    "validation.pictures",
)
_INDEX, _DATA = re.compile(r"ckpt-(\d+)\.index"), re.compile(r"ckpt-(\d+)\.data-.+")
_VERSION_KEY = "position_version/.ATTRIBUTES/VARIABLE_VALUE"


@contextlib.contextmanager
def open_workdir(workdir: Path, experiment: Experiment, devices: Devices) -> Iterator[None]:
    """Locks a working directory for one training, the one that it was made for.

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
        version = fields.pop("version", CONFIG_VERSION)
        is_newer = version > CONFIG_VERSION
    except (ValueError, TypeError, RecursionError):
        logging.warning("%s is empty or cut off: it is written anew from this run's.", path)
        return
    if is_newer:
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


class TrainingState:
    """Weights, both optimisers, step, time spent, best score and the position in the data.

    With several processes each saves its own, since each has its own position in the data.

    Args:
        workdir: the last checkpoints lie in its `checkpoints/`, the best one in `best/`.
        model: built and compiled.
        save_model: writes the model's folder, beside the best checkpoint.
        batches: iterator of the training dataset; None if its position is not kept.
        devices: says which process this is.
        kept: how many of the last checkpoints stay.
        first_step: above 0 for a training that began elsewhere.
    """

    def __init__(
        self,
        workdir: Path,
        model: HMR,
        save_model: Callable[[Path], None],
        batches: Iterator | None,
        devices: Devices,
        kept: int,
        first_step: int = 0,
    ) -> None:
        self.workdir, self.model, self.devices = workdir, model, devices
        self._save_model = save_model
        # Waits until nothing changes the model; `StepAhead`, which trains it in another thread,
        # replaces it.
        self.settle: Callable[[], object] = lambda: None
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
        self.settle()
        self._last.save(self._all, int(self.step))

    def save_if_best(self, score: float) -> None:
        """Keeps this step as the best one, with a model folder, if its score is the lowest yet."""
        if score < float(self.best_score):
            self.best_score.assign(score)
            self._best.save(self._all, int(self.step))
            self._save_model(self.workdir / BEST_FOLDER)

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
        if not any(steps) and (lost := self._folders[0].steps(_DATA)):
            told = f"{self._folders[0].folder} holds checkpoints without their index: {len(lost)}"
            if len(lost) > 1:
                raise UserError(
                    f"{told}; none can be read. Restore them from a copy, or choose another "
                    "--workdir."
                )
            # A process that was killed while it saved its first checkpoint leaves this behind.
            logging.warning("%s; the training begins anew.", told)
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
                with self._rates_kept():
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

    @contextlib.contextmanager
    def _rates_kept(self) -> Iterator[None]:
        """Keeps this run's constant learning rates, which a checkpoint holds as variables."""
        optimizers = (self.model.encoder_optimizer, self.model.discriminator_optimizer)
        rates = [(each, getattr(each, "learning_rate", None)) for each in optimizers]
        constant = [
            (each, float(keras.ops.convert_to_numpy(rate)))
            for each, rate in rates
            if isinstance(rate, keras.Variable)
        ]
        yield
        for optimizer, rate in constant:
            optimizer.learning_rate = rate

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


class CheckpointFolder:
    """The last checkpoints of a run, one for each saved step.

    Args:
        folder: made when the first one is saved.
        kept: how many of the last stay.
    """

    def __init__(self, folder: Path, kept: int) -> None:
        self.folder, self._kept = folder, kept

    def steps(self, part: re.Pattern[str] = _INDEX) -> set[int]:
        """The steps whose checkpoints have this part."""
        found = (part.fullmatch(path.name) for path in _listed(self.folder))
        return {int(match[1]) for match in found if match}

    def save(self, objects: tf.train.Checkpoint, step: int) -> None:
        """Writes a checkpoint, then removes those that are too many and what was left half written.

        Raises:
            UserError: it cannot be written.
        """
        try:
            with scratch_folder(self.folder / f"ckpt-{step}") as partial:
                with plain_folder(partial) as plain:
                    objects.write(str(plain / f"ckpt-{step}"))
                for path in sorted(partial.iterdir()):  # .data-... before .index
                    take_name(path, self.folder / path.name)
        except tf.errors.OpError as error:
            raise UserError(
                f"the checkpoint of step {step} cannot be written to {self.folder}: "
                f"{error.message.splitlines()[0]} Make room there; the same command goes on from "
                f"the checkpoint before."
            ) from error
        kept = sorted(self.steps())[-self._kept :]
        for path in _listed(self.folder):
            match = re.fullmatch(r"ckpt-(\d+)(\..+|_temp)", path.name)
            if path.name == "checkpoint" or (match and int(match[1]) not in kept):
                remove(path)

    def damage(self, step: int) -> str:
        """What is wrong with the bytes of a checkpoint, by reading all of it; "" if nothing."""
        try:
            with self.open(step) as path:
                reader = tf.train.load_checkpoint(path)
                for name, dtype in reader.get_variable_to_dtype_map().items():
                    if dtype != tf.variant:  # an iterator's position, which only itself can read
                        reader.get_tensor(name)
        except Exception as error:  # TensorFlow raises a dozen kinds here, IndexError among them
            return str(error).splitlines()[0]
        return ""

    @contextlib.contextmanager
    def open(self, step: int) -> Iterator[str]:
        """The path of a checkpoint as TensorFlow reads it."""
        with plain_folder(self.folder) as plain:
            yield str(plain / f"ckpt-{step}")


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
