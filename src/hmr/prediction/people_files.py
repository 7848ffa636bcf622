"""Opens what says where the people are: the text of a flag, csv, json (see `people_json`)."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from hmr.errors import UserError
from hmr.files.coco_json import comparable_id
from hmr.finding.finder import Finder
from hmr.prediction.people import (
    MIN_SCORE,
    Detection,
    Detections,
    FoundPeople,
    PeopleSource,
    SamePeople,
    WholePicture,
    detections_from_boxes,
    from_rectangle,
)
from hmr.prediction.people_json import (
    attempt,
    confident,
    is_of_one_picture,
    keypoints_folder,
    number,
    people_from_json,
    read_json,
    read_text,
)
from hmr.prediction.people_yolo import yolo_people
from hmr.prediction.picture_names import PeopleTable

_INLINE = re.compile(r"[-+0-9.,;\seEnaif]+")
_CSV_COLUMNS = ("image", "frame", "x", "y", "width", "height", "id", "score")
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
    if os.path.isfile(path):  # unlike `Path.is_file`, False for a text too long to be a path
        if _is_json(path):
            return people_from_json(path, "bbox", min_score)
        return _csv_people(path, min_score)
    if "," in text and _INLINE.fullmatch(text):
        return SamePeople(parse_boxes(text))
    raise UserError(f"--boxes {text}: no such file, and not x,y,w,h")


def _open_keypoints(path: Path, min_score: float) -> PeopleSource:
    if path.is_dir():
        has_json = any(path.glob("*.json"))
        return keypoints_folder(path, min_score) if has_json else _yolo_folder(path, min_score)
    if not path.is_file():
        raise UserError(f"--keypoints {path}: no such file or folder")
    return people_from_json(path, "keypoints", min_score)


def _yolo_folder(folder: Path, min_score: float) -> PeopleTable:
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise UserError(f"--keypoints {folder}: the folder holds no .json, and no .txt of YOLO")
    table = PeopleTable(str(folder), nobody="holds no {}.txt")
    for path in paths:
        table.add_reader(path.stem, partial(yolo_people, path, min_score))
    return table


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


def names_no_picture(file: str | None) -> bool:
    """Whether the flag names one json file that describes one picture only."""
    path = Path(file or "")
    return path.is_file() and _is_json(path) and is_of_one_picture(read_json(path))


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        begins_so = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{")
    return begins_so or path.suffix.lower() == ".json"


# csv


def _csv_people(path: Path, min_score: float) -> PeopleSource:
    try:
        rows = list(csv.reader(read_text(path).splitlines()))
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
    unused = [name for name in header if name not in _CSV_COLUMNS or _is_second_key(name, header)]
    notes = [f"columns not used: {', '.join(unused)}"] if unused else []
    table.notes += notes
    for line, row in enumerate(rows[1:], start=2):
        if row:
            record = dict(zip(header, row, strict=False))
            found = _csv_entry(table, record, everywhere, f"{path} line {line}")
            _add_csv_row(found, record, line, min_score)
    named = "image" in header or "frame" in header
    return table if named else SamePeople(everywhere, [f"{path}: {note}" for note in notes])


def _is_second_key(name: str, header: list[str]) -> bool:
    """Whether a column of frames stands beside one of pictures, which is the one that is read."""
    return name == "frame" and "image" in header


def _csv_entry(table: PeopleTable, record: dict, everywhere: Detections, where: str) -> Detections:
    if "image" in record:
        return table.entry(record["image"].strip())
    if "frame" in record:
        frame = comparable_id(record["frame"])
        if not isinstance(frame, int):
            raise UserError(f"{where}: frame must be whole, got {record['frame']!r}")
        return table.entry(frame)
    return everywhere


def _add_csv_row(found: Detections, record: dict, line: int, min_score: float) -> None:
    given = record.get("id", "").strip()
    label = given or str(len(found.people))

    def make() -> Detection:
        sides = ("x", "y", "width", "height")
        rectangle = [number(record.get(side), side) for side in sides]
        score = number(record["score"], "score") if record.get("score", "").strip() else 1.0
        person = confident(from_rectangle(rectangle, score, label), min_score)
        return replace(person, identified=bool(given))

    attempt(found, f"line {line}", make)
