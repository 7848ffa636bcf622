"""Reads boxes and keypoints of people: csv, COCO (annotations, results), OpenPose (both keys).

| file | people |
|---|---|
| csv with header `image,x,y,width,height[,id][,score]` (or `frame` for `image`) | boxes |
| COCO annotations or results, `bbox` | boxes |
| COCO annotations or results, `keypoints` (17 x, y, v or confidence) | keypoints |
| OpenPose file, or folder of `<image>_keypoints.json` | BODY_25, COCO-18 or MPI-15, by length |
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from absl import logging

from hmr.errors import UserError
from hmr.files.whole import read_bounded
from hmr.finding.finder import Finder
from hmr.prediction.people import (
    MIN_SCORE,
    Detection,
    Detections,
    FoundPeople,
    PeopleSource,
    PeopleTable,
    SamePeople,
    WholePicture,
    check_against_picture,
    detections_from_boxes,
    from_keypoints,
    from_rectangle,
)

_PERSON_CATEGORY = 1
_INLINE = re.compile(r"[-+0-9.,;\seEnaif]+")
_OPENPOSE_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_OPENPOSE_SUFFIX = "_keypoints"
# How many of the points count for the box: BODY_25's last six are toes and heels, which the
# rule (ankles are the lowest points) does not know.
_OPENPOSE_COUNTED = {25: 19, 18: 18, 15: 15}
_COCO_POINTS = 17
_CSV_ALIASES = {"w": "width", "h": "height", "left": "x", "top": "y", "file": "image"}


def open_people(
    boxes: str | None = None,
    keypoints: str | None = None,
    min_score: float = MIN_SCORE,
    find: str | None = None,
) -> PeopleSource:
    """The source of people that the flags name.

    Args:
        boxes: csv, COCO json, or `x,y,w,h` itself (several joined by `;`).
        keypoints: OpenPose json or folder, COCO json.
        min_score: people, or keypoints, at or below this confidence do not count.
        find: without either, one of `FINDERS`; the first if None.

    Raises:
        UserError: two of them are given, or a file is missing, damaged or of another kind.
    """
    if boxes and keypoints:
        raise UserError("give --boxes or --keypoints, not both")
    if find and (boxes or keypoints):
        raise UserError("--boxes and --keypoints say where people are: --find has no part in it")
    if boxes:
        return _open_boxes(boxes, min_score)
    if keypoints:
        return _open_keypoints(Path(keypoints), min_score)
    return WholePicture() if find == "none" else FoundPeople(Finder(), min_score)


def _open_boxes(text: str, min_score: float) -> PeopleSource:
    path = Path(text)
    if path.is_file():
        if path.suffix.lower() == ".json":
            return _coco_table(path, _read_json(path), "bbox", min_score)
        return _csv_people(path, min_score)
    if "," in text and _INLINE.fullmatch(text):
        return SamePeople(parse_boxes(text))
    raise UserError(f"--boxes {text}: no such file, and not x,y,w,h")


def _open_keypoints(path: Path, min_score: float) -> PeopleSource:
    if path.is_dir():
        return OpenPoseFolder(path, min_score)
    if not path.is_file():
        raise UserError(f"--keypoints {path}: no such file or folder")
    content = _read_json(path)
    if isinstance(content, dict) and "people" in content:
        return SamePeople(openpose_people(content, path.name, min_score))
    return _coco_table(path, content, "keypoints", min_score)


def parse_boxes(text: str) -> Detections:
    """`x,y,w,h` or several joined by `;`.

    Raises:
        UserError: a part is no list of numbers, or no box is usable.
    """
    try:
        rows = [[float(part) for part in row.split(",")] for row in text.split(";") if row.strip()]
    except ValueError as error:
        raise UserError(f"--boxes {text!r}: {error}; expected x,y,w,h in pixels") from error
    found = detections_from_boxes(rows)
    if not found.people:
        reasons = "; ".join(found.problems) or "no box"
        raise UserError(f"--boxes {text!r} holds no usable box: {reasons}")
    return found


def is_single_openpose_file(keypoints: str | None) -> bool:
    """Whether the flag names one OpenPose file, which describes one picture only."""
    if not keypoints or not Path(keypoints).is_file():
        return False
    content = _read_json(Path(keypoints))
    return isinstance(content, dict) and "people" in content


def _read_text(path: Path) -> str:
    try:
        return read_bounded(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text (UTF-8): {error.reason}") from error


def _read_json(path: Path) -> object:
    text = _read_text(path)
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


def _attempt(found: Detections, who: str, make: Callable[[], Detection]) -> None:
    """Adds the person that `make` returns, or the reason why there is none."""
    try:
        found.people.append(make())
    except UserError as error:
        found.problems.append(f"{who}: {error}: skipped")


def _number(value: object, what: str) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{what} must be a number, got {value!r:.60}") from error


def _numbers(values: object, what: str) -> np.ndarray:
    if not isinstance(values, list):
        raise UserError(f"{what} must be a list of numbers, got {values!r:.60}")
    return np.array([_number(value, what) for value in values], np.float64)


def _confident(person: Detection, min_score: float) -> Detection:
    if not person.score > min_score:
        raise UserError(f"score {person.score:.2g} is not above {min_score}")
    return person


# csv


def _csv_people(path: Path, min_score: float) -> PeopleSource:
    try:
        rows = list(csv.reader(_read_text(path).splitlines()))
    except csv.Error as error:
        raise UserError(f"{path} is not a csv file: {error}") from error
    if not rows:
        raise UserError(f"{path} is empty; expected a header image,x,y,width,height")
    header = [_CSV_ALIASES.get(name.strip().lower(), name.strip().lower()) for name in rows[0]]
    missing = {"x", "y", "width", "height"} - set(header)
    if missing:
        raise UserError(
            f"{path} line 1: expected a header image,x,y,width,height[,id][,score], "
            f"got {','.join(rows[0])[:120]!r}"
        )
    table, everywhere = PeopleTable(str(path)), Detections()
    for line, row in enumerate(rows[1:], start=2):
        if row:
            record = dict(zip(header, row, strict=False))
            found = _csv_entry(table, record, everywhere, f"{path} line {line}")
            _add_csv_row(found, record, line, min_score)
    named = "image" in header or "frame" in header
    return table if named else SamePeople(everywhere)


def _csv_entry(table: PeopleTable, record: dict, everywhere: Detections, where: str) -> Detections:
    if "image" in record:
        return table.entry(record["image"].strip())
    if "frame" in record:
        try:
            return table.entry(int(record["frame"]))
        except ValueError as error:
            raise UserError(f"{where}: frame must be whole, got {record['frame']!r}") from error
    return everywhere


def _add_csv_row(found: Detections, record: dict, line: int, min_score: float) -> None:
    label = record.get("id", "").strip() or str(len(found.people))

    def make() -> Detection:
        sides = ("x", "y", "width", "height")
        rectangle = [_number(record.get(side), side) for side in sides]
        score = _number(record["score"], "score") if record.get("score", "").strip() else 1.0
        return _confident(from_rectangle(rectangle, score, label), min_score)

    _attempt(found, f"line {line}", make)


# COCO


def _coco_table(path: Path, content: object, field: str, min_score: float) -> PeopleTable:
    """COCO annotations (a dict) or results (a list)."""
    names: dict = {}
    entries = content
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        entries = content["annotations"]
        images = content.get("images", [])
        names = {_key(image.get("id")): _key(image.get("file_name")) for image in _dicts(images)}
    if not isinstance(entries, list) or (entries and not any(field in e for e in _dicts(entries))):
        raise UserError(
            f'{path}: no people with "{field}" found ({_describe(content)}). Expected COCO '
            "annotations or results, or OpenPose's keypoints (--keypoints)"
        )
    table = PeopleTable(str(path))
    for index, entry in enumerate(_dicts(entries)):
        image_id = _key(entry.get("image_id"))
        name = names.get(image_id) or image_id
        if name is None:
            logging.warning("%s: entry %d has no image_id: skipped", path, index)
        elif entry.get("category_id", _PERSON_CATEGORY) == _PERSON_CATEGORY:
            _add_coco_entry(table.entry(name), entry, index, field, min_score)
    return table


def _dicts(entries: object) -> list[dict]:
    items = entries if isinstance(entries, list) else []
    return [item for item in items if isinstance(item, dict)]


def _key(value: object) -> str | int | None:
    return value if isinstance(value, str | int) else None


def _describe(content: object) -> str:
    if isinstance(content, dict):
        return f"a JSON object with the keys {sorted(map(str, content))[:8]}"
    return f"a JSON {type(content).__name__}"


def _add_coco_entry(
    found: Detections, entry: dict, index: int, field: str, min_score: float
) -> None:
    label = str(entry.get("id", len(found.people)))

    def make() -> Detection:
        if entry.get("iscrowd"):
            raise UserError("marks a crowd, not a person")
        score = entry.get("score")
        score = None if score is None else _number(score, "score")
        if field == "bbox":
            rectangle = _numbers(entry.get("bbox"), "bbox")
            person = from_rectangle(rectangle.tolist(), 1.0 if score is None else score, label)
        else:
            points = _points(entry.get("keypoints"), (_COCO_POINTS,))
            person = from_keypoints(points, min_score, label, score)
        return _confident(person, min_score)

    _attempt(found, f"person {label} (entry {index})", make)


def _points(values: object, allowed: tuple[int, ...]) -> np.ndarray:
    numbers = _numbers(values, "keypoints")
    if len(numbers) % 3 or len(numbers) // 3 not in allowed:
        expected = " or ".join(str(3 * count) for count in allowed)
        raise UserError(f"expected {expected} numbers (x, y, confidence), got {len(numbers)}")
    return numbers.reshape(-1, 3)


# OpenPose


def openpose_people(content: object, name: str, min_score: float = MIN_SCORE) -> Detections:
    """The people of one OpenPose file's content.

    Args:
        content: the parsed JSON.
        name: of the file, for messages.
        min_score: keypoints at or below it do not count.

    Raises:
        UserError: it is no OpenPose file.
    """
    people = content.get("people") if isinstance(content, dict) else None
    if not isinstance(people, list):
        raise UserError(f'{name} is no OpenPose file: no list "people" ({_describe(content)})')
    found = Detections()
    for index, person in enumerate(people):
        _attempt(found, f"{name}, person {index}", _openpose_maker(person, index, min_score))
    if not found.people:
        found.notes.append(f"0 people in {name} (threshold {min_score}): skipped")
    return found


def _openpose_maker(person: object, index: int, min_score: float) -> Callable[[], Detection]:
    def make() -> Detection:
        record = person if isinstance(person, dict) else {}
        values = next((record[key] for key in _OPENPOSE_KEYS if record.get(key)), None)
        if values is None:
            raise UserError(f"holds none of {', '.join(_OPENPOSE_KEYS)}")
        points = _points(values, tuple(_OPENPOSE_COUNTED))
        counted = points[: _OPENPOSE_COUNTED[len(points)]]
        return from_keypoints(counted, min_score, _openpose_label(record, index))

    return make


def _openpose_label(record: dict, index: int) -> str:
    """OpenPose's own `person_id` where it tracks (it writes [-1] where it does not)."""
    ids = record.get("person_id")
    first = ids[0] if isinstance(ids, list) and ids else None
    if isinstance(first, int | float) and math.isfinite(first) and first >= 0:
        return str(int(first))
    return str(index)


class OpenPoseFolder:
    """A folder of `<image>_keypoints.json` (or `<image>.json`), one per picture or frame.

    Args:
        folder: read as pictures ask for it, so that long videos cost no memory.
        min_score: keypoints at or below it do not count.
    """

    def __init__(self, folder: Path, min_score: float):
        if not any(folder.glob("*.json")):
            raise UserError(f"--keypoints {folder}: the folder holds no .json")
        self._folder, self._min_score = folder, min_score

    def find(self, name: str, image: np.ndarray) -> Detections:
        """The people of the picture's own file."""
        stem = Path(name).stem
        for path in (self._folder / f"{stem}{suffix}.json" for suffix in (_OPENPOSE_SUFFIX, "")):
            if path.is_file():
                try:
                    found = openpose_people(_read_json(path), path.name, self._min_score)
                except UserError as error:
                    return Detections(problems=[str(error)])
                return check_against_picture(found, image)
        return Detections(notes=[f"{self._folder} holds no {stem}{_OPENPOSE_SUFFIX}.json"])
