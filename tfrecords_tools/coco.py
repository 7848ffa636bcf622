"""COCO keypoints, of 2014 (the paper's) or 2017: people with 17 labelled points.

A person is kept, as in the original, if it is not a crowd, at least 6 of its points are visible
(v = 2), its mask is larger than 60 px in one direction, and at least one point below the shoulders
is labelled. In the record, visible (v = 2) and hidden points (v = 1) both count as labelled; neck
and head top, which COCO does not have, are unlabelled. The window is +-200 px around the middle of
the keypoints. A picture is decoded once for all of its people.
"""

from __future__ import annotations

import argparse
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import COCO17
from hmr.errors import UserError, run_verb
from hmr.files.coco_json import (
    SIZE_UNKNOWN,
    Id,
    Size,
    comparable_id,
    labelled_size,
    person_ids,
)
from hmr.files.foreign import parsing, read_json
from tfrecords_tools.common.cli import (
    Converter,
    need_file,
    need_library,
    plan_splits,
    run_converter,
)
from tfrecords_tools.common.jobs import Job, Plan, SampleError
from tfrecords_tools.common.people import PicturePeople, WindowRule, group_people_of, people_job
from tfrecords_tools.common.pictures import Labels, find_pictures, reorder

NAME = "coco"
YEARS = ("2014", "2017")
WINDOW = WindowRule(margin_px=200)
PERSON = 1
MIN_VISIBLE = 6
MIN_MASK_PX = 60
_KEYS = (
    "images", "annotations", "id", "file_name", "height", "width", "image_id", "category_id",
    "iscrowd", "keypoints", "segmentation", "size", "counts", "categories", "name",
    "supercategory",
)  # fmt: skip
_MIN_POLYGON_NUMBERS = 6
_HEAD_AND_SHOULDERS = 7
_MAX_SIDE_PX, _MOST_SIDES = 30_000, 200


def read_annotations(path: Path) -> dict[str, Any]:
    """Reads a COCO json.

    Returns:
        the content that is needed, with keypoints and polygons as arrays.
    Raises:
        UserError: the file is missing, is not JSON, or lacks images or annotations.
    """
    content = read_json(need_file(path, NAME), object_hook=_compact)
    keys = set(content) if isinstance(content, dict) else set()
    if not {"images", "annotations"} <= keys:
        raise UserError(
            f'{path} holds {sorted(keys)[:8]}, expected COCO\'s keys "images" and "annotations".'
        )
    return content


def _compact(item: dict[str, Any]) -> dict[str, Any]:
    """Only `_KEYS` of an object, numbers as arrays: the whole would take gigabytes of memory."""
    needed = {key: item[key] for key in _KEYS if key in item}
    if isinstance(needed.get("keypoints"), list) and "image_id" in needed:
        needed["keypoints"] = numbers_of(needed["keypoints"])
    if isinstance(needed.get("segmentation"), list):
        needed["segmentation"] = [numbers_of(part) for part in needed["segmentation"]]
    return needed


def numbers_of(values: Any) -> np.ndarray:
    """A list as an array; empty where it is something else, so that one row stops no others."""
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.zeros(0)


def rejection(
    annotation: dict[str, Any], height: Any, width: Any, people: Container[Id] = (PERSON,)
) -> str | None:
    """Why a person is left out by the original's filters; None if it is kept.

    Args:
        annotation: with keypoints and mask.
        height, width: of the picture.
        people: the categories that are people.
    """
    if annotation.get("iscrowd", 0):
        return "crowd"
    if not is_person(annotation, people):
        return "no person"
    numbers = annotation.get("keypoints")
    if numbers is None or np.size(numbers) != 3 * len(COCO17):
        return "no keypoints"
    flags = np.ravel(numbers)[2::3]
    if not (flags > 0).any():
        return "no labelled keypoint"
    if (flags == 2).sum() < MIN_VISIBLE:
        return f"fewer than {MIN_VISIBLE} visible keypoints"
    if not (flags[_HEAD_AND_SHOULDERS:] > 0).any():
        return "only head and shoulders labelled"
    return _mask_rejection(annotation.get("segmentation"), height, width)


def _mask_rejection(segmentation: Any, height: Any, width: Any) -> str | None:
    if segmentation is None:
        return "no mask (tfrecords_tools.from_labels needs none)"
    if height is None or width is None:
        return "picture without height and width"
    try:
        extent = mask_extent_px(segmentation, height, width)
    except UserError:
        raise
    except Exception:  # whatever damage leads to
        return "unreadable mask"
    if extent is None:
        return "mask without pixels"
    return None if extent > MIN_MASK_PX else f"mask of at most {MIN_MASK_PX} px"


def mask_extent_px(segmentation: Any, height: int, width: int) -> int | None:
    """Extent of a mask: the greater of last - first column and last - first row; None if empty.

    Args:
        segmentation: polygons, or run lengths (compressed or not).
        height, width: of the picture.
    Raises:
        ValueError: numbers that pycocotools, which checks none, would crash of.
    """
    mask = need_library("pycocotools.mask", "reading COCO's masks")
    if not all(type(side) is int and 0 < side <= _MAX_SIDE_PX for side in (height, width)):
        raise ValueError(f"a picture of {width} x {height} px")
    if isinstance(segmentation, list):
        segmentation = [part for part in segmentation if _is_polygon(part, max(height, width))]
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        counts = _run_lengths(segmentation["counts"])
        if list(segmentation["size"]) != [height, width] or sum(counts) != height * width:
            raise ValueError("run lengths of another size")
        segmentation = {"size": [height, width], "counts": counts}
    encoded = mask.frPyObjects(segmentation, height, width)
    size = mask.toBbox(mask.merge(encoded if isinstance(encoded, list) else [encoded]))[2:]
    return int(size.max()) - 1 if size.astype(int).all() else None


def _is_polygon(numbers: Any, side_px: int) -> bool:
    """Whether these are enough numbers; those that lie far outside are no polygon's."""
    if len(numbers) < _MIN_POLYGON_NUMBERS or not np.isfinite(numbers).all():
        return False
    if np.ndim(numbers) != 1 or len(numbers) % 2 or np.abs(numbers).max() > 2 * side_px:
        raise ValueError("a polygon far outside the picture, or of an odd number of coordinates")
    edges_px = np.abs(np.diff(np.reshape(numbers, (-1, 2)), axis=0)).max(axis=1)
    if edges_px.sum() > _MOST_SIDES * side_px:
        raise ValueError("a polygon many times as long as the picture")
    return True


def _run_lengths(counts: Any) -> list[int]:
    """Run lengths as they are, or of COCO's text: five bits a character, every third a difference.

    Raises:
        ValueError: one of them is below zero, or the text ends within a number.
    """
    lengths: list[int] = []
    if isinstance(counts, list):
        lengths = [int(count) for count in counts]
    else:
        value = shift = 0
        for character in counts.encode() if isinstance(counts, str) else counts:
            code = character - 48
            if not 0 <= code < 64 or shift > 60:
                raise ValueError("run lengths of unknown characters")
            value |= (code & 31) << shift
            shift += 5
            if not code & 32:
                value -= (1 << shift) if code & 16 else 0
                lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
                value = shift = 0
        if shift:
            raise ValueError("run lengths that end too early")
    if any(length < 0 for length in lengths):
        raise ValueError("a run length below zero")
    return lengths


def is_person(annotation: dict[str, Any], people: Container[Id]) -> bool:
    """Whether an annotation is of one of the categories that are people, or of none."""
    category = comparable_id(annotation.get("category_id"))
    return category is None or category in people


def people_of(content: dict[str, Any], path: Path) -> frozenset[Id]:
    """The categories of a file that are people."""
    annotations = (item for item in content["annotations"] if isinstance(item, dict))
    used = (annotation.get("category_id") for annotation in annotations)
    return person_ids(content.get("categories"), used, str(path))


def annotations_of(content: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict | None]]:
    """Each annotation with the entry of its picture; None if there is none with a name.

    What is not an annotation at all comes as an empty one. Some files name the picture where its
    number should stand.
    """
    items = (item for item in content["images"] if isinstance(item, dict))
    named = [picture for picture in items if picture.get("file_name")]
    pictures: dict[Id | None, dict] = {str(picture["file_name"]): picture for picture in named}
    pictures |= {comparable_id(picture.get("id")): picture for picture in named}
    for annotation in content["annotations"]:
        entry = annotation if isinstance(annotation, dict) else {}
        key = comparable_id(entry.get("image_id"))
        yield entry, None if key is None else pictures.get(key)


def read_people(
    content: dict[str, Any], path: Path
) -> Iterator[tuple[tuple[Id | None, str, Size], Labels | SampleError]]:
    """Yields for each annotation (id, name, size) of the picture, and its labels or why none."""
    people = people_of(content, path)
    for annotation, picture in annotations_of(content):
        key = comparable_id(annotation.get("image_id"))
        name = f"annotation {annotation.get('id')} of image {key}"
        if picture is None:
            yield (key, "", SIZE_UNKNOWN), SampleError("annotation of an unknown picture", name)
        elif reason := rejection(annotation, picture.get("height"), picture.get("width"), people):
            yield (key, "", SIZE_UNKNOWN), SampleError(reason, name)
        else:
            points = np.reshape(annotation["keypoints"], (len(COCO17), 3))  # x, y, v
            found_at = key, str(picture["file_name"]), labelled_size(picture)
            yield found_at, reorder(points, COCO17, name)


def find_files(root: Path, split: str) -> tuple[Path, Path] | None:
    """Annotations and picture folder of a split, preferring 2014; None if there are none."""
    for year in YEARS:
        annotations = root / "annotations" / f"person_keypoints_{split}{year}.json"
        for images in (root / f"{split}{year}", root / "images" / f"{split}{year}"):
            if annotations.is_file() and images.is_dir():
                return annotations, images
    return None


def plan(args: argparse.Namespace) -> Plan:
    """One job per split; or one for the files that the user names."""
    files = _named_files(args) if args.annotations else _found_files(args)
    splits, skipped = plan_splits(
        args,
        CONVERTER,
        lambda split: (
            None if split in files else f"no {split} annotations and pictures in {args.input}"
        ),
    )
    return Plan([_job(split, *files[split]) for split in splits], skipped)


def _named_files(args: argparse.Namespace) -> dict[str, tuple[Path, Path]]:
    annotations = need_file(args.input / args.annotations, NAME)
    args.splits = args.splits or ("train",)
    return {args.splits[0]: (annotations, args.input / (args.images or "images"))}


def _found_files(args: argparse.Namespace) -> dict[str, tuple[Path, Path]]:
    found = {split: find_files(args.input, split) for split in args.splits or CONVERTER.splits}
    return {split: files for split, files in found.items() if files}


def _job(split: str, annotations: Path, images: Path) -> Job:
    people, dropped = group_people_of(annotations, _people_in)
    paths = find_pictures(images, {name for _, name, _ in people})
    pictures = [
        PicturePeople(paths[name], NAME, people[key, name, size], WINDOW, size)
        for key, name, size in sorted(people, key=lambda at: (isinstance(at[0], str), at))
    ]
    arguments = {"annotations": annotations.name}
    return people_job(NAME, split, pictures, dropped, [annotations], images, arguments)


def _people_in(path: Path) -> Iterator[tuple[tuple[Id | None, str, Size], Labels | SampleError]]:
    content = read_annotations(path)
    with parsing(path, "COCO json"):
        yield from read_people(content, path)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds options for files that have other names or places than COCO's own."""
    parser.add_argument(
        "--annotations",
        type=Path,
        help="another json, relative to --input; --splits names its split",
    )
    parser.add_argument("--images", type=Path, help="its picture folder (default: images)")


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download train2014.zip, val2014.zip and annotations_trainval2014.zip (or those of 2017, which are
taken where those of 2014 are not there). Layout:
  annotations/person_keypoints_train2014.json, ..._val2014.json
  train2014/COCO_train2014_000000000009.jpg ..., val2014/...   (or images/train2014/...)
Training on train2017 and testing on val2014 would mix them up: they share pictures.""",
    plan=plan,
    splits=("train", "val"),
    add_options=add_options,
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
