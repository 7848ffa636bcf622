"""The training loop: batches in, checkpoints and logs out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from hmr.data.pipeline import RecordSet, explain_input_error
from hmr.network.hmr import HMR
from hmr.tensor import Tensor
from hmr.training.bad_records import BadRecords
from hmr.training.callbacks import TOOK, WAITED
from hmr.training.checkpoints import TrainingState
from hmr.training.devices import Devices
from hmr.training.stopping import StopSignal, check_finite


class Interrupted(KeyboardInterrupt):
    """A signal ended the training after a checkpoint was written."""


@dataclass(frozen=True)
class LoopSettings:
    """How long to train, how often to save, and what to put up with.

    Attributes:
        total_steps: steps of the whole training, counted from its very beginning.
        checkpoint_every_steps: steps between two checkpoints.
        max_bad_share: part of all records that may be unreadable.
    """

    total_steps: int
    checkpoint_every_steps: int
    max_bad_share: float


def train(
    model: HMR,
    batches: Iterator,
    state: TrainingState,
    settings: LoopSettings,
    devices: Devices,
    callbacks: Sequence[keras.callbacks.Callback],
    folder: Path,
    sources: Sequence[RecordSet],
) -> None:
    """Runs the training steps that are left, and saves a checkpoint at the end.

    The same `train_step` runs under `model.fit`; a loop of our own adds what `fit` cannot do: the
    input pipeline's position in the checkpoint, and a stop between two steps.

    Args:
        model: compiled.
        batches: iterator of training batches, part of `state`.
        state: restored already if the run is resumed.
        settings: see there.
        devices: what the steps run on.
        callbacks: Keras callbacks; batch numbers count from the very beginning.
        folder: working directory, for the batch of a non-finite loss.
        sources: the datasets behind `batches`, to explain unreadable records.
    Raises:
        UserError: a loss is not finite, a shard is damaged or too many records cannot be read.
        Interrupted: Ctrl-C or SIGTERM; everything so far is saved.
    """
    bad_records = BadRecords(sources, settings.max_bad_share, folder)
    take_step = devices.step_function(model)
    hooks = keras.callbacks.CallbackList(list(callbacks), model=model)
    hooks.on_train_begin()
    try:
        with StopSignal() as stop:
            for step in range(int(state.step), settings.total_steps):
                started = time.monotonic()
                batch = _next(batches, sources)
                bad_records.note(batch)
                waited = time.monotonic() - started
                hooks.on_train_batch_begin(step)
                logs = take_step(batch)
                check_finite(step + 1, logs, batch, folder)
                took = time.monotonic() - started
                state.step.assign(step + 1)
                state.seconds.assign_add(took)
                logs |= {WAITED: waited, TOOK: took, "input/unreadable_records": len(bad_records)}
                hooks.on_train_batch_end(step, logs)
                stopping = devices.agree(bool(stop.received))
                if (step + 1) % settings.checkpoint_every_steps == 0 or stopping:
                    state.save()
                if stopping:
                    raise Interrupted(
                        f"stopped after step {step + 1}; run the same command to resume."
                    )
        state.save()
    finally:
        hooks.on_train_end()


def _next(batches: Iterator, sources: Sequence[RecordSet]) -> dict[str, Tensor]:
    try:
        return next(batches)
    except tf.errors.OpError as error:
        raise explain_input_error(sources, error) from error
