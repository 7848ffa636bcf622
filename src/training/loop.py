"""The training loop: batches in, checkpoints and logs out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from src.body.tensor import Tensor
from src.data.pipeline import Source, explain_input_error
from src.network.hmr import HMR
from src.training.checkpoints import TrainingState
from src.training.stopping import StopSignal, check_finite


class Interrupted(KeyboardInterrupt):
    """A signal ended the training after a checkpoint was written."""


@dataclass(frozen=True)
class LoopSettings:
    """How long to train and how often to save.

    Attributes:
        total_steps: steps of the whole training, counted from its very beginning.
        checkpoint_every_steps: steps between two checkpoints.
    """

    total_steps: int
    checkpoint_every_steps: int


def train(
    model: HMR,
    batches: Iterator,
    state: TrainingState,
    settings: LoopSettings,
    callbacks: Sequence[keras.callbacks.Callback],
    folder: Path,
    sources: Sequence[Source],
) -> None:
    """Runs the training steps that are left, and saves a checkpoint at the end.

    The same `train_step` runs under `model.fit`; a loop of our own adds what `fit` cannot do: the
    input pipeline's position in the checkpoint, and a stop between two steps.

    Args:
        model: compiled.
        batches: iterator of training batches, part of `state`.
        state: restored already if the run is resumed.
        settings: see there.
        callbacks: Keras callbacks; batch numbers count from the very beginning.
        folder: working directory, for the batch of a non-finite loss.
        sources: the datasets behind `batches`, to explain unreadable records.
    Raises:
        UserError: a loss is not finite or a record cannot be read.
        Interrupted: Ctrl-C or SIGTERM; everything so far is saved.
    """
    step_function = tf.function(model.train_step, jit_compile=model.jit_compile)
    hooks = keras.callbacks.CallbackList(list(callbacks), model=model)
    hooks.on_train_begin()
    try:
        with StopSignal() as stop:
            for step in range(int(state.step), settings.total_steps):
                started = time.monotonic()
                batch = _next(batches, sources)
                hooks.on_train_batch_begin(step)
                logs = {name: float(value) for name, value in step_function(batch).items()}
                check_finite(step + 1, logs, batch, folder)
                state.step.assign(step + 1)
                state.seconds.assign_add(time.monotonic() - started)
                hooks.on_train_batch_end(step, logs)
                if (step + 1) % settings.checkpoint_every_steps == 0 or stop.received:
                    state.save()
                if stop.received:
                    raise Interrupted(
                        f"stopped after step {step + 1}; run the same command to resume."
                    )
        state.save()
    finally:
        hooks.on_train_end()


def _next(batches: Iterator, sources: Sequence[Source]) -> dict[str, Tensor]:
    try:
        return next(batches)
    except tf.errors.OpError as error:
        raise explain_input_error(sources, error) from error
