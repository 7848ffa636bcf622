"""Your own pictures and labels, as a COCO-style json or as an npz of arrays; or pictures alone.

json: `images` (id, file_name) and `annotations` (image_id, keypoints as x, y, v) of 17 COCO, 14
LSP or 19 cocoplus points; no masks are needed. npz, N people, one row each:
  image           (N,) text, path relative to --images
  keypoints2d_px  (N, K, 3) x, y, visibility, or (N, K, 2) with NaN where unlabelled; K as above
and where known
  joints3d_m      (N, 14, 3) LSP-14 joints in the camera frame (x right, y down, z away), metres
  pose, shape     (N, 72) rad and (N, 10), SMPL, root rotation in the camera frame
  camera          (N, 3) focal length, cx, cy in px
NaN stands for what a row lacks; names may have other endings than the files. People are scaled and
cut like COCO's; those with fewer than --min_visible labelled points are left out. --labels find
takes every picture of --images and labels everyone in it by MoveNet MultiPose, as prediction does:
17 COCO points, the sure ones.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Container, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import COCO17, COCOPLUS, LSP14
from hmr.errors import UserError, run_verb
from hmr.files.coco_json import (
    SIZE_UNKNOWN,
    Id,
    Size,
    labelled_size,
)
from hmr.files.foreign import MAX_BYTES, check_allowed, parsing
from hmr.files.images import IMAGE_SUFFIXES, is_picture, read_image
from hmr.files.safe_npz import load_npz
from hmr.finding.finder import Finder, weights_file
from hmr.progress import progress_bar
from tfrecords_tools.coco import (
    annotations_of,
    is_person,
    numbers_of,
    people_of,
    read_annotations,
)
from tfrecords_tools.common.cli import Converter, need_file, run_converter
from tfrecords_tools.common.jobs import Plan, SampleError
from tfrecords_tools.common.people import (
    PicturePeople,
    WindowRule,
    group_by_picture,
    group_people_of,
    people_job,
)
from tfrecords_tools.common.pictures import Labels, find_pictures, reorder

NAME = "from_labels"
WINDOW = WindowRule(margin_px=200)
MIN_VISIBLE = 6
FIND = Path("find")
"""In the place of a file of labels: they are found."""
# Where a keypoint of MoveNet is found but not sure, its place misleads a training.
SURE_KEYPOINT = 0.3
POINT_SETS = {len(names): names for names in (LSP14, COCO17, COCOPLUS)}
# Array of the npz -> shape of one row, and the field of `Person` that it fills.
EXTRAS = {
    "joints3d_m": ((len(LSP14), 3), "joints3d_lsp_m"),
    "pose": ((72,), "pose"),
    "shape": ((10,), "beta"),
    "camera": ((3,), "intrinsics_px"),
}
_DATASET_NAME = re.compile(r"\w+")
# With the time that a person takes, as for JSON.
_BYTES_PER_PERSON = 2500


Found = tuple[tuple[str, Size], Labels | SampleError]
"""Name and size of a picture, and the labels of a person in it or why the person is left out."""


def read_npz(path: Path) -> Iterator[Found]:
    """Yields the people of the rows of an npz.

    Raises:
        UserError: it is unreadable, or an array is missing, unknown or of another shape.
    """
    arrays = load_npz(path, MAX_BYTES // 2)
    if objects := [
        key for key in arrays if not hasattr(arrays[key], "dtype") or arrays[key].dtype.hasobject
    ]:
        raise UserError(f"{path} is not a readable npz of plain arrays: {objects[0]} is none.")
    _check_arrays(arrays, path)
    size = _BYTES_PER_PERSON * len(arrays["image"])
    check_allowed(path, size, MAX_BYTES, "may take, when it is read,")
    keypoints = arrays["keypoints2d_px"]
    for row, name in enumerate(arrays["image"]):
        labels = _labels(
            str(name), with_visibility(keypoints[[row]])[0], f"row {row}", _extras(arrays, row)
        )
        yield (str(name), SIZE_UNKNOWN), labels


def _labels(file_name: str, keypoints: np.ndarray, row: str, extras: dict[str, Any]) -> Labels:
    """The labels of keypoints (K, 3): x, y, visibility, with K one of `POINT_SETS`."""
    return reorder(keypoints, POINT_SETS[len(keypoints)], f"{file_name}, {row}", **extras)


def _extras(arrays: dict[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
    """What is known of a person besides keypoints; pose and beta count only together."""
    extras = {field: arrays[key][row] for key, (_, field) in EXTRAS.items() if key in arrays}
    known = {key: value for key, value in extras.items() if np.isfinite(value).all()}
    if "pose" in known and "beta" in known:
        return known
    return {key: value for key, value in known.items() if key not in ("pose", "beta")}


def _check_arrays(arrays: dict[str, np.ndarray], path: Path) -> None:
    missing = {"image", "keypoints2d_px"} - set(arrays)
    unknown = set(arrays) - {"image", "keypoints2d_px", *EXTRAS}
    if missing or unknown:
        raise UserError(f"{path}: missing {sorted(missing)}, unknown {sorted(unknown)}.")
    count, points = len(arrays["image"]), arrays["keypoints2d_px"].shape
    if len(points) != 3 or points[0] != count or points[1] not in POINT_SETS or points[2] < 2:
        raise UserError(
            f"{path}: keypoints2d_px has shape {points}, expected ({count}, K, 2 or 3) with K one "
            f"of {sorted(POINT_SETS)}."
        )
    if text := [key for key in arrays if key != "image" and arrays[key].dtype.kind not in "fiub"]:
        raise UserError(f"{path}: {text[0]} holds {arrays[text[0]].dtype}, expected numbers.")
    for key, (shape, _) in EXTRAS.items():
        if key in arrays and arrays[key].shape != (count, *shape):
            raise UserError(
                f"{path}: {key} has shape {arrays[key].shape}, expected {(count, *shape)}."
            )


def with_visibility(keypoints: np.ndarray) -> np.ndarray:
    """Keypoints (N, K, 2 or 3) as (N, K, 3): x, y, and 1 if finite and not marked as unlabelled."""
    points = np.asarray(keypoints, np.float64)
    flags = points[..., 2] if points.shape[2] > 2 else np.ones(points.shape[:2])
    labelled = np.isfinite(points).all(axis=2) & (flags > 0)
    return np.dstack([np.where(labelled[..., None], points[..., :2], 0), labelled])


def read_json(path: Path) -> Iterator[Found]:
    """Yields the people of a COCO-style json.

    Raises:
        UserError: it is unreadable or lacks a key.
    """
    content = read_annotations(path)
    with parsing(path, "json of labels"):
        people = people_of(content, path)
        for annotation, listed in annotations_of(content):
            name = str((listed or {}).get("file_name", ""))
            picture = (name, labelled_size(listed)) if listed else None
            row = f"annotation {annotation.get('id')}"
            yield picture or ("", SIZE_UNKNOWN), _annotated(annotation, picture, people, row)


def _annotated(
    annotation: dict[str, Any],
    picture: tuple[str, Size] | None,
    people: Container[Id],
    row: str,
) -> Labels | SampleError:
    """The labels of an annotation, or why it has none."""
    if not is_person(annotation, people):
        return SampleError("no person", row)
    if annotation.get("keypoints") is None:
        return SampleError("no keypoints", row)
    if picture is None:
        return SampleError("annotation of an unknown picture", row)
    numbers = np.ravel(numbers_of(annotation["keypoints"]))
    if len(numbers) % 3 or len(numbers) // 3 not in POINT_SETS:
        return SampleError("another number of keypoints than 14, 17 or 19", row)
    points = with_visibility(numbers.reshape(1, -1, 3))[0]  # (K, 3)
    return _labels(picture[0], points, row, {})


def find_people(folder: Path) -> Iterator[Found]:
    """Yields everyone whom the finder sees in the pictures of a folder, in upright pixels.

    Raises:
        UserError: the folder holds no picture.
    """
    finder = Finder()
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and is_picture(path))
    if not paths:
        raise UserError(
            f"{NAME}: no picture in {folder}. Expected files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}. Another folder in --input: --images NAME."
        )
    for path in progress_bar(paths, desc="find", unit="picture"):
        picture = str(path.relative_to(folder)), SIZE_UNKNOWN
        try:
            people = finder.find(read_image(path))
        except UserError as error:
            yield picture, SampleError("unreadable picture", str(error))
            continue
        if not people:
            yield picture, SampleError("nobody found", picture[0])
        for number, person in enumerate(people):
            points = person.keypoints_px.copy()
            points[:, 2] = points[:, 2] > SURE_KEYPOINT
            yield picture, _labels(picture[0], with_visibility(points[None])[0], f"{number}", {})


def _enough_labels(found: Iterable[Found], least: int) -> Iterator[Found]:
    """The same people; those with fewer than `least` labelled keypoints are left out."""
    for picture, person in found:
        if isinstance(person, Labels) and (person.visibility > 0).sum() < least:
            person = SampleError(f"fewer than {least} labelled keypoints", person.name)
        yield picture, person


def _people_in(path: Path, least: int) -> Iterator[Found]:
    return _enough_labels((read_npz if path.suffix == ".npz" else read_json)(path), least)


def plan(args: argparse.Namespace) -> Plan:
    """One job for the one file of labels."""
    if not _DATASET_NAME.fullmatch(args.name):
        raise UserError(f'--name "{args.name}": letters, digits and _ only, it names a folder.')
    images, turned = args.input / args.images, args.labels_on == "turned"
    if args.labels == FIND:
        labels, turned = weights_file(), True
        found = _enough_labels(find_people(images), args.min_visible)
        people, dropped = group_by_picture(found)
    else:
        labels = need_file(args.input / args.labels, NAME)
        people, dropped = group_people_of(labels, partial(_people_in, least=args.min_visible))
    paths = find_pictures(images, {name for name, _ in people})
    pictures = [
        PicturePeople(paths[name], args.name, people[name, size], WINDOW, size, turned)
        for name, size in sorted(people)
    ]
    split = (args.splits or CONVERTER.splits)[0]
    arguments = {"labels": labels.name, "min_visible": args.min_visible}
    arguments |= {"labels_on": args.labels_on} if turned else {}
    return Plan([people_job(args.name, split, pictures, dropped, [labels], images, arguments)])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds options: which files to read, and the name of the record set."""
    parser.add_argument(
        "--labels",
        type=Path,
        default=Path("labels.npz"),
        help="file in --input, or find: labels are made (default: %(default)s)",
    )
    parser.add_argument(
        "--images", type=Path, default=Path("images"), help="in --input (default: %(default)s)"
    )
    parser.add_argument("--name", default="mine", help="name of the record set (%(default)s)")
    parser.add_argument(
        "--min_visible", type=int, default=MIN_VISIBLE, help="labelled points (%(default)s)"
    )
    parser.add_argument(
        "--labels_on",
        choices=("stored", "turned"),
        default="stored",
        help="the picture on which labels were made: as stored, or turned by its EXIF; where the "
        "json has width and height and they differ, these tell (%(default)s)",
    )


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Layout: labels.npz (or any json; none for --labels find), images/...
Train on them: name the set in data.train of a config (hmr.configs).""",
    plan=plan,
    splits=("train",),
    add_options=add_options,
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
