"""COCO keypoints, of 2014 (the paper's) or 2017: people with 17 labelled points.

A person is kept, as in the original, if it is not a crowd, at least 6 of its points are visible
(v = 2), its mask is larger than 60 px in one direction, and at least one point below the shoulders
is labelled. In the record, visible (v = 2) and hidden points (v = 1) both count as labelled; neck
and head top, which COCO does not have, are unlabelled. The window is +-200 px around the middle of
the keypoints. A picture is decoded once for all of its people.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import COCO17
from hmr.errors import UserError, run_verb
from tfrecords_tools.common.cli import (
    Converter,
    need_file,
    need_library,
    plan_splits,
    run_converter,
)
from tfrecords_tools.common.jobs import Job, Plan, SampleError
from tfrecords_tools.common.people import PicturePeople, WindowRule, group_by_picture, people_job
from tfrecords_tools.common.pictures import Labels, reorder

NAME = "coco"
YEARS = ("2014", "2017")
WINDOW = WindowRule(margin_px=200)
PERSON = 1
MIN_VISIBLE = 6
MIN_MASK_PX = 60
_KEYS = (
    "images", "annotations", "id", "file_name", "height", "width", "image_id", "category_id",
    "iscrowd", "keypoints", "segmentation", "size", "counts",
)  # fmt: skip
_MIN_POLYGON_NUMBERS = 6
_HEAD_AND_SHOULDERS = 7


def read_annotations(path: Path) -> dict[str, Any]:
    """Reads a COCO json.

    Returns:
        the content that is needed, with keypoints and polygons as arrays.
    Raises:
        UserError: the file is missing, is not JSON, or lacks images or annotations.
    """
    try:
        with need_file(path, NAME).open(encoding="utf-8") as stream:
            content = json.load(stream, object_hook=_compact)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is not a readable json: {error}") from error
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
        needed["keypoints"] = np.array(needed["keypoints"], np.float64)
    if isinstance(needed.get("segmentation"), list):
        needed["segmentation"] = [np.array(part, np.float64) for part in needed["segmentation"]]
    return needed


def rejection(annotation: dict[str, Any], height: int, width: int) -> str | None:
    """Why a person is left out by the original's filters; None if it is kept."""
    if annotation.get("iscrowd", 0):
        return "crowd"
    if annotation.get("category_id", PERSON) != PERSON:
        return "no person"
    numbers = annotation.get("keypoints")
    if numbers is None or np.size(numbers) != 3 * len(COCO17):
        return "no keypoints"
    flags = np.asarray(numbers)[2::3]
    if not (flags > 0).any():
        return "no labelled keypoint"
    if (flags == 2).sum() < MIN_VISIBLE:
        return f"fewer than {MIN_VISIBLE} visible keypoints"
    if not (flags[_HEAD_AND_SHOULDERS:] > 0).any():
        return "only head and shoulders labelled"
    return _mask_rejection(annotation.get("segmentation"), height, width)


def _mask_rejection(segmentation: Any, height: int, width: int) -> str | None:
    try:
        extent = mask_extent_px(segmentation, height, width)
    except (AttributeError, KeyError, TypeError, ValueError):
        return "unreadable mask"
    if extent is None:
        return "mask without pixels"
    return None if extent > MIN_MASK_PX else f"mask of at most {MIN_MASK_PX} px"


def mask_extent_px(segmentation: Any, height: int, width: int) -> int | None:
    """Extent of a mask: the greater of last - first column and last - first row; None if empty.

    Args:
        segmentation: polygons, or run lengths (compressed or not).
        height, width: of the picture.
    """
    mask = need_library("pycocotools.mask", "reading COCO's masks")
    if isinstance(segmentation, list):
        segmentation = [part for part in segmentation if _is_polygon(part)]
    if not segmentation:
        return None
    if isinstance(segmentation, list) or isinstance(segmentation.get("counts"), list):
        segmentation = mask.frPyObjects(segmentation, height, width)
    parts = segmentation if isinstance(segmentation, list) else [segmentation]
    size = mask.toBbox(mask.merge(parts))[2:].astype(int)
    return int(size.max()) - 1 if size.all() else None


def _is_polygon(numbers: Any) -> bool:
    return len(numbers) >= _MIN_POLYGON_NUMBERS and bool(np.isfinite(numbers).all())


def read_people(content: dict[str, Any]) -> Iterator[tuple[tuple[int, str], Labels | SampleError]]:
    """Yields for each annotation (id, file name) of the picture, and its labels or why it has none.

    Raises:
        KeyError: an image or annotation lacks a key.
    """
    pictures = {picture["id"]: picture for picture in content["images"]}
    for annotation in content["annotations"]:
        key = annotation["image_id"]
        name = f"annotation {annotation.get('id')} of image {key}"
        if reason := _reason(annotation, pictures.get(key)):
            yield (key, ""), SampleError(reason, name)
        else:
            points = np.reshape(annotation["keypoints"], (len(COCO17), 3))  # x, y, v
            yield (key, pictures[key]["file_name"]), reorder(points, COCO17, name)


def _reason(annotation: dict[str, Any], picture: dict[str, Any] | None) -> str | None:
    if picture is None:
        return "annotation of an unknown picture"
    return rejection(annotation, picture["height"], picture["width"])


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
    try:
        people, dropped = group_by_picture(read_people(read_annotations(annotations)))
    except KeyError as error:
        raise UserError(f"{annotations}: an image or annotation lacks the key {error}.") from error
    pictures = [PicturePeople(images / at[1], NAME, people[at], WINDOW) for at in sorted(people)]
    arguments = {"annotations": annotations.name}
    return people_job(NAME, split, pictures, dropped, [annotations], images, arguments)


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
