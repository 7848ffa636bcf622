"""Scores of a split while training: numbers, pictures, and which checkpoint is the best."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from hmr.data.augment import prepare_person
from hmr.data.pipeline import RecordSet, find_record_sets
from hmr.data.records import parse_person, read_records
from hmr.data.shards import unwatched_offered
from hmr.errors import UserError
from hmr.evaluation.protocols import Protocol
from hmr.evaluation.samples import predict_split
from hmr.evaluation.scoring import score
from hmr.geometry.crop import CROP_SIZE, denormalize_pixels, from_normalized
from hmr.geometry.crop_train import no_jitter
from hmr.network.hmr import HMR
from hmr.network.regressor import BETA, CAMERA, POSE
from hmr.rendering.draw import body_over_crop, draw_skeleton, turned_view
from hmr.settings import CHOICES, ValidationSettings
from hmr.tensor import Tensor
from hmr.training.callbacks import Journal
from hmr.training.state import TrainingState

MEASURED = CHOICES["validation.best_by"]
_SIDE_DEG = 90.0


def find_validations(
    root: str, settings: ValidationSettings, batch_size: int, total_steps: int
) -> list[Callable[[Journal, TrainingState], Validation]]:
    """Prepares the validation: a list of one function, or of none where no dataset is set.

    Records and settings are checked here, before anything is written. The function makes the
    callback once there are a journal to write to and a state that keeps the best checkpoint.

    Args:
        root: folder of the records.
        settings: of the validation.
        batch_size: images at a time.
        total_steps: of the training.
    Raises:
        UserError: there are no such records; or `best_by` is unknown, or needs labels that they do
            not carry.
    """
    name, split = settings.dataset, settings.split
    if not name:
        return []
    with unwatched_offered():
        (held_out,) = find_record_sets(root, {name: 1.0}, split)
    measures = MEASURED if held_out.has_3d else MEASURED[2:]
    if settings.best_by not in measures:
        raise UserError(
            f"config.validation.best_by must be one of {', '.join(measures)} for {name}/{split}. "
            f"Received: {settings.best_by!r}."
        )
    protocol = Protocol("validation", f"{name} while training", name, split, measures)
    return [functools.partial(Validation, held_out, protocol, settings, batch_size, total_steps)]


class Validation(keras.callbacks.Callback):
    """Scores the model every so many steps.

    Args:
        record_set: what is scored.
        protocol: what is measured on it.
        settings: when, and by what the best checkpoint is chosen.
        batch_size: images at a time.
        total_steps: of the training.
        journal: where numbers and pictures go.
        state: keeps the checkpoint with the lowest `best_by`.
    """

    def __init__(
        self,
        record_set: RecordSet,
        protocol: Protocol,
        settings: ValidationSettings,
        batch_size: int,
        total_steps: int,
        journal: Journal,
        state: TrainingState,
    ) -> None:
        super().__init__()
        self._record_set, self._protocol, self._settings = record_set, protocol, settings
        self._batch_size, self._total_steps = batch_size, total_steps
        self._journal, self._state = journal, state
        num_records = min(settings.limit or record_set.examples, record_set.examples)
        self._gallery = Gallery(record_set.paths, num_records, settings.pictures)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        step = batch + 1
        if step % self._settings.every_steps and step != self._total_steps:
            return
        self._state.settle()
        scores = self.scores()
        self._journal.scalars(step, {f"validation/{name}": v for name, v in scores.items()})
        picture = self._gallery.draw(self.model)
        if picture is not None:
            self._journal.picture(step, "validation", picture)
        self._state.save_if_best(scores[self._settings.best_by])

    @functools.cached_property
    def _predictor(self) -> _Predictor:
        return _Predictor(self.model)

    def scores(self) -> dict[str, float]:
        """Means over the split: mm, mm, px of the 224-pixel crop."""
        settings = self._settings
        prediction, truth = predict_split(
            self._predictor,
            self._record_set.paths,
            self._batch_size,
            settings.limit or None,
            quiet=True,
        )
        measured = score(self._protocol, prediction, truth).measures
        return {name: values.mean() for name, values in measured.items()}


class _Predictor:
    """The model's forward pass on this device alone; Keras's own runs inside a strategy."""

    def __init__(self, model: HMR):
        self.input_size, self.smpl = model.input_size, model.smpl
        images = tf.TensorSpec(model.encoder.input_shape, tf.float32)
        self._run = tf.function(lambda images: model(images), input_signature=[images])

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        outputs = self._run(tf.constant(images))
        return {name: value.numpy() for name, value in outputs.items()}


class Gallery:
    """A few records whose estimates are drawn at every validation, always the same ones.

    Args:
        paths: shards.
        num_records: how many of their records to choose from.
        count: how many to draw, spread evenly; 0 for none.
    """

    def __init__(self, paths: Sequence[str], num_records: int, count: int) -> None:
        wanted = np.linspace(0, num_records - 1, min(count, num_records)).astype(int).tolist()
        records = read_records(paths, set(wanted)) if wanted else {}
        self._people = [parse_person(records[index]) for index in wanted]

    def draw(self, model: HMR) -> np.ndarray | None:
        """A row for each record, (N * 224, W, 3) uint8 RGB; None without records.

        From left to right: the crop, the true keypoints (visible ones), the estimated ones, the
        body of every iteration over the crop, and the last one from the side.
        """
        if not self._people:
            return None
        small = [self._crop(person, model.input_size)["images"] for person in self._people]
        outputs = model(np.stack(small))
        theta = np.asarray(outputs["theta"])
        keypoints_px = from_normalized(np.asarray(outputs["keypoints2d"]))
        rows = [
            _row(self._crop(person, CROP_SIZE), keypoints_px[index], theta[index], model)
            for index, person in enumerate(self._people)
        ]
        return np.concatenate(rows)

    @staticmethod
    def _crop(person: dict[str, Tensor], size: int) -> dict[str, np.ndarray]:
        sample = prepare_person(person, no_jitter(), size)
        return {key: np.asarray(value) for key, value in sample.items()}


def _row(
    sample: dict[str, np.ndarray], keypoints_px: np.ndarray, theta: np.ndarray, model: HMR
) -> np.ndarray:
    image = denormalize_pixels(sample["images"])
    true_px = from_normalized(sample["keypoints2d"])
    cells = [
        image,
        draw_skeleton(image, true_px, sample["visibility"]),
        draw_skeleton(image, keypoints_px),
    ]
    faces = model.smpl.body.faces
    if len(faces):
        vertices_m = np.asarray(model.smpl(theta[:, POSE], theta[:, BETA])["vertices"])
        cells += [
            body_over_crop(image, vertices, camera, faces)
            for vertices, camera in zip(vertices_m, theta[:, CAMERA], strict=True)
        ]
        cells.append(turned_view(vertices_m[-1], faces, _SIDE_DEG, CROP_SIZE, CROP_SIZE))
    return np.concatenate(cells, axis=1)
