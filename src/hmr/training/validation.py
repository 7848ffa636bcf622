"""Scores of a split while training: numbers, pictures, and which checkpoint is the best."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hmr.data.pipeline import RecordSet
from hmr.errors import UserError
from hmr.evaluation.protocols import Protocol
from hmr.evaluation.samples import predict_split
from hmr.evaluation.scoring import score
from hmr.network.hmr import HMR
from hmr.training.journal import Journal
from hmr.training.pictures import Gallery

MEASURED = ("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_px")


@dataclass(frozen=True)
class ValidationSettings:
    """When and on what.

    Attributes:
        split: of the dataset, for the log.
        every_steps: between two validations; the last step is validated too.
        limit: records scored, from the first; 0 for all.
        best_by: one of `MEASURED`; the checkpoint with the lowest value is kept.
        pictures: of how many records.
        batch_size: images at a time.
    """

    split: str
    every_steps: int
    limit: int
    best_by: str
    pictures: int
    batch_size: int


class Validation(keras.callbacks.Callback):
    """Scores the model every so many steps.

    Args:
        source: the records.
        settings: see there.
        total_steps: of the training.
        journal: where numbers and pictures go.
        keep_if_best: called with the value of `best_by`.
    Raises:
        UserError: `best_by` is unknown, or needs labels that the records do not carry.
    """

    def __init__(
        self,
        source: RecordSet,
        settings: ValidationSettings,
        total_steps: int,
        journal: Journal,
        keep_if_best: Callable[[float], Any],
    ) -> None:
        super().__init__()
        measures = MEASURED if source.has_3d else MEASURED[2:]
        if settings.best_by not in measures:
            raise UserError(
                f"config.validation.best_by must be one of {', '.join(measures)} for "
                f"{source.name}/{settings.split}. Received: {settings.best_by!r}."
            )
        self._source, self._settings = source, settings
        self._total_steps = total_steps
        self._journal, self._keep_if_best = journal, keep_if_best
        self._protocol = Protocol(
            name="validation",
            title=f"{source.name} while training",
            dataset=source.name,
            split=settings.split,
            measures=measures,
        )
        num_records = min(settings.limit or source.examples, source.examples)
        self._gallery = Gallery(source.paths, num_records, settings.pictures)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        step = batch + 1
        if step % self._settings.every_steps and step != self._total_steps:
            return
        scores = self.scores()
        self._journal.scalars(step, {f"validation/{name}": v for name, v in scores.items()})
        picture = self._gallery.draw(self.model)
        if picture is not None:
            self._journal.picture(step, "validation", picture)
        self._keep_if_best(scores[self._settings.best_by])

    def scores(self) -> dict[str, float]:
        """Means over the split: mm, mm, px of the 224-pixel crop."""
        settings = self._settings
        prediction, truth = predict_split(
            _Predictor(self.model),
            self._source.paths,
            settings.batch_size,
            settings.limit or None,
            quiet=True,
        )
        measured = score(self._protocol, prediction, truth).measures
        return {name: values.mean() for name, values in measured.items()}


class _Predictor:
    """The model's forward pass outside any strategy, where Keras's own predicts on one only."""

    def __init__(self, model: HMR):
        self.input_size, self.smpl = model.input_size, model.smpl
        self._run = tf.function(model, reduce_retracing=True)

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._run(tf.constant(images))
        return {name: value.numpy() for name, value in outputs.items()}
