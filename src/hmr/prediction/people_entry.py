"""Makes a person of what an entry of a file says: numbers of any nesting, ids, scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hmr.body.joints import COCOPLUS
from hmr.errors import UserError
from hmr.files.coco_json import comparable_id
from hmr.prediction.people import (
    Detection,
    Detections,
    NoKeypointsError,
    from_keypoints,
    from_rectangle,
)

# How many of the points count for the box: feet, hands and face, which come last, are parts that
# the rule (ankles are the lowest points) does not know.
# CrowdPose, MPII, COCO and PoseTrack, ours, Halpe-26, COCO-WholeBody, Halpe-136.
COUNTED = {14: 14, 16: 16, 17: 17, 19: 19, 26: 17, 133: 17, 136: 17}
# Names of COCO -> those of other writers; `rectangle_px` and what follows it are our own.
_OTHER_KEYS = {
    "bbox": ("box", "rectangle_px"),
    "score": ("bbox_score",),
    "keypoints": ("source_keypoints_px",),
    "keypoint_scores": ("keypoints_scores", "kp_score"),
}
# Files that write boxes as two corners.
_CORNER_KEYS = ("keypoint_scores", "image_name")
_OTHER_IDS = ("idx", "person_id", "instance_id")
# MMPose's list of one person's list of points.
_MOST_NESTED = 2


def attempt(found: Detections, who: str, make: Callable[[], Detection]) -> None:
    """Adds the person that `make` returns, or the reason why there is none."""
    try:
        found.people.append(make())
    except NoKeypointsError as error:
        found.notes.append(f"{who}: {error}: skipped")
    except UserError as error:
        found.problems.append(f"{who}: {error}: skipped")


def number(value: object, what: str) -> float:
    """A number of a file, which may be text."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{what} must be a number, got {value!r:.60}") from error


def confident(person: Detection, min_score: float) -> Detection:
    """The person, if their score is above the threshold."""
    if not person.score > min_score:
        raise UserError(f"score {person.score:.2g} is not above {min_score}")
    return person


def _numbers(values: object, what: str) -> np.ndarray:
    """A list of numbers, or of lists of numbers, as one row; null is nan."""
    if not isinstance(values, list):
        raise UserError(f"{what} must be a list of numbers, got {values!r:.60}")
    flat = _flat(values, _MOST_NESTED)
    return np.array([np.nan if v is None else number(v, what) for v in flat], np.float64)


def _flat(values: list, nested: int) -> list:
    """The values of lists in a list, up to so many in each other; null may stand for a list."""
    width = max((len(value) for value in values if isinstance(value, list)), default=1)
    flat: list = []
    for value in values:
        is_row = isinstance(value, list) and nested
        flat += _flat(value, nested - 1) if is_row else [value] * (width if value is None else 1)
    return flat


def with_known_keys(entry: dict) -> dict:
    """An entry with the keys of AlphaPose, MMPose and our own results under COCO's names."""
    found = dict(entry)
    for name, others in _OTHER_KEYS.items():
        keys = (key for key in (name, *others) if entry.get(key) is not None)
        found[name] = entry.get(next(keys, name))
    return found


def add_person(
    found: Detections,
    entry: dict,
    index: int,
    field: str,
    min_score: float,
    order: tuple[str, ...] | None,
) -> None:
    """Adds the person of an entry, or the reason why there is none.

    Args:
        found: the people of the picture.
        entry: of the file.
        index: of the entry, for messages.
        field: "bbox" or "keypoints".
        min_score: people and keypoints at or below it do not count.
        order: names of the keypoints, where the file gives them.
    """
    given = _given_id(entry)
    label = str(len(found.people)) if given is None else given
    entry = with_known_keys(entry)

    def make() -> Detection:
        if entry.get("iscrowd"):
            raise UserError("marks a crowd, not a person")
        score = None if entry.get("score") is None else _first(entry["score"], "score")
        if field == "bbox":
            person = from_rectangle(_rectangle(entry), 1.0 if score is None else score, label)
        else:
            points, named = _named_keypoints(entry, order)
            person = from_keypoints(points, min_score, label, score, named)
        return replace(confident(person, min_score), identified=given is not None)

    attempt(found, f"person {label} (entry {index})", make)


def _named_keypoints(
    entry: dict, order: tuple[str, ...] | None
) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Keypoints (K, 3) that count for the box, and their names where they are known.

    Where the file names as many as COCO and its like do not have, those count that are known.
    """
    counted = COUNTED
    if order:
        counted = {len(order): len(order)} | {k: n for k, n in COUNTED.items() if k >= len(order)}
    points = keypoints_of(entry.get("keypoints"), counted, entry.get("keypoint_scores"))
    if not order:
        return points, COCOPLUS if len(points) == len(COCOPLUS) else None
    named = order[: len(points)]
    if len(order) not in COUNTED and len(points) == len(order):
        points[[name not in COCOPLUS for name in named], 2] = 0
    return points, named if len(named) == len(points) else None


def _first(value: object, what: str) -> float:
    """A number, which may be the first of a list."""
    numbers = _numbers([value], what)
    if not len(numbers):
        raise UserError(f"{what} must be a number, got {value!r:.60}")
    return float(numbers[0])


def _given_id(entry: dict) -> str | None:
    """Who it is: the tracker's or the annotator's number, if there is one."""
    attributes = entry.get("attributes")
    annotated = attributes.get("track_id") if isinstance(attributes, dict) else None
    ours = entry.get("label") if "rectangle_px" in entry else None
    for value in (entry.get("track_id"), annotated, *map(entry.get, _OTHER_IDS), ours):
        first = value[0] if isinstance(value, list) and value else value
        key = comparable_id(first)
        # Trackers write -1 where they do not know.
        if key is not None and not (isinstance(key, int) and key < 0):
            return str(key)
    return None


def _rectangle(entry: dict) -> list[float]:
    """Left, top, width, height; a fifth number is a score, which stands behind two corners."""
    box = _numbers(entry.get("bbox"), "bbox")
    if len(box) == 5 or (len(box) == 4 and any(entry.get(key) is not None for key in _CORNER_KEYS)):
        box = box[:4]
        box[2:] -= box[:2]
    return box.tolist()


def keypoints_of(values: object, counted: dict[int, int], scores: object = None) -> np.ndarray:
    """Keypoints (K, 3) that count for the box: x, y, confidence.

    Args:
        values: x, y, confidence of each, flat or nested; or x, y where `scores` has the rest, or
            nothing has: then who is not seen stands at 0, 0.
        counted: numbers of points that are known -> how many of them count.
        scores: the confidence of each point.
    """
    numbers = _numbers(values, "keypoints")
    possible = (3, 2) if scores is None else (2,)
    columns = next((c for c in possible if len(numbers) in {c * k for k in counted}), None)
    if columns is None:
        expected = " or ".join(str(possible[0] * count) for count in counted)
        names = "x, y, confidence" if scores is None else "x, y"
        raise UserError(f"expected {expected} numbers ({names}), got {len(numbers)}")
    points = numbers.reshape(-1, columns)
    if columns == 2:
        points = np.column_stack([points, points.any(axis=1)])
    if scores is not None:
        confidence = _numbers(scores, "keypoint_scores")
        if len(confidence) != len(points):
            raise UserError(f"{len(points)} keypoints, but {len(confidence)} keypoint_scores")
        points[:, 2] = confidence
    return points[: counted[len(points)]]
