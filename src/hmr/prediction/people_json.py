"""Reads people from the json files of detectors and annotation tools.

| file | picture | person |
|---|---|---|
| COCO annotations, PoseTrack | `file_name`, `frame_id`, `id` of `images` | `track_id` (attribute) |
| COCO results, AlphaPose | `image_id`, `image_name`, `file_name`, `image` | `track_id`, `idx` |
| MMPose (`instance_info`, or its list) | `frame_id`; without it: one picture | `track_id` |
| OpenPose | the file's own name | `person_id` |
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import COCOPLUS, OPENPOSE15, OPENPOSE18, OPENPOSE19
from hmr.errors import UserError
from hmr.files.coco_json import Id, comparable_id, person_ids
from hmr.files.foreign import read_bounded
from hmr.prediction.people import (
    MIN_SCORE,
    Detection,
    Detections,
    NoKeypointsError,
    PeopleSource,
    SamePeople,
    from_keypoints,
    from_rectangle,
)
from hmr.prediction.picture_names import PeopleTable

_OPENPOSE_KEYS = ("pose_keypoints_2d", "pose_keypoints")
_OPENPOSE_SUFFIX = "_keypoints"
# How many of the points count for the box: feet, hands and face, which come last, are parts that
# the rule (ankles are the lowest points) does not know. BODY_25's last six are toes and heels.
_OPENPOSE_COUNTED = {25: 19, 18: 18, 15: 15}
_OPENPOSE_ORDERS = {len(order): order for order in (OPENPOSE19, OPENPOSE18, OPENPOSE15)}
# CrowdPose, MPII, COCO and PoseTrack, Halpe-26, COCO-WholeBody, Halpe-136.
_COUNTED = {14: 14, 16: 16, 17: 17, 26: 17, 133: 17, 136: 17}
_PICTURE_KEYS = ("image_id", "image_name", "file_name", "image")
# Our names of keypoints that files call otherwise: PoseTrack's, CrowdPose's.
_POINT_NAMES = {"head_bottom": "neck", "top_head": "head_top"}
# Fewer known names than this are another tool's abbreviations.
_FEWEST_NAMES = 8
# Files that write boxes as two corners.
_CORNER_KEYS = ("keypoint_scores", "image_name")


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark."""
    try:
        return read_bounded(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text (UTF-8): {error.reason}") from error


def read_json(path: Path) -> object:
    """The content of a json file."""
    text = read_text(path)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


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
    """A list of numbers, or of lists of numbers, as one row."""
    if not isinstance(values, list):
        raise UserError(f"{what} must be a list of numbers, got {values!r:.60}")
    flat = [each for value in values for each in (value if isinstance(value, list) else [value])]
    return np.array([number(value, what) for value in flat], np.float64)


# What files hold


@dataclass(frozen=True)
class _Row:
    """An entry of a file about one person.

    Attributes:
        picture: name or number of its picture; None if it has none.
        content: the entry.
    """

    picture: Id | None
    content: dict[str, Any]


def is_of_one_picture(content: object) -> bool:
    """Whether a file names no pictures, as OpenPose's and MMPose's of one picture do."""
    if isinstance(content, dict) and "people" in content:
        return True
    instances = content.get("instance_info") if isinstance(content, dict) else content
    items = _dicts(instances)
    return bool(items) and all(
        "keypoints" in item and not any(key in item for key in _PICTURE_KEYS) for item in items
    )


def people_of_one_picture(
    content: object, name: str, field: str, min_score: float = MIN_SCORE
) -> Detections:
    """The people of a file of one picture.

    Args:
        content: the parsed JSON.
        name: of the file, for messages.
        field: "bbox" or "keypoints".
        min_score: people and keypoints at or below it do not count.

    Raises:
        UserError: it is another file.
    """
    if not is_of_one_picture(content) or (field == "bbox" and "people" in _dict(content)):
        raise _no_people(name, content, field)
    if "people" in _dict(content):
        return openpose_people(content, name, min_score)
    found = Detections()
    instances = content["instance_info"] if isinstance(content, dict) else content
    order = _named_order(content)
    for index, entry in enumerate(_dicts(instances)):
        _add_person(found, entry, index, field, min_score, order)
    return found


def people_table(path: Path, content: object, field: str, min_score: float) -> PeopleSource:
    """The people of a file that names its pictures.

    Args:
        path: of the file, for messages.
        content: the parsed JSON.
        field: "bbox" or "keypoints", what is read of each entry.
        min_score: people and keypoints at or below it do not count.

    Raises:
        UserError: no entry has that field, or no category is a person.
    """
    table = PeopleTable(str(path))
    rows = list(_rows(content, table))
    if rows and not any(field in _normal(row.content) for row in rows):
        raise _no_people(str(path), content, field)
    categories = _dict(content).get("categories")
    people = person_ids(categories, (row.content.get("category_id") for row in rows))
    order = _named_order(content, people)
    passed_over: Counter[str] = Counter()
    for index, row in enumerate(rows):
        category = comparable_id(row.content.get("category_id"))
        if row.picture is None:
            passed_over["naming no picture"] += 1
        elif category is not None and category not in people:
            passed_over["of other categories than a person"] += 1
        else:
            _add_person(table.entry(row.picture), row.content, index, field, min_score, order)
    table.notes += [f"{count} entries {what}: skipped" for what, count in passed_over.items()]
    return table


def _no_people(name: str, content: object, field: str) -> UserError:
    return UserError(
        f'{name}: no people with "{field}" found ({_describe(content)}). Expected COCO '
        "annotations or results, AlphaPose's or MMPose's, or OpenPose's keypoints (--keypoints)"
    )


def _named_order(content: object, people: Collection[Id] = ()) -> tuple[str, ...] | None:
    """The keypoints' order where a file names them: COCO's categories, MMPose's `meta_info`.

    PoseTrack has 17 as COCO has, of which the second and third are neck and head top.
    """
    stored = _dict(_dict(content).get("meta_info")).get("keypoint_id2name")
    names = list(stored.values()) if isinstance(stored, dict) else stored
    for category in _dicts(_dict(content).get("categories")):
        if comparable_id(category.get("id")) in people:
            names = category.get("keypoints") or names
    if not isinstance(names, list):
        return None
    plain = (str(name).lower().replace(" ", "_").replace("-", "_") for name in names)
    order = tuple(_POINT_NAMES.get(name, name) for name in plain)
    return order if len(set(order) & set(COCOPLUS)) >= _FEWEST_NAMES else None


def _rows(content: object, table: PeopleTable) -> Iterator[_Row]:
    """The entries of a file; pictures that it lists without people become empty entries."""
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _annotation_rows(content, table)
    frames = content.get("instance_info") if isinstance(content, dict) else content
    if not isinstance(frames, list):
        raise _no_people(table.source, content, "bbox or keypoints")
    if isinstance(content, dict) or any("instances" in item for item in _dicts(frames)):
        # MMPose's demo, which adds meta_info, counts the frames of a video from 1.
        return _frame_rows(frames, table, first=int("meta_info" in _dict(content)))
    return _result_rows(frames)


def _annotation_rows(content: dict, table: PeopleTable) -> Iterator[_Row]:
    names: dict[Id, Id] = {}
    for image in _dicts(content.get("images")):
        key, name = comparable_id(image.get("id")), image.get("file_name")
        frame = comparable_id(image.get("frame_id"))
        named = name if isinstance(name, str) and name else key if frame is None else frame
        if key is not None and named is not None:
            names[key] = named
            table.entry(named)
    for entry in map(_dict, content["annotations"]):
        key = comparable_id(entry.get("image_id"))
        yield _Row(names.get(key) if names and key is not None else key, entry)


def _frame_rows(frames: list, table: PeopleTable, first: int) -> Iterator[_Row]:
    for frame in _dicts(frames):
        at = comparable_id(frame.get("frame_id"))
        key = at - first if isinstance(at, int) else at
        if key is not None:
            table.entry(key)
        for entry in _dicts(frame.get("instances")):
            yield _Row(key, entry)


def _result_rows(entries: list) -> Iterator[_Row]:
    for entry in map(_dict, entries):
        value = next((entry[key] for key in _PICTURE_KEYS if entry.get(key) is not None), None)
        yield _Row(comparable_id(value), entry)


def _dicts(entries: object) -> list[dict]:
    items = entries if isinstance(entries, list) else []
    return [item for item in items if isinstance(item, dict)]


def _dict(content: object) -> dict:
    return content if isinstance(content, dict) else {}


def _describe(content: object) -> str:
    if isinstance(content, dict):
        return f"a JSON object with the keys {sorted(map(str, content))[:8]}"
    return f"a JSON {type(content).__name__}"


# One person


def _normal(entry: dict) -> dict:
    """An entry with AlphaPose's and MMPose's keys under COCO's names."""
    renamed = {"bbox": entry.get("box"), "score": entry.get("bbox_score")}
    return {**{key: value for key, value in renamed.items() if value is not None}, **entry}


def _add_person(
    found: Detections,
    entry: dict,
    index: int,
    field: str,
    min_score: float,
    order: tuple[str, ...] | None,
) -> None:
    given = _given_id(entry)
    label = str(len(found.people)) if given is None else given
    entry = _normal(entry)

    def make() -> Detection:
        if entry.get("iscrowd"):
            raise UserError("marks a crowd, not a person")
        score = None if entry.get("score") is None else _first(entry["score"], "score")
        if field == "bbox":
            person = from_rectangle(_rectangle(entry), 1.0 if score is None else score, label)
        else:
            points = _points(entry.get("keypoints"), _COUNTED, entry.get("keypoint_scores"))
            named = order[: len(points)] if order and len(order) >= len(points) else None
            person = from_keypoints(points, min_score, label, score, named)
        return replace(confident(person, min_score), identified=given is not None)

    attempt(found, f"person {label} (entry {index})", make)


def _first(value: object, what: str) -> float:
    """A number, which may be the first of a list."""
    numbers = _numbers([value], what)
    if not len(numbers):
        raise UserError(f"{what} must be a number, got {value!r:.60}")
    return float(numbers[0])


def _given_id(entry: dict) -> str | None:
    """Who it is: the tracker's or the annotator's number, if there is one."""
    attributes = _dict(entry.get("attributes"))
    for value in (entry.get("track_id"), attributes.get("track_id"), entry.get("idx")):
        first = value[0] if isinstance(value, list) and value else value
        if (key := comparable_id(first)) is not None:
            return str(key)
    return None


def _rectangle(entry: dict) -> list[float]:
    """Left, top, width, height."""
    box = _numbers(entry.get("bbox"), "bbox")
    if len(box) == 4 and any(key in entry for key in _CORNER_KEYS):
        box[2:] -= box[:2]
    return box.tolist()


def _points(values: object, counted: dict[int, int], scores: object = None) -> np.ndarray:
    """Keypoints (K, 3) that count for the box: x, y, confidence.

    Args:
        values: x, y, confidence of each, flat or nested; or x, y where `scores` has the rest.
        counted: numbers of points that are known -> how many of them count.
        scores: the confidence of each point.
    """
    numbers = _numbers(values, "keypoints")
    columns = 3 if scores is None else 2
    if len(numbers) % columns or len(numbers) // columns not in counted:
        expected = " or ".join(str(columns * count) for count in counted)
        names = "x, y, confidence" if columns == 3 else "x, y"
        raise UserError(f"expected {expected} numbers ({names}), got {len(numbers)}")
    points = numbers.reshape(-1, columns)
    if scores is not None:
        confidence = _numbers(scores, "keypoint_scores")
        if len(confidence) != len(points):
            raise UserError(f"{len(points)} keypoints, but {len(confidence)} keypoint_scores")
        points = np.column_stack([points, confidence])
    return points[: counted[len(points)]]


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
    people = _dict(content).get("people")
    if not isinstance(people, list):
        raise UserError(f'{name} is no OpenPose file: no list "people" ({_describe(content)})')
    found = Detections()
    for index, person in enumerate(people):
        attempt(found, f"{name}, person {index}", _openpose_maker(_dict(person), index, min_score))
    if not found.people:
        found.notes.append(f"0 people in {name} (threshold {min_score}): skipped")
    return found


def _openpose_maker(record: dict, index: int, min_score: float) -> Callable[[], Detection]:
    def make() -> Detection:
        values = next((record[key] for key in _OPENPOSE_KEYS if record.get(key)), None)
        if values is None:
            raise UserError(f"holds none of {', '.join(_OPENPOSE_KEYS)}")
        points = _points(values, _OPENPOSE_COUNTED)
        order = _OPENPOSE_ORDERS[len(points)]
        given = _openpose_id(record)
        label = str(index) if given is None else given
        person = from_keypoints(points, min_score, label, order=order)
        return replace(person, identified=given is not None)

    return make


def _openpose_id(record: dict) -> str | None:
    """OpenPose's own `person_id` where it tracks (it writes [-1] where it does not)."""
    ids = record.get("person_id")
    first = ids[0] if isinstance(ids, list) and ids else None
    if isinstance(first, int | float) and 0 <= first < 1 << 53:
        return str(int(first))
    return None


def keypoints_folder(folder: Path, min_score: float) -> PeopleTable:
    """A folder of `<image>_keypoints.json` (or `<image>.json`), one per picture or frame.

    Args:
        folder: its files are read as pictures ask for them, so that long videos cost no memory.
        min_score: keypoints at or below it do not count.
    """
    paths = sorted(folder.glob("*.json"), key=lambda path: path.stem.endswith(_OPENPOSE_SUFFIX))
    if not paths:
        raise UserError(f"--keypoints {folder}: the folder holds no .json")
    table = PeopleTable(str(folder), nobody=f"holds no {{}}{_OPENPOSE_SUFFIX}.json")
    for path in paths:
        read = functools.partial(_read_one_picture, path, min_score)
        table.add_reader(path.stem.removesuffix(_OPENPOSE_SUFFIX), read)
    return table


def _read_one_picture(path: Path, min_score: float) -> Detections:
    try:
        return people_of_one_picture(read_json(path), path.name, "keypoints", min_score)
    except UserError as error:
        return Detections(problems=[str(error)])


def people_from_json(path: Path, field: str, min_score: float) -> PeopleSource:
    """The people of one json file of any of these kinds.

    Raises:
        UserError: it is missing, damaged or of another kind.
    """
    content = read_json(path)
    if is_of_one_picture(content):
        return SamePeople(people_of_one_picture(content, path.name, field, min_score))
    return people_table(path, content, field, min_score)
