"""Opens what says where the people are: the text of a flag, csv, json (see `people_json`)."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

from hmr.errors import UserError
from hmr.files.coco_json import comparable_id, is_person_name
from hmr.files.foreign import CSV_COSTS, read_text
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
from hmr.prediction.people_entry import attempt, confident, number
from hmr.prediction.people_json import (
    add_json_files,
    is_of_one_picture,
    people_from_json,
    read_json,
)
from hmr.prediction.people_yolo import yolo_people
from hmr.prediction.picture_names import PeopleTable
from hmr.prediction.result import SUMMARY_FILE

_INLINE = re.compile(r"[-+0-9.,;\seEnaif]+")
_CSV_COLUMNS = ("image", "frame", "x", "y", "width", "height", "id", "score", "category")
_CSV_ALIASES = {
    "w": "width", "h": "height", "left": "x", "top": "y", "file": "image", "filename": "image",
    "file_name": "image", "image_id": "image", "path": "image", "frame_id": "frame",
    "track_id": "id", "person_id": "id", "confidence": "score", "class": "category",
    "label": "category",
}  # fmt: skip
_CSV_SIDES = ("x", "y", "width", "height")
_YOLO = ".txt"
_CSV_SEPARATORS = ",;\t"
# How Ultralytics counts the frames of a video: from 1, without zeros before.
_LAST_NUMBER = re.compile(r"\d+$")


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
    if os.path.isdir(text):
        raise UserError(f"--boxes {text} is a folder; --keypoints takes folders")
    raise UserError(f"--boxes {text}: no such file, and not x,y,w,h")


def _open_keypoints(path: Path, min_score: float) -> PeopleSource:
    if path.is_dir():
        return _keypoints_folder(path, min_score)
    if not path.is_file():
        raise UserError(f"--keypoints {path}: no such file or folder")
    if path.suffix.lower() == _YOLO and not _is_json(path):
        found = yolo_people(path, min_score)
        if found.notes and not (found.people or found.problems):
            raise UserError(f"{path} holds nobody: {'; '.join(found.notes)}")
        return SamePeople(found)
    return people_from_json(path, "keypoints", min_score)


def _keypoints_folder(folder: Path, min_score: float) -> PeopleTable:
    """The json files, or YOLO's text files, in a folder and below it, one a picture or frame."""
    for ending in (".json", _YOLO):
        found = sorted(folder.rglob(f"*{ending}"))
        paths = [path for path in found if path.name != SUMMARY_FILE and path.is_file()]
        if paths and ending == ".json":
            table = PeopleTable(str(folder), nobody="holds no {}_keypoints.json")
            add_json_files(table, folder, paths, min_score)
            return table
        if paths:
            numbers = [last[0] for path in paths if (last := _LAST_NUMBER.search(path.stem))]
            first = int(bool(numbers) and not any(number.startswith("0") for number in numbers))
            table = PeopleTable(str(folder), nobody="holds no {}.txt", first_frame=first)
            for path in paths:
                name = str(path.relative_to(folder).with_suffix(""))
                table.add_reader(name, partial(yolo_people, path, min_score))
            return table
    raise UserError(f"--keypoints {folder}: the folder holds no .json, and no .txt of YOLO")


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


def names_no_picture(file: str | None, of_keypoints: bool) -> bool:
    """Whether a flag names one file that describes one picture only: such a json, or YOLO's."""
    path = Path(file or "")
    if path.is_file() and _is_json(path):
        return is_of_one_picture(read_json(path))
    return of_keypoints and path.is_file() and path.suffix.lower() == _YOLO


def _is_json(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(64).replace(b"\0", b"")  # of UTF-16
    start = start.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return start[:1] in (b"[", b"{") or path.suffix.lower() == ".json"


# csv


def _csv_people(path: Path, min_score: float) -> PeopleSource:
    # Any line ends, also within quotes.
    lines = io.StringIO(read_text(path, costs=CSV_COSTS), newline=None)
    first = lines.readline()
    lines.seek(0)
    separator = max(_CSV_SEPARATORS, key=first.count)
    try:
        rows = list(csv.reader(lines, delimiter=separator))
    except csv.Error as error:
        raise UserError(f"{path} is not a csv file: {error}") from error
    if not rows:
        raise UserError(f"{path} is empty; expected a header image,x,y,width,height")
    names = [name.strip().lower() for name in rows[0]]
    header = [_CSV_ALIASES.get(name, name) for name in names]
    if missing := set(_CSV_SIDES) - set(header):
        raise UserError(
            f"{path} line 1: expected a header image,x,y,width,height[,id][,score], "
            f"got {','.join(rows[0])[:120]!r}: without {', '.join(sorted(missing))}"
        )
    table, everywhere = PeopleTable(str(path)), Detections()
    unused = [name for name in header if name not in _CSV_COLUMNS or _is_second_key(name, header)]
    table.notes += [f"columns not used: {', '.join(unused)}"] if unused else []
    for line, row in enumerate(rows[1:], start=2):
        if any(map(str.strip, row)):
            _add_csv_row(table, everywhere, header, row, line, min_score)
    named = "image" in header or "frame" in header
    if named and table.notes and not len(table):
        raise UserError(f"{path}: no row is used: {'; '.join(table.notes[:3])}")
    if named:
        return table
    table.notes.append("it names no pictures: the same people are taken in each")
    return SamePeople(everywhere, [f"{path}: {note}" for note in table.notes])


def _is_second_key(name: str, header: list[str]) -> bool:
    """Whether a column of frames stands beside one of pictures, which is the one that is read."""
    return name == "frame" and "image" in header


def _add_csv_row(
    table: PeopleTable,
    everywhere: Detections,
    header: list[str],
    row: list[str],
    line: int,
    min_score: float,
) -> None:
    record = dict(zip(header, map(str.strip, row), strict=False))
    frame = comparable_id(record.get("frame"))
    category = record.get("category")
    if len(row) > len(header):
        table.notes.append(f"line {line}: {len(row)} values, but {len(header)} columns: skipped")
        return
    if category and not is_person_name(category):
        table.notes.append(f"line {line}: of the category {category}, no person: skipped")
        return
    if "image" not in record and "frame" in record and not isinstance(frame, int):
        table.notes.append(f"line {line}: frame must be whole, got {record['frame']!r}: skipped")
        return
    key = record.get("image", frame)
    found = everywhere if key is None else table.entry(key)
    given = record.get("id")
    label = given or str(len(found.people))

    def make() -> Detection:
        rectangle = [number(record.get(side), side) for side in _CSV_SIDES]
        score = number(record["score"], "score") if record.get("score") else 1.0
        person = confident(from_rectangle(rectangle, score, label), min_score)
        return replace(person, identified=bool(given))

    attempt(found, f"line {line}", make)
