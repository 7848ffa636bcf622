"""The best and the worst cases of an evaluation, drawn: numbers alone hide what goes wrong."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from src.data.augment import no_jitter, prepare_person
from src.data.reading import parse_person, read_shard
from src.errors import UserError
from src.evaluation.samples import Prediction, Truth
from src.evaluation.scoring import MEASURES, Scores
from src.imaging.camera import weak_perspective_px
from src.imaging.crop import CROP_SIZE, CropBox, from_normalized
from src.imaging.draw import draw_skeleton, stack_rows, turned_view
from src.imaging.images import write_image
from src.imaging.shade import render_mesh

_WHOLE_CROP = CropBox(np.array([CROP_SIZE / 2, CROP_SIZE / 2]), 1.0)
_TURNS_DEG = (-90.0, 90.0)
_CAPTION_PX = 20


@dataclass(frozen=True)
class Case:
    """One sample to draw.

    Attributes:
        caption: written into the first picture.
        image: (224, 224, 3) uint8, the crop.
        true_px, visible: (19, 2) crop pixels and (19,) bool.
        predicted_px: (19, 2) crop pixels, or None.
        outputs: of the model for this sample, with vertices; None without a model.
    """

    caption: str
    image: np.ndarray
    true_px: np.ndarray
    visible: np.ndarray
    predicted_px: np.ndarray | None
    outputs: dict[str, np.ndarray] | None


def draw_extremes(
    folder: Path,
    scores: Scores,
    prediction: Prediction,
    truth: Truth,
    paths: Sequence[str],
    model: Any = None,
    count: int = 6,
) -> list[Path]:
    """Writes best.jpg and worst.jpg: a row for each case.

    The crop with the true keypoints, with the predicted ones, and of a model the body over the crop
    and from both sides.

    Args:
        folder: where the pictures go.
        scores: their first measure decides.
        prediction, truth: the samples behind them.
        paths: the shards.
        model: `src.network.hmr.HMR`, or None.
        count: rows in each picture.

    Returns:
        the files.
    """
    ordered = _from_best_to_worst(scores)
    chosen = {"best": ordered[:count], "worst": ordered[::-1][:count]}
    wanted = {int(truth.records[index]) for indices in chosen.values() for index in indices}
    records = _read_records(paths, wanted)
    files = []
    for name, indices in chosen.items():
        cases = [
            _case(index, records[int(truth.records[index])], scores, prediction, truth, model)
            for index in indices
        ]
        files.append(folder / f"{name}.jpg")
        write_image(files[-1], stack_rows([draw_case(case, model) for case in cases]))
    return files


def draw_case(case: Case, model: Any = None) -> np.ndarray:
    """One row, (224, N * 224, 3) uint8 RGB."""
    cells = [draw_skeleton(case.image, case.true_px, case.visible)]
    _write(cells[0], case.caption)
    if case.predicted_px is not None:
        cells.append(draw_skeleton(case.image, case.predicted_px))
    if case.outputs is not None and len(model.smpl.body.faces):
        cells += _body_cells(case, model.smpl.body.faces)
    return np.concatenate(cells, axis=1)


def _from_best_to_worst(scores: Scores) -> list[int]:
    name, values = next(iter(scores.measures.items()))
    sign = -1.0 if MEASURES[name].higher_is_better else 1.0
    counted = np.flatnonzero(values.weights > 0)
    return counted[np.argsort(sign * values.values[counted], kind="stable")].tolist()


def _read_records(paths: Sequence[str], wanted: set[int]) -> dict[int, bytes]:
    records = itertools.chain.from_iterable(map(read_shard, paths))
    needed = itertools.islice(records, max(wanted, default=-1) + 1)
    return {index: record for index, record in enumerate(needed) if index in wanted}


def _case(
    index: int, record: bytes, scores: Scores, prediction: Prediction, truth: Truth, model: Any
) -> Case:
    person = parse_person(record)
    image = np.asarray(prepare_person(person, no_jitter(), CROP_SIZE)["images"])
    numbers = [f"{values.values[index]:.1f}" for values in scores.measures.values()]
    predicted = prediction.keypoints2d
    return Case(
        caption=f"#{truth.records[index]}: {', '.join(numbers[:3])}",
        image=np.rint((image + 1.0) * 127.5).astype(np.uint8),
        true_px=from_normalized(truth.keypoints2d[index]),
        visible=truth.visibility[index],
        predicted_px=None if predicted is None else from_normalized(predicted[index]),
        outputs=None if model is None else _outputs(model, person),
    )


def _outputs(model: Any, person: dict) -> dict[str, np.ndarray]:
    image = prepare_person(person, no_jitter(), model.input_size)["images"]
    outputs = model(np.asarray(image)[None], vertices=True)
    return {name: np.asarray(outputs[name])[0] for name in ("vertices", "camera")}


def _body_cells(case: Case, faces: np.ndarray) -> list[np.ndarray]:
    assert case.outputs is not None
    vertices_m = case.outputs["vertices"]
    try:
        placed = weak_perspective_px(case.outputs["camera"], _WHOLE_CROP).project(vertices_m)
        body = render_mesh(placed, faces, case.image)
    except UserError:  # a camera turned inside out shows no body: that is the case's picture
        body = case.image
    views = [turned_view(vertices_m, faces, angle, CROP_SIZE, CROP_SIZE) for angle in _TURNS_DEG]
    return [body, *views]


def _write(image: np.ndarray, text: str) -> None:
    image[:_CAPTION_PX] //= 3
    font, place = cv2.FONT_HERSHEY_SIMPLEX, (6, _CAPTION_PX - 6)
    cv2.putText(image, text, place, font, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
