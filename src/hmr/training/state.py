"""Training checkpoints: everything a resumed run needs to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from hmr.errors import UserError
from hmr.network.hmr import HMR
from hmr.training.devices import Devices

CHECKPOINTS_FOLDER, BEST_FOLDER = "checkpoints", "best"


class TrainingState:
    """Weights, both optimisers, step, time spent, best score and the input pipeline's position.

    Several processes save one each, since each stands at a place of its own in the data.

    Args:
        workdir: the last checkpoints lie in its `checkpoints/`, the best one in `best/`.
        model: built and compiled.
        batches: iterator of the training dataset; None if its position is not kept.
        kept: how many of the last checkpoints stay.
        devices: says which process this is.
    """

    def __init__(
        self, workdir: Path, model: HMR, batches: Iterator | None, kept: int, devices: Devices
    ) -> None:
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self.best_score = tf.Variable(np.inf, dtype=tf.float64, trainable=False)
        self._objects = tf.train.Checkpoint(
            encoder=model.encoder,
            regressor=model.regressor,
            discriminator=model.discriminator,
            encoder_optimizer=model.encoder_optimizer,
            discriminator_optimizer=model.discriminator_optimizer,
            # Keras does not track generator states for TensorFlow's checkpoints.
            random_states=[state.value for state in model.regressor.random_states],
            step=self.step,
            seconds=self.seconds,
            best_score=self.best_score,
            **({} if batches is None else {"batches": batches}),
        )
        first = workdir / CHECKPOINTS_FOLDER
        others = [first / f"worker_{index}" for index in range(1, devices.workers)]
        self._folders = [first, *others]
        self._last = self._manager(self._folders[devices.worker], kept)
        self._best = self._manager(workdir / BEST_FOLDER, 1)

    def _manager(self, folder: Path, kept: int) -> tf.train.CheckpointManager:
        return tf.train.CheckpointManager(self._objects, str(folder), max_to_keep=kept)

    def save(self) -> str:
        """Writes a checkpoint and returns its path."""
        return self._last.save(checkpoint_number=int(self.step))

    def save_if_best(self, score: float) -> bool:
        """Keeps this step as the best one if its score is the lowest so far."""
        if not score < float(self.best_score):
            return False
        self.best_score.assign(score)
        self._best.save(checkpoint_number=int(self.step))
        return True

    def restore(self) -> int:
        """Restores the newest checkpoint that all processes have, if any, and returns the step.

        Raises:
            UserError: the checkpoint holds other variables than the model, or the processes' have
                no step in common.
        """
        path = self._newest()
        if path:
            try:
                self._objects.restore(path).assert_existing_objects_matched()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                raise UserError(
                    f"{path} does not fit this configuration: {str(error).splitlines()[0]} "
                    "Resume with the configuration it was made with, or choose another --workdir."
                ) from error
        return int(self.step)

    def _newest(self) -> str | None:
        steps = [_saved_steps(folder) for folder in self._folders]
        common = set.intersection(*steps)
        if common:
            return str(Path(self._last.directory) / f"ckpt-{max(common)}")
        if any(steps):
            raise UserError(
                f"the checkpoints in {self._folders[0]} were saved by another number of processes "
                f"than these {len(steps)}. Use as many as before, or choose another --workdir."
            )
        return None


def _saved_steps(folder: Path) -> set[int]:
    state = tf.train.get_checkpoint_state(str(folder))
    paths = state.all_model_checkpoint_paths if state else []
    return {int(path.rpartition("-")[2]) for path in paths}
