"""Bodies from pictures in a few lines of Python.

from hmr import Predictor

predictor = Predictor.load()
bodies = predictor.predict("photo.jpg")
picture = predictor.draw("photo.jpg", bodies)
predictor.save("out/person", "photo.jpg", bodies, kinds=("npz", "obj", "glb"))
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path

import keras
import numpy as np
from absl import logging

from hmr.body.joints import COCOPLUS, COCOPLUS_FLIP
from hmr.body.measurements import measure
from hmr.body.model_file import BodyModel
from hmr.errors import UserError
from hmr.files.as_picture import as_picture
from hmr.finding.finder import Finder
from hmr.fitting.fit import Fitter, reprojection_px
from hmr.geometry.crop import CropBox, crop_image, network_input, to_normalized
from hmr.motion.sides import contradicted_sides
from hmr.network.checkpoint import load_model
from hmr.network.hmr import HMR, bodies_of
from hmr.prediction import DEFAULT_BATCH, DEFAULT_MODEL
from hmr.prediction.arguments import (
    check_batch_size,
    check_bodies,
    check_flag,
    check_focal,
    check_height,
    check_path,
    check_pictures,
    expect,
    is_number,
    rows_of_each,
)
from hmr.prediction.people import (
    FINDERS,
    MIN_SCORE,
    Detection,
    Detections,
    FoundPeople,
    WholePicture,
    check_against_picture,
    detections_from_boxes,
    from_keypoints,
)
from hmr.prediction.result import Body, Result, body_from_outputs
from hmr.prediction.stopwatch import Stopwatch
from hmr.prediction.traced import TracedModel, open_traced
from hmr.prediction.writers.pictures import draw_overlay
from hmr.prediction.writers.save import save_result
from hmr.tensor import Tensor

# Network inputs go from -1 to 1; those of 0 to 255 are far beyond.
_FURTHEST_INPUT = 10


class _WithVertices(keras.Model):
    """The network with the mesh among its outputs."""

    def __init__(self, model: HMR):
        super().__init__(name="bodies")
        self._model = model
        self.built = True

    def call(self, images: Tensor) -> dict[str, Tensor]:
        return self._model(images, training=False, vertices=True)


class Predictor:
    """A loaded model that turns pictures into bodies.

    Args:
        model: the network.
        batch_size: people per pass through it.
        focal_px: focal length of the lens in pixels, if known.
        fit: move each body onto the keypoints of its person, where these are known.

    Attributes:
        watch: the time spent so far, by stage.
    """

    def __init__(
        self,
        model: HMR | TracedModel,
        batch_size: int = DEFAULT_BATCH,
        focal_px: float | None = None,
        fit: bool = False,
    ):
        is_model = isinstance(model, HMR | TracedModel)
        expect(is_model, "the model", "a network as load_model or open_traced returns it", model)
        check_batch_size(batch_size)
        check_focal(focal_px)
        check_flag(fit, "fit")
        self.model = model
        self.batch_size = batch_size
        self.focal_px = focal_px
        self.fit = fit
        self.watch = Stopwatch()
        # Compiled by `predict_on_batch`: a tenth of the time of calling the network eagerly.
        self._network = _WithVertices(model) if isinstance(model, HMR) else model

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike = DEFAULT_MODEL,
        body: str | None = None,
        batch_size: int = DEFAULT_BATCH,
        focal_px: float | None = None,
        fit: bool = False,
        traced: bool = False,
    ) -> Predictor:
        """Loads a model folder.

        Args:
            folder: of a training (runs/NAME) or of a model.
            body: path of another body file than the model's.
            batch_size: people per pass.
            focal_px: of the lens, if known.
            fit: move each body onto the keypoints of its person, where these are known.
            traced: with TensorFlow, take the network from the user's cache as an earlier call
                traced it, see `hmr.prediction.traced`: a first prediction comes sooner.

        Raises:
            UserError: the folder or its body is missing, damaged or does not fit, or Keras is set
                to another kind of numbers than float32.
        """
        check_path(folder, "the model's folder")
        if body is not None:
            check_path(body, "the body's file")
        check_flag(fit, "fit")
        number = keras.config.floatx()  # of layers that do not say theirs
        expect(number == "float32", "Keras's floatx", "float32", number)
        check_flag(traced, "traced")
        uses_tensorflow = keras.backend.backend() == "tensorflow"
        open_model = open_traced if traced and uses_tensorflow else load_model
        return cls(open_model(folder, body), batch_size, focal_px, fit)

    @cached_property
    def _finder(self) -> Finder:
        return Finder()

    @cached_property
    def _fitter(self) -> Fitter:
        return Fitter(self.model.smpl)

    @property
    def body(self) -> BodyModel:
        """The body's arrays: faces, weights, regressors."""
        return self.model.body

    def predict(
        self,
        image: np.ndarray | str | os.PathLike,
        boxes: Iterable[Sequence[float]] | None = None,
        keypoints: Iterable[np.ndarray] | None = None,
        min_score: float = MIN_SCORE,
        find: str = FINDERS[0],
        fit: bool | None = None,
    ) -> list[Body]:
        """The bodies of one picture, in the order of the boxes; the surest first if found.

        Args:
            image: a path, or (H, W, 3) uint8 RGB. Arrays of grey levels, decimals or RGBA are
                converted by `hmr.files.as_picture`, and a line in the log says how.
            boxes: per person left, top, width, height in pixels.
            keypoints: instead, per person (K, 3) x, y, confidence in pixels. With neither,
                everyone in the picture is found.
            min_score: keypoints, and people who are found, at or below it do not count.
            find: one of `hmr.prediction.people.FINDERS`; "none": the whole picture is one person.
            fit: move each body onto its keypoints; as the predictor was made to if None.

        Raises:
            UserError: the picture or a box is unusable; the message names which.
        """
        image, done = as_picture(image)
        if done:
            logging.warning("the picture is no (H, W, 3) uint8 RGB: %s", done)
        found = self._people(image, boxes, keypoints, min_score, find)
        if found.problems:
            raise UserError("; ".join(found.problems))
        bodies, problems = self.predict_people([(image, found.people)], fit)[0]
        if problems:
            raise UserError("; ".join(problems))
        return bodies

    def _people(
        self,
        image: np.ndarray,
        boxes: Iterable[Sequence[float]] | None,
        keypoints: Iterable[np.ndarray] | None,
        min_score: float,
        find: str,
    ) -> Detections:
        if boxes is not None and keypoints is not None:
            raise UserError("give boxes or keypoints, not both")
        if not isinstance(find, str) or find not in FINDERS:
            raise UserError(f"find is one of {', '.join(FINDERS)}. Received: {find!r}.")
        if not is_number(min_score) or not 0 <= min_score < 1:
            raise UserError(f"min_score is from 0 to below 1. Received: {min_score!r}.")
        if boxes is not None:
            rows = rows_of_each(boxes, "boxes", "left, top, width, height")
            return check_against_picture(detections_from_boxes(rows), image)
        if keypoints is not None:
            numbered = enumerate(rows_of_each(keypoints, "keypoints", "(K, 3) x, y, confidence"))
            people = [from_keypoints(points, min_score, str(index)) for index, points in numbered]
            return check_against_picture(Detections(people), image)
        if find == "none":
            return WholePicture().find("", image)
        with self.watch("find people"):
            return FoundPeople(self._finder, min_score).find("", image)

    def predict_people(
        self,
        pictures: Sequence[tuple[np.ndarray, Sequence[Detection]]],
        fit: bool | None = None,
        check_sides: bool = False,
    ) -> list[tuple[list[Body], list[str]]]:
        """Bodies of several pictures, in common batches.

        Args:
            pictures: (H, W, 3) uint8 RGB and the people in it.
            fit: as of `predict`.
            check_sides: exchange left and right of keypoints that the network's body contradicts,
                see `hmr.motion.sides`.

        Returns:
            per picture its bodies, and a line for each person without one.
        """
        check_pictures(pictures)
        check_flag(check_sides, "check_sides")
        if fit is not None:
            check_flag(fit, "fit")
        with self.watch("crop"):
            cut = [[crop_image(image, p.box) for p in people] for image, people in pictures]
        placed = [
            (crop, box, person)
            for (_, people), row in zip(pictures, cut, strict=True)
            for person, (crop, box) in zip(people, row, strict=True)
        ]
        outputs = self._people_outputs(placed, self.fit if fit is None else fit, check_sides)
        return [self._assemble(image, len(people), outputs) for image, people in pictures]

    def _people_outputs(
        self, placed: list[tuple[np.ndarray, CropBox, Detection]], fit: bool, check_sides: bool
    ) -> Iterator[tuple[dict[str, np.ndarray], CropBox, Detection]]:
        """The network's outputs, person by person; `fit` moves them onto their keypoints."""
        size = self.model.input_size
        for start in range(0, len(placed), self.batch_size):
            crops, boxes, people = zip(*placed[start : start + self.batch_size], strict=True)
            with self.watch("crop"):
                batch = np.stack([network_input(crop, size) for crop in crops])
            outputs = self.predict_crops(batch)
            given = np.stack([*map(_keypoints_in_crop, people, boxes)])  # (B, 19, 3)
            if check_sides:
                turned = contradicted_sides(given, outputs["keypoints2d"])
                given[turned] = given[turned][:, COCOPLUS_FLIP]
                people = [*map(_turned, people, turned)]
            outputs = self._beside_keypoints(outputs, given[..., :2], given[..., 2], fit)
            for index, (box, person) in enumerate(zip(boxes, people, strict=True)):
                yield {key: value[index] for key, value in outputs.items()}, box, person

    def _beside_keypoints(
        self,
        outputs: dict[str, np.ndarray],
        keypoints2d: np.ndarray,
        confidence: np.ndarray,
        fit: bool,
    ) -> dict[str, np.ndarray]:
        """The outputs of a batch with `reprojection_px` (B, 2), before and after the fit.

        With a fit the bodies are moved onto (B, 19, 2) keypoints; `theta` has one row more.
        """
        before_px = reprojection_px(outputs["keypoints2d"], keypoints2d, confidence)
        if not fit:
            errors_px = np.stack([before_px, np.full_like(before_px, np.nan)], axis=1)
            return {**outputs, "reprojection_px": errors_px}
        with self.watch("fit"):
            theta = self._fitter.fit(outputs["theta"][:, -1], keypoints2d, confidence)
            fitted = bodies_of(theta, self.model.smpl, vertices=True)
            fitted = {key: np.asarray(value) for key, value in fitted.items()}
            after_px = reprojection_px(fitted["keypoints2d"], keypoints2d, confidence)
            return {
                **outputs,
                **fitted,
                "theta": np.concatenate([outputs["theta"], theta[:, None]], axis=1),
                "reprojection_px": np.stack([before_px, after_px], axis=1),
            }

    def _assemble(
        self,
        image: np.ndarray,
        count: int,
        outputs: Iterator[tuple[dict[str, np.ndarray], CropBox, Detection]],
    ) -> tuple[list[Body], list[str]]:
        bodies, problems = [], []
        height, width = image.shape[:2]
        for row, box, person in islice(outputs, count):
            try:
                bodies.append(body_from_outputs(row, person, box, height, width, self.focal_px))
            except UserError as error:
                problems.append(f"person {person.label}: {error}: skipped")
        return bodies, problems

    def predict_crops(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """The network's outputs for one batch of its own inputs.

        Args:
            crops: (B, S, S, 3) float32 RGB in [-1, 1], S the network's input size.

        Returns:
            theta (B, T, 85), camera (B, 3), pose (B, 72), beta (B, 10), rotations
            (B, 24, 3, 3), keypoints2d (B, 19, 2) in [-1, 1], joints3d (B, 19, 3) m, smpl_joints
            (B, 24, 3) m, vertices (B, 6890, 3) m, features (B, F); all float32.

        Raises:
            UserError: the shape or the type is wrong.
        """
        size = self.model.input_size
        is_batch = isinstance(crops, np.ndarray) and crops.dtype == np.float32 and crops.size > 0
        fits = is_batch and crops.shape[1:] == (size, size, 3)
        expected = f"(N, {size}, {size}, 3) float32 in [-1, 1] for this model"
        expect(fits, "crops", expected, crops)
        reach = float(np.abs(crops).max())
        expect(reach <= _FURTHEST_INPUT, "crops", expected, f"values of up to {reach:g}")
        with self.watch("network and body"):
            return self._network.predict_on_batch(crops)

    def measure(self, body: Body, height_m: float | None = None) -> dict[str, float]:
        """Height, girths and limb lengths of a body's shape in metres.

        What each means: `hmr.body.measurements.DEFINITIONS`. One picture does not fix the scale.
        Girths are nan where the body file has no faces.

        Args:
            body: from `predict`.
            height_m: the person's real height, if known; everything is scaled to it.

        Raises:
            UserError: the height is not positive.
        """
        expect(isinstance(body, Body), "body", "one of the bodies that predict returns", body)
        check_height(height_m)
        return measure(self.body, body.beta, height_m)

    def draw(self, image: np.ndarray | str | os.PathLike, bodies: list[Body]) -> np.ndarray:
        """The bodies over the picture, given as to `predict`: (H, W, 3) uint8 RGB."""
        return draw_overlay(_as_result("", image, bodies), self.body)

    def save(
        self,
        base: str | os.PathLike,
        image: np.ndarray | str | os.PathLike,
        bodies: list[Body],
        kinds: tuple[str, ...] = ("npz", "overlay"),
    ) -> list[Path]:
        """Writes files that begin with `base`.

        Args:
            base: path without suffix.
            image: as to `predict`.
            bodies: from `predict`.
            kinds: of `hmr.prediction.writers.save.KINDS`.

        Raises:
            UserError: a kind or the picture is another, or a file cannot be written.
        """
        check_path(base, "the base")
        name = not str(base).endswith(("/", os.sep)) and Path(base).name
        expect(bool(name), "the base", "a path without suffix, such as out/person", str(base))
        return save_result(base, _as_result(str(base), image, bodies), self.body, kinds)


def _keypoints_in_crop(person: Detection, box: CropBox) -> np.ndarray:
    """(19, 3) normalised x, y and confidence; zero where the person has no known keypoints."""
    if person.keypoints2d_px is None:
        return np.zeros((len(COCOPLUS), 3))
    points_px, confidence = np.split(person.keypoints2d_px, [2], axis=1)
    return np.concatenate([to_normalized(box.to_crop(points_px)), confidence], axis=1)


def _turned(person: Detection, turned: bool) -> Detection:
    points_px = person.keypoints2d_px
    if not turned or points_px is None:
        return person
    return replace(person, keypoints2d_px=points_px[COCOPLUS_FLIP])


def _as_result(name: str, given: np.ndarray | str | os.PathLike, bodies: list[Body]) -> Result:
    check_bodies(bodies)
    image, _ = as_picture(given)
    return Result(name, image.shape[0], image.shape[1], bodies, image)
