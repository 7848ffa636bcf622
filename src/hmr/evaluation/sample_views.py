"""Drawings of an evaluation's samples, above all the best and the worst: averages hide failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from hmr.body.joints import COCOPLUS_BONES, LSP14
from hmr.data.augment import prepare_person
from hmr.data.records import parse_person, read_records
from hmr.evaluation.measures import MEASURES
from hmr.evaluation.metrics import centre
from hmr.evaluation.samples import Prediction, Truth
from hmr.evaluation.scoring import Scores
from hmr.files.images import write_image
from hmr.geometry.crop import CROP_SIZE, denormalize_pixels, from_normalized
from hmr.geometry.crop_train import no_jitter
from hmr.rendering.draw import body_over_crop, draw_skeleton, turned_view

_SIDES_DEG = {"from the left": -90.0, "from the right": 90.0}
_CAPTION_PX = 20
_LSP_BONES = [bone for bone in COCOPLUS_BONES if max(bone) < len(LSP14)]
_SIDE_PX_PER_M = 100.0


@dataclass(frozen=True)
class DrawnSample:
    """A sample with its numbers and pictures.

    Attributes:
        record: number among the records of the split.
        name: the record's file name, and its sequence if it has one.
        numbers: measure -> value.
        views: title -> picture (224, 224, 3) uint8 RGB.
    """

    record: int
    name: str
    numbers: dict[str, float]
    views: dict[str, np.ndarray]


def find_extremes(scores: Scores, count: int = 6) -> dict[str, list[int]]:
    """Indices of the "best" and the "worst" samples by the first measure, most extreme first."""
    name, samples = next(iter(scores.measures.items()))
    sign = -1.0 if MEASURES[name].higher_is_better else 1.0
    counted = np.flatnonzero(samples.weights > 0)
    order = np.argsort(sign * samples.values[counted], kind="stable")
    ordered = counted[order].tolist()
    return {"best": ordered[:count], "worst": ordered[::-1][:count]}


def draw_samples(
    indices: Sequence[int],
    scores: Scores,
    prediction: Prediction,
    truth: Truth,
    paths: Sequence[str],
    faces: np.ndarray | None = None,
) -> list[DrawnSample]:
    """Draws samples.

    Args:
        indices: of the samples to draw.
        scores, prediction, truth: of all samples.
        paths: the shards that they come from.
        faces: (F, 3) of the predicted meshes; None or empty leaves bodies out.
    """
    records = read_records(paths, {int(truth.record[index]) for index in indices})

    def drawn(index: int) -> DrawnSample:
        record = int(truth.record[index])
        views = _draw_sample(index, records[record], prediction, truth, faces)
        numbers = {name: float(s.values[index]) for name, s in scores.measures.items()}
        name = " ".join(filter(None, (str(truth.filename[index]), str(truth.sequence[index]))))
        return DrawnSample(record, name, numbers, views)

    return [drawn(index) for index in indices]


def write_extremes(folder: Path, extremes: dict[str, list[DrawnSample]]) -> list[Path]:
    """Writes best.jpg and worst.jpg: a row of views for each sample."""
    files = []
    for name, samples in extremes.items():
        files.append(folder / f"{name}.jpg")
        write_image(files[-1], np.concatenate([captioned_row(sample) for sample in samples]))
    return files


def captioned_row(sample: DrawnSample) -> np.ndarray:
    """A sample's views side by side, (224, N * 224, 3) uint8 RGB, with number and errors."""
    numbers = ", ".join(f"{value:.1f}" for value in sample.numbers.values())
    first, *others = sample.views.values()
    return np.concatenate([captioned(first, f"#{sample.record}: {numbers}"), *others], axis=1)


def captioned(picture: np.ndarray, text: str) -> np.ndarray:
    """A copy of a picture (H, W, 3) uint8 with white text on its darkened upper edge."""
    picture = np.ascontiguousarray(picture).copy()
    picture[:_CAPTION_PX] //= 3
    font, place = cv2.FONT_HERSHEY_SIMPLEX, (6, _CAPTION_PX - 6)
    cv2.putText(picture, text, place, font, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def draw_case(
    image: np.ndarray,
    true_px: np.ndarray,
    visible: np.ndarray,
    predicted_px: np.ndarray | None = None,
    mesh: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    joints3d_lsp_m: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """Views of a sample, title -> (224, 224, 3) uint8 RGB; a part that is None is left out.

    Args:
        image: (224, 224, 3) uint8, the crop.
        true_px, visible: (19, 2) crop pixels and (19,) bool.
        predicted_px: (19, 2) crop pixels.
        mesh: vertices_m (6890, 3) in the camera's axes, camera (3,) s, tx, ty, and faces (F, 3).
        joints3d_lsp_m: true and predicted (14, 3).
    """
    views = {"labels": draw_skeleton(image, true_px, visible)}
    if predicted_px is not None:
        views["prediction"] = draw_skeleton(image, predicted_px)
    if mesh is not None:
        vertices_m, _, faces = mesh
        views["body"] = body_over_crop(image, *mesh)
        for title, turn_deg in _SIDES_DEG.items():
            views[title] = turned_view(vertices_m, faces, turn_deg, *image.shape[:2])
    if joints3d_lsp_m is not None:
        views["from the left, labels pale"] = draw_from_side(*joints3d_lsp_m)
    return views


def draw_from_side(true_m: np.ndarray, predicted_m: np.ndarray) -> np.ndarray:
    """Both 3D skeletons (14, 3) with their hips at one point, the true one pale.

    The viewer of the photograph stands to the right of this picture, as in "from the left".
    """
    picture = np.full((CROP_SIZE, CROP_SIZE, 3), 255, np.uint8)
    for joints_m, pale in ((true_m, True), (predicted_m, False)):
        centred = centre(joints_m[None])[0]
        points = centred[:, [2, 1]] * (-_SIDE_PX_PER_M, _SIDE_PX_PER_M) + CROP_SIZE / 2
        picture = draw_skeleton(picture, points, names=LSP14, bones=_LSP_BONES)
        if pale:
            picture = 255 - (255 - picture) // 3
    return picture


def _draw_sample(
    index: int, record: bytes, prediction: Prediction, truth: Truth, faces: np.ndarray | None
) -> dict[str, np.ndarray]:
    image = np.asarray(prepare_person(parse_person(record), no_jitter(), CROP_SIZE)["images"])
    keypoints, meshes, cameras = prediction.keypoints2d, prediction.meshes, prediction.camera
    mesh = joints = None
    if meshes is not None and cameras is not None and faces is not None and len(faces):
        mesh = (meshes.vertices_m(slice(index, index + 1))[0], cameras[index], faces)
    if prediction.joints3d_lsp_m is not None and truth.has_joints3d[index]:
        lsp = slice(len(LSP14))
        joints = (truth.joints3d_lsp_m[index][lsp], prediction.joints3d_lsp_m[index][lsp])
    return draw_case(
        image=denormalize_pixels(image),
        true_px=from_normalized(truth.keypoints2d[index]),
        visible=truth.visibility[index],
        predicted_px=None if keypoints is None else from_normalized(keypoints[index]),
        mesh=mesh,
        joints3d_lsp_m=joints,
    )
