"""The training loop: batches in, checkpoints and logs out, and what ends it early.

The device never waits for the loop: while a step runs, the next batch is fetched and the scalars of
the step before are checked and logged. A signal ends the loop cleanly between two steps; a loss
that is not finite, or too many unreadable records, with an error.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from hmr.data.pipeline import RecordSet, explain_input_error
from hmr.data.records import why_unreadable
from hmr.data.unreadable import STREAMS, unreadable_key
from hmr.errors import UserError, printable
from hmr.files.whole import write_whole
from hmr.tensor import Tensor
from hmr.training.callbacks import STEP, TOOK, WAITED
from hmr.training.devices import Devices, Scalars
from hmr.training.state import TrainingState

UNREADABLE_FILE = "unreadable_records.txt"


class Interrupted(KeyboardInterrupt):
    """A signal ended the training after a checkpoint was written."""


def train(
    state: TrainingState,
    batches: Iterator,
    total_steps: int,
    save_every: int,
    devices: Devices,
    callbacks: Sequence[keras.callbacks.Callback],
    bad_records: BadRecords,
) -> None:
    """Runs the training steps that are left, and saves a checkpoint at the end.

    The same `train_step` runs under `model.fit`; a loop of our own adds what `fit` cannot do: the
    input pipeline's position in the checkpoint, and a stop between two steps.

    Args:
        state: the compiled model and its step; restored already if the run is resumed.
        batches: iterator of training batches.
        total_steps: of the whole training, counted from its very beginning.
        save_every: steps between two checkpoints.
        devices: what the steps run on.
        callbacks: Keras callbacks; batch numbers count from the very beginning.
            `on_train_batch_end` is called when the step has been started, with the scalars of the
            step before and its number, `STEP`. A callback that reads the model first waits for the
            running step by `state.settle`.
        bad_records: counts the records that could not be read.
    Raises:
        UserError: a loss is not finite, a shard is damaged or too many records cannot be read.
        Interrupted: Ctrl-C or SIGTERM; everything so far is saved.
    """
    steps = StepAhead(state, devices)
    hooks = keras.callbacks.CallbackList(list(callbacks), model=state.model)
    hooks.on_train_begin()
    try:
        with StopSignal() as stop, steps:
            for step in range(int(state.step), total_steps):
                asked = time.monotonic()
                batch = read_batch(batches, bad_records)
                waited = time.monotonic() - asked
                hooks.on_train_batch_begin(step)
                extra = {WAITED: waited, "input/unreadable_records": len(bad_records)}
                known = steps.start(step + 1, batch, extra)
                state.step.assign(step + 1)
                hooks.on_train_batch_end(step, known)
                if devices.workers > 1:
                    state.settle()  # the barrier below must not overtake the step's all-reduce
                stopping = devices.agree(bool(stop.received))
                if (step + 1) % save_every == 0 or stopping:
                    state.save()
                if stopping:
                    raise Interrupted(
                        f"stopped after step {step + 1}; run the same command to resume."
                    )
            state.save()
    finally:
        hooks.on_train_end(steps.news())


def read_batch(batches: Iterator, bad_records: BadRecords) -> dict[str, Tensor]:
    """The next batch without the names of unreadable records, which are counted.

    Raises:
        UserError: a shard is damaged or too many records cannot be read.
    """
    try:
        batch = next(batches)
    except tf.errors.OpError as error:
        raise explain_input_error(bad_records.paths, error) from error
    bad_records.note(batch)
    return batch


class _Running(NamedTuple):
    step: int
    batch: Mapping[str, Tensor]
    extra: Scalars
    started: Future


class StepAhead:
    """Runs a step in another thread while the loop looks at the one before.

    TensorFlow returns to the caller before a GPU is done with a step, but not before a CPU is. Use
    as a context manager.

    Args:
        state: its model is trained. While a step runs, nothing else may read or change the model;
            `state.settle`, which is set here, waits for its end.
        devices: what the steps run on.
    """

    def __init__(self, state: TrainingState, devices: Devices) -> None:
        self._state, self._devices = state, devices
        self._take_step = devices.step_function(state.model)
        self._thread = ThreadPoolExecutor(1, "step")
        self._running: _Running | None = None
        self._news: Scalars = {}
        self._since = time.monotonic()

    def __enter__(self) -> StepAhead:
        self._state.settle = self.settle
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()

    def start(self, step: int, batch: Mapping[str, Tensor], extra: Scalars) -> Scalars:
        """Starts a step.

        Args:
            step: its number, from 1.
            batch: its inputs.
            extra: more scalars of it.
        Returns:
            the scalars of the step before; empty before the first.
        Raises:
            UserError: a loss of the step before is not finite.
        """
        started = self._thread.submit(self._take_step, self._devices.place(batch))
        self.settle()
        self._running = _Running(step, batch, extra, started)
        return self.news()

    def settle(self) -> None:
        """Waits for the step that runs, and checks it.

        Raises:
            UserError: a loss is not finite.
        """
        if not self._running:
            return
        step, batch, extra, started = self._running
        self._running = None
        scalars = started.result()()
        check_finite(step, scalars, batch, self._state.workdir)
        took, self._since = time.monotonic() - self._since, time.monotonic()
        self._state.seconds.assign_add(took)
        self._news = {**scalars, **extra, STEP: step, TOOK: took}

    def news(self) -> Scalars:
        """The scalars of the last step that `settle` waited for; none if they were taken."""
        news, self._news = self._news, {}
        return news


class StopSignal:
    """Turns the first Ctrl-C or SIGTERM into a flag, so that a step is never cut in half.

    A second signal acts as usual. Use as a context manager around the training loop.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        for number in self.SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def check_finite(step: int, logs: Mapping[str, float], batch: Mapping, folder: Path) -> None:
    """Stops a training whose loss is not a number.

    Args:
        step: the step the losses belong to.
        logs: scalars of that step.
        batch: its inputs; saved to `folder/bad_batch_<step>.npz` when a loss is bad.
        folder: the working directory.
    Raises:
        UserError: naming the step, the losses and the saved batch.
    """
    bad = sorted(name for name, value in logs.items() if not math.isfinite(value))
    if not bad:
        return
    path = folder / f"bad_batch_{step}.npz"
    arrays: dict[str, Any] = {key: np.asarray(value) for key, value in batch.items()}
    write_whole(path, lambda file: np.savez(file, **arrays))
    raise UserError(
        f"step {step}: {', '.join(bad)} is not finite. Inputs saved to {path}; weights of the last "
        "checkpoint are kept. Look at them with hmr doctor --batch; or resume by the same command "
        "with a lower --config.optimizer.encoder_learning_rate."
    )


class BadRecords:
    """The records that were left out of this run so far, each counted once.

    Args:
        record_sets: all datasets that are trained on.
        max_share: part of all records that may be unreadable.
        folder: receives `unreadable_records.txt`, a name in each line.
    """

    def __init__(self, record_sets: Sequence[RecordSet], max_share: float, folder: Path) -> None:
        self.paths = [path for each in record_sets for path in each.paths]
        self._total = sum(each.examples for each in record_sets)
        self._max_share = max_share
        self._file = folder / UNREADABLE_FILE
        self._names: set[str] = set()

    def __len__(self) -> int:
        return len(self._names)

    def note(self, batch: dict[str, Tensor]) -> None:
        """Takes the names of left-out records from a batch, where it has them, and counts new ones.

        Raises:
            UserError: they are more than the allowed share, naming the first and its fault.
        """
        told = [batch.pop(unreadable_key(stream), None) for stream in STREAMS]
        texts = [text for names in told if names is not None for text in names.numpy()]
        names = dict.fromkeys(b"".join(texts).decode().splitlines())
        new = [name for name in names if name not in self._names]
        if new:
            self._names.update(new)
            self._report(new)

    def _report(self, new: list[str]) -> None:
        with self._file.open("a") as file:
            for name in new:
                file.write(f"{name}\n")
                tqdm.write(printable(f"left out, cannot be read: {name}"))
        if len(self) > self._max_share * self._total:
            raise UserError(
                f"{len(self)} of {self._total} records cannot be read, more than "
                f"config.data.max_bad_share={self._max_share:g} allows (all: {self._file}). "
                f"{why_unreadable(new[0])}"
            )
