"""The numbers of a picture's bodies as npz and as json; both describe every quantity."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import COCOPLUS
from hmr.body.measurements import CAVEAT, DEFINITIONS, measure
from hmr.body.model_file import BodyModel
from hmr.files.safe_npz import load_npz
from hmr.files.whole import write_text, write_whole
from hmr.prediction.result import ARRAY_FIELDS, FRAMES, QUANTITIES, Body, Result

_IN_JSON = (
    *("label", "score", "uncertain", "doubts"),
    *(name for name in ARRAY_FIELDS if name != "vertices_m"),
)
_BETWEEN_DOUBTS = "; "


def write_npz(path: Path, result: Result, body: BodyModel) -> None:
    """Every quantity, with a leading axis of people; `quantities` in the file describes them."""
    people = result.bodies
    arrays: dict[str, Any] = {
        # Without people an array has the shape (0,).
        **{name: np.array([getattr(person, name) for person in people]) for name in ARRAY_FIELDS},
        "label": np.array([person.label for person in people], np.str_),
        "score": np.array([person.score for person in people], np.float64),
        "uncertain": np.array([person.uncertain for person in people], bool),
        "doubts": np.array([_BETWEEN_DOUBTS.join(person.doubts) for person in people], np.str_),
        "image": np.str_(result.name),
        "image_size_px": np.array([result.height, result.width]),
        "request": np.str_(result.fingerprint),
        "problems": np.array(result.problems, np.str_),
        "frames": np.str_(FRAMES),
        "quantities": np.str_(json.dumps(QUANTITIES)),
    }
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def load_result(path: str | os.PathLike) -> Result | None:
    """Reads what `write_npz` wrote (no pickles); None if the file is absent or of another kind."""
    try:
        arrays = load_npz(path)
        height, width = (int(value) for value in arrays["image_size_px"])
        problems = tuple(map(str, arrays["problems"]))
        name, fingerprint = str(arrays["image"]), str(arrays["request"])
        return Result(name, height, width, _bodies(arrays), None, fingerprint, problems)
    except Exception:  # whatever damage leads to
        return None


def _bodies(arrays: Mapping[str, np.ndarray]) -> list[Body]:
    count = len(arrays["label"])
    later = {  # what files of release 0.1 lack
        "source_keypoints_px": np.zeros((count, len(COCOPLUS), 3)),
        "reprojection_px": np.full((count, 2), np.nan),
        "doubts": np.full(count, ""),
        "focal_room_px": _focal_room_px(arrays),
    }
    arrays = {**later, **arrays}
    columns = {name: arrays[name] for name in (*ARRAY_FIELDS, "label", "score", "doubts")}
    bodies = []
    for index in range(len(columns["label"])):
        row = {name: column[index] for name, column in columns.items()}
        for scalar in ("box_scale", "focal_px", "focal_room_px", "score"):
            row[scalar] = float(row[scalar])
        row["doubts"] = tuple(filter(None, str(row["doubts"]).split(_BETWEEN_DOUBTS)))
        bodies.append(Body(**{**row, "label": str(row["label"])}))
    return bodies


def _focal_room_px(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) from both translations, which lie on one ray: depth is proportional to the lens."""
    if not len(arrays["label"]):
        return np.zeros(0)
    depths = arrays["translation_room_m"][:, 2], arrays["translation_full_m"][:, 2]
    return arrays["focal_px"] * depths[0] / depths[1]


def write_json(path: Path, result: Result, body: BodyModel) -> None:
    """Every quantity but the vertices, body measurements, and a description of each."""
    content = {
        "image": result.name,
        "image_size_px": [result.height, result.width],
        "frames": FRAMES,
        "problems": result.problems,
        "quantities": {name: QUANTITIES[name] for name in _IN_JSON},
        "measurements": {"about": CAVEAT, **DEFINITIONS},
        "people": [_json_person(person, body) for person in result.bodies],
    }
    write_text(path, json.dumps(content, indent=1))


def _json_person(person: Body, body: BodyModel) -> dict:
    figures = measure(body, person.beta)
    measurements = {name: _plain(round(value, 4)) for name, value in figures.items()}
    quantities = {name: _plain(getattr(person, name)) for name in _IN_JSON}
    return {**quantities, "measurements_m": measurements}


def _plain(value: object) -> object:
    """Arrays as lists of the shortest numbers that read back as the same float32; nan as null."""
    if isinstance(value, np.ndarray | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return None
    if isinstance(value, np.float32):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value
