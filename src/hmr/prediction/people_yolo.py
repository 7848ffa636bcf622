"""Reads people from YOLO pose's text files, one a picture, one line a person.

`class cx cy w h`, then 17 keypoints `x y v` or `x y`, all from 0 to 1 across the picture; where
Ultralytics wrote the file, perhaps the person's confidence and the tracker's number behind them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from hmr.body.joints import COCO17
from hmr.errors import UserError
from hmr.files.foreign import read_text
from hmr.prediction.people import Detection, Detections, from_keypoints
from hmr.prediction.people_entry import attempt, confident, number

_BOX_NUMBERS, _PERSON = 5, 0
_COLUMNS = (3, 2)
# Confidence and number of the person.
_MOST_BEHIND = 2
_MAX_BYTES = 1 << 20
# Points may lie a little beyond the border.
_FURTHEST = 0.1


def yolo_people(path: Path, min_score: float) -> Detections:
    """The people of one file; lines that are none are problems, other classes are noted."""
    found, others = Detections(), 0
    # Of a picture without people the file is empty.
    text = read_text(path, _MAX_BYTES) if path.stat().st_size else ""
    for line, row in enumerate(text.splitlines(), start=1):
        words = row.replace(",", " ").split()
        if words and words[0] not in (str(_PERSON), f"{_PERSON}.0"):
            others += 1
        elif words:
            attempt(found, f"{path.name} line {line}", _maker(words, len(found.people), min_score))
    if others:
        found.notes.append(f"{path.name}: {others} lines of other classes than {_PERSON}: skipped")
    return found


def _maker(words: list[str], position: int, min_score: float) -> Callable[[], Detection]:
    def make() -> Detection:
        numbers = np.array([number(word, "a value") for word in words])
        points, behind = _points_and_rest(numbers)
        score = next((value for value in behind if not value.is_integer()), None)
        given = bool(behind) and behind[-1].is_integer()
        label = str(int(behind[-1])) if given else str(position)
        person = confident(from_keypoints(points, min_score, label, score), min_score)
        return replace(person, identified=given)

    return make


def _points_and_rest(numbers: np.ndarray) -> tuple[np.ndarray, list[float]]:
    """Keypoints (17, 3) from 0 to 1, and what stands behind them."""
    for columns in _COLUMNS:
        end = _BOX_NUMBERS + columns * len(COCO17)
        if 0 <= len(numbers) - end <= _MOST_BEHIND:
            points = numbers[_BOX_NUMBERS:end].reshape(-1, columns)  # (17, 3 or 2)
            if columns == 2:  # who is not seen stands at 0, 0
                points = np.column_stack([points, points.any(axis=1)])
            used = points[points[:, 2] > 0, :2]
            if not ((used >= -_FURTHEST) & (used <= 1 + _FURTHEST)).all():
                raise UserError("expected x and y from 0 to 1, as YOLO has them")
            points[:, :2] = np.clip(points[:, :2], 0, 1)
            return points, numbers[end:].tolist()
    raise UserError(
        f"expected class cx cy w h and 17 keypoints x y v or x y, got {len(numbers)} numbers"
    )
