"""Reads people from the json files of detectors and annotation tools.

| file | picture | person |
|---|---|---|
| COCO annotations, PoseTrack | `file_name`, `frame_id`, `id` of `images` | `track_id` (attribute) |
| COCO results, AlphaPose | `image_id`, `image_name`, `file_name`, `image` | `track_id`, `idx` |
| MMPose (`instance_info`, or its list) | `frame_id`; without it: one picture | `track_id` |
| OpenPose, AlphaPose's `people` or `bodies` | the file's own name, or its key | `person_id` |
| our own results | the file's own name | `label` |
"""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hmr.body.joints import COCOPLUS
from hmr.errors import UserError
from hmr.files.coco_json import Id, comparable_id, labelled_size, person_ids
from hmr.files.foreign import JSON_COSTS, read_text
from hmr.prediction.people import MIN_SCORE, Detections, PeopleSource, SamePeople
from hmr.prediction.people_entry import add_person, with_known_keys
from hmr.prediction.people_openpose import listed_people, openpose_people
from hmr.prediction.picture_names import PeopleTable

# What OpenPose and OpenPifPaf put behind a picture's name.
_SUFFIXES = ("_keypoints", ".predictions")
_PERSON_KEYS = ("keypoints", "bbox", "box")
_PICTURE_KEYS = ("image_id", "image_name", "file_name", "image")
# Our names of keypoints that files call otherwise: PoseTrack's, CrowdPose's.
_POINT_NAMES = {"head_bottom": "neck", "top_head": "head_top"}
# Fewer known names than this are another tool's abbreviations.
_FEWEST_NAMES = 8


def read_json(path: Path) -> object:
    """The content of a json file."""
    text = read_text(path, costs=JSON_COSTS)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON: {error}") from error


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
    if listed_people(content) is not None:
        return True
    items = _dicts(_instances(content))
    return bool(items) and all(
        any(key in item for key in _PERSON_KEYS) and not any(key in item for key in _PICTURE_KEYS)
        for item in items
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
    people = _dicts(listed_people(content))
    own_results = any("rectangle_px" in person for person in people)
    if listed_people(content) is not None and field == "keypoints" and not own_results:
        return openpose_people(content, name, min_score)
    entries = people if own_results else _dicts(_instances(content))
    if not any(with_known_keys(entry)[field] is not None for entry in entries):
        raise _no_people(name, content, field)
    found = Detections()
    order = _named_order(content)
    for index, entry in enumerate(entries):
        add_person(found, entry, index, field, min_score, order)
    return found


def add_people(
    table: PeopleTable, content: object, name: str, field: str, min_score: float
) -> None:
    """Adds the people of a file that names its pictures.

    Args:
        table: of people by picture.
        content: the parsed JSON.
        name: of the file, for messages.
        field: "bbox" or "keypoints", what is read of each entry.
        min_score: people and keypoints at or below it do not count.

    Raises:
        UserError: no entry has that field, names a picture and is of a person.
    """
    if by_name := _by_picture(content):
        for key, people in by_name.items():
            table.entry(key).extend(people_of_one_picture(people, f"{key}", field, min_score))
        return
    rows = list(_rows(content, table, name))
    if rows and not any(with_known_keys(row.content)[field] is not None for row in rows):
        raise _no_people(name, content, field)
    categories = _dict(content).get("categories")
    # Results without categories may name each entry's, as SAHI's do.
    key = "category_id" if categories else "category_name"
    used = [row.content.get(key) or row.content.get("category_id") for row in rows]
    people = person_ids(categories, used, name)
    order = _named_order(content, people)
    passed_over: Counter[str] = Counter()
    for index, (row, category) in enumerate(zip(rows, map(comparable_id, used), strict=True)):
        if row.picture is None:
            passed_over["naming no picture"] += 1
        elif category is not None and category not in people:
            passed_over["of other categories than a person"] += 1
        else:
            add_person(table.entry(row.picture), row.content, index, field, min_score, order)
    lines = [f"{count} entries {what}" for what, count in passed_over.items()]
    if rows and passed_over.total() == len(rows):
        raise UserError(f"{name}: no entry is of a person in a picture: {', '.join(lines)}")
    table.notes += [f"{line}: skipped" for line in lines]


def _by_picture(content: object) -> dict[Id, object]:
    """What AlphaPose writes in OpenPose's likeness: each picture's people under its name."""
    items = _dict(content)
    keys = {comparable_id(name): item for name, item in items.items()}
    if not items or any(listed_people(item) is None for item in items.values()):
        return {}
    return {key: item for key, item in keys.items() if key is not None}


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


def _rows(content: object, table: PeopleTable, name: str) -> Iterator[_Row]:
    """The entries of a file; pictures that it lists without people become empty entries."""
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        return _annotation_rows(content, table)
    frames = _instances(content)
    if not isinstance(frames, list):
        raise _no_people(name, content, "bbox or keypoints")
    if isinstance(content, dict) or any("instances" in item for item in _dicts(frames)):
        # MMPose's demo, which adds meta_info, counts the frames of a video from 1.
        return _frame_rows(frames, table, first=int("meta_info" in _dict(content)))
    return _result_rows(frames)


def _annotation_rows(content: dict, table: PeopleTable) -> Iterator[_Row]:
    names: dict[Id, Id] = {}
    ids: dict[Id, set[Id]] = defaultdict(set)
    for image in _dicts(content.get("images")):
        key, name = comparable_id(image.get("id")), image.get("file_name")
        frame = comparable_id(image.get("frame_id"))
        named = name if isinstance(name, str) and name else key if frame is None else frame
        if key is not None and named is not None:
            if names.setdefault(key, named) != named:
                table.notes.append(f"two images have the id {key}: {names[key]!r}, {named!r}")
            ids[named].add(key)
            table.sizes[named] = labelled_size(image)
            table.entry(named)
    table.notes += [
        f"{len(of)} images are called {name!r}" for name, of in ids.items() if len(of) > 1
    ]
    for entry in map(_dict, content["annotations"]):
        key = comparable_id(entry.get("image_id"))
        # Some name the picture where its number should stand.
        other = key if not names or isinstance(key, str) else None
        yield _Row(other if key is None else names.get(key, other), entry)


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


def _instances(content: Any) -> Any:
    """The list of a file: the file itself, or what MMPose's demo and its inferencer wrap around it.

    The inferencer's predictions are a list a picture: those of one picture are taken out.
    """
    for key in ("instance_info", "predictions"):
        content = content.get(key, content) if isinstance(content, dict) else content
    one = isinstance(content, list) and len(content) == 1 and isinstance(content[0], list)
    return content[0] if one else content


def _dicts(entries: object) -> list[dict]:
    items = entries if isinstance(entries, list) else []
    return [item for item in items if isinstance(item, dict)]


def _dict(content: object) -> dict:
    return content if isinstance(content, dict) else {}


def _describe(content: object) -> str:
    if isinstance(content, dict):
        return f"a JSON object with the keys {sorted(map(str, content))[:8]}"
    return f"a JSON {type(content).__name__}"


def add_json_files(
    table: PeopleTable, folder: Path, paths: Sequence[Path], min_score: float
) -> None:
    """Adds files of keypoints: each of one picture, called after it, or each naming its pictures.

    Args:
        table: of people by picture.
        folder: of the files.
        paths: of those of one picture, which are read as pictures ask for them, so that long videos
            cost no memory.
        min_score: keypoints at or below it do not count.
    """
    paths = sorted(paths, key=lambda path: path.stem.endswith(_SUFFIXES))
    # A file without anybody may be of either kind.
    contents = map(_readable, reversed(paths))
    telling = next((content for content in contents if _instances(content)), None)
    if telling is None or is_of_one_picture(telling):
        for path in paths:
            name = str(path.relative_to(folder).with_suffix(""))
            for suffix in _SUFFIXES:
                name = name.removesuffix(suffix)
            table.add_reader(name, functools.partial(_read_one_picture, path, min_score))
        return
    for path in paths:
        try:
            add_people(table, read_json(path), path.name, "keypoints", min_score)
        except UserError as error:
            table.notes.append(f"{error}: skipped")
    if not len(table):
        raise UserError(f"{folder}: no file is used: {'; '.join(table.notes[:3])}")


def _readable(path: Path) -> object:
    """What a file holds; nothing where it cannot be read, which is said later."""
    try:
        return read_json(path)
    except UserError:
        return None


def _read_one_picture(path: Path, min_score: float) -> Detections:
    content = read_json(path)
    if _instances(content) == []:
        return Detections()
    return people_of_one_picture(content, path.name, "keypoints", min_score)


def people_from_json(path: Path, field: str, min_score: float) -> PeopleSource:
    """The people of one json file of any of these kinds.

    Raises:
        UserError: it is missing, damaged or of another kind.
    """
    content = read_json(path)
    if is_of_one_picture(content):
        return SamePeople(people_of_one_picture(content, path.name, field, min_score))
    table = PeopleTable(str(path))
    add_people(table, content, str(path), field, min_score)
    return table
