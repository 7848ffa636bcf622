"""MPII Human Pose: people doing 410 kinds of things, 16 joints.

From the MATLAB release, training people that stand well apart are taken (`single_person`), as in
the original; the json of later projects (annot/train.json, annot/valid.json) lists more people. A
joint counts as labelled where it is annotated, visible or not. If an ankle is labelled, the
keypoints' box gets a diagonal of 150 px; otherwise the mean distance of shoulders and hips becomes
75 px; people with neither are left out. The window is +-300 px.

Differences from the original: the 75 px rule measures from the shoulders, as the original intended
(it measures from the head top, which makes such people 1.9 times smaller); MATLAB's pixels, counted
from 1, are counted from 0 here; x and y keep their own scale factors; people with broken
annotations are left out and counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import MPII16
from hmr.errors import run_verb
from hmr.files import foreign
from hmr.files.foreign import parsing
from tfrecords_tools.common.cli import Converter, plan_splits, run_converter
from tfrecords_tools.common.jobs import Job, Plan, SampleError, reading_sample
from tfrecords_tools.common.matlab import read_mat
from tfrecords_tools.common.people import (
    PersonInPicture,
    PicturePeople,
    WindowRule,
    group_by_picture,
    people_job,
    person_scale,
)
from tfrecords_tools.common.pictures import Labels, reorder

NAME = "mpii"
WINDOW = WindowRule(margin_px=300, scale=partial(person_scale, without_torso_px=None))
_RELEASE_PATTERN = "mpii_human_pose_v1_u12*.mat"
_JSON_NAMES = {"train": "train.json", "val": "valid.json"}


def read_release(path: Path) -> Iterator[PersonInPicture]:
    """Yields the training people of `mpii_human_pose_v1_u12_1.mat` that stand well apart.

    Raises:
        UserError: the file is not such a release.
    """
    content = read_mat(path, ("RELEASE",), struct_as_record=False, squeeze_me=True)
    release = content["RELEASE"]
    with parsing(path, "RELEASE of MPII, lacks a field"):
        pictures = _as_list(release.annolist)
        chosen = np.flatnonzero(np.atleast_1d(release.img_train))
        # `squeeze_me` removes the outer dimension of the cells of a single picture.
        apart = release.single_person if len(pictures) > 1 else [release.single_person]
        for index in chosen:
            for number in np.atleast_1d(apart[index]).astype(int):
                yield _read_person(pictures[index], int(number))


def _read_person(picture: Any, number: int) -> PersonInPicture:
    file_name = str(picture.image.name)
    name = f"{file_name}, person {number}"
    rectangles = _as_list(getattr(picture, "annorect", None))
    if not 1 <= number <= len(rectangles):
        return file_name, SampleError("person without rectangle", name)
    points = _as_list(getattr(getattr(rectangles[number - 1], "annopoints", None), "point", None))
    if len(points) < 2:
        reason = "person with one labelled joint" if points else "person without joints"
        return file_name, SampleError(reason, name)
    try:
        with reading_sample("person with unreadable joints", name):
            return file_name, reorder(_read_points(points), MPII16, name)
    except SampleError as error:
        return file_name, error


def _read_points(points: list) -> np.ndarray:
    """Joints (16, 3): x, y in 0-based pixels, and 1 where annotated, whatever `is_visible` says."""
    keypoints = np.zeros((len(MPII16), 3))
    for point in points:
        keypoints[range(len(MPII16)).index(point.id)] = (point.x - 1, point.y - 1, 1)
    return keypoints


def _as_list(value: Any) -> list:
    """A MATLAB struct array as a list: scipy gives one element bare, and none as an empty array."""
    if value is None:
        return []
    return list(np.ravel(value)) if isinstance(value, np.ndarray) else [value]


def read_json(path: Path) -> Iterator[PersonInPicture]:
    """Yields the people of `annot/train.json` or `annot/valid.json`.

    Raises:
        UserError: the file is not such a json.
    """
    people = foreign.read_json(path)
    with parsing(path, "list of people with image, center, joints and joints_vis"):
        for index, person in enumerate(people):
            yield str(person["image"]), _read_json_person(person, f"{person['image']}, row {index}")


def _read_json_person(person: dict[str, Any], name: str) -> Labels | SampleError:
    joints = np.array(person["joints"], np.float64).reshape(len(MPII16), 2)
    annotated = np.array(person["joints_vis"], np.float64).reshape(len(MPII16)) > 0
    if person["center"][0] == -1 or not annotated.any():
        return SampleError("person without joints", name)
    return reorder(np.column_stack([joints - 1, annotated]), MPII16, name)


def find_annotations(root: Path) -> dict[str, Path]:
    """Split -> annotation file; the MATLAB release comes first."""
    releases = sorted(path for path in root.rglob(_RELEASE_PATTERN) if path.is_file())
    if releases:
        return {"train": releases[0]}
    found = {split: root / "annot" / name for split, name in _JSON_NAMES.items()}
    return {split: path for split, path in found.items() if path.is_file()}


def plan(args: argparse.Namespace) -> Plan:
    """One job per split."""
    annotations = find_annotations(args.input)
    splits, skipped = plan_splits(
        args,
        CONVERTER,
        lambda split: None if split in annotations else f"no {split} annotations in {args.input}",
    )
    images = args.input / "images"
    return Plan([_job(split, annotations[split], images) for split in splits], skipped)


def _job(split: str, annotations: Path, images: Path) -> Job:
    read = read_json if annotations.suffix == ".json" else read_release
    people, dropped = group_by_picture(read(annotations))
    pictures = [PicturePeople(images / name, NAME, people[name], WINDOW) for name in people]
    arguments = {"annotations": annotations.name}
    return people_job(NAME, split, pictures, dropped, [annotations], images, arguments)


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download mpii_human_pose_v1.tar.gz and mpii_human_pose_v1_u12_2.zip. Layout:
  images/000001163.jpg ...
  annotations/mpii_human_pose_v1_u12_1.mat, or anywhere below the folder
  or annot/train.json, annot/valid.json""",
    plan=plan,
    splits=("train", "val"),
)


if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
