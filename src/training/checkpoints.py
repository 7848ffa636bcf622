"""Training checkpoints: everything a resumed run needs to go on as if it had never stopped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from src.errors import UserError
from src.network.hmr import HMR


class TrainingState:
    """Weights, both optimisers, step, time spent and the input pipeline's position.

    Args:
        folder: where the checkpoints lie; made if missing.
        model: built and compiled.
        batches: iterator of the training dataset.
        kept: how many checkpoints stay.
    """

    def __init__(self, folder: Path, model: HMR, batches: Iterator, kept: int):
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._objects = tf.train.Checkpoint(
            encoder=model.encoder,
            regressor=model.regressor,
            discriminator=model.discriminator,
            encoder_optimizer=model.encoder_optimizer,
            discriminator_optimizer=model.discriminator_optimizer,
            # Keras does not track generator states for TensorFlow's checkpoints.
            random_states=[state.value for state in model.regressor.random_states],
            batches=batches,
            step=self.step,
            seconds=self.seconds,
        )
        self._manager = tf.train.CheckpointManager(self._objects, str(folder), max_to_keep=kept)

    def save(self) -> str:
        """Writes a checkpoint and returns its path."""
        return self._manager.save(checkpoint_number=int(self.step))

    def restore(self) -> int:
        """Restores the newest checkpoint, if there is one, and returns the step.

        Raises:
            UserError: the checkpoint holds other variables than the model.
        """
        newest = self._manager.latest_checkpoint
        if newest:
            try:
                self._objects.restore(newest).assert_existing_objects_matched()
            except (AssertionError, ValueError, tf.errors.OpError) as error:
                raise UserError(
                    f"{newest} does not fit this configuration: {str(error).splitlines()[0]} "
                    "Resume with the configuration it was made with, or choose another --workdir."
                ) from error
        return int(self.step)
