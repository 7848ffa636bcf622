"""Readers of MPII Human Pose: the MATLAB release, and the json that came with later code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import MPII16
from hmr.errors import UserError
from tfrecords_tools.common.jobs import SampleError
from tfrecords_tools.common.matlab import read_mat
from tfrecords_tools.common.people2d import reorder
from tfrecords_tools.common.pictures import Labels

Found = tuple[str, Labels | SampleError]
"""Picture name, and a person in it or why it is left out."""


def read_release(path: Path) -> Iterator[Found]:
    """Yields the training people of `mpii_human_pose_v1_u12_1.mat` that stand well apart.

    Raises:
        UserError: the file is no such release.
    """
    content = read_mat(path, ("RELEASE",), struct_as_record=False, squeeze_me=True)
    release = content["RELEASE"]
    try:
        pictures = as_list(release.annolist)
        chosen = np.flatnonzero(np.atleast_1d(release.img_train))
        apart = _per_picture(release.single_person, len(pictures))
    except AttributeError as error:
        raise UserError(f"{path}: RELEASE lacks a field ({error}).") from error
    for index in chosen:
        for number in np.atleast_1d(apart[index]).astype(int):
            yield _read_person(pictures[index], int(number))


def _per_picture(values: Any, count: int) -> list:
    """Cells as a list, also where a file of one picture lost its outer dimension."""
    return list(values) if count > 1 else [values]


def _read_person(picture: Any, number: int) -> Found:
    file_name = str(picture.image.name)
    name = f"{file_name}, person {number}"
    rectangles = as_list(getattr(picture, "annorect", None))
    if not 1 <= number <= len(rectangles):
        return file_name, SampleError("person without rectangle", name)
    points = as_list(getattr(getattr(rectangles[number - 1], "annopoints", None), "point", None))
    if len(points) < 2:
        reason = "person with one labelled joint" if points else "person without joints"
        return file_name, SampleError(reason, name)
    try:
        return file_name, reorder(_read_points(points), MPII16, name)
    except (AttributeError, IndexError, TypeError, ValueError):
        return file_name, SampleError("person with unreadable joints", name)


def _read_points(points: list) -> np.ndarray:
    """(16, 3) x, y, 1 where annotated, whatever `is_visible` says; 0-based pixels."""
    keypoints = np.zeros((len(MPII16), 3))
    for point in points:
        keypoints[range(len(MPII16)).index(point.id)] = (point.x - 1, point.y - 1, 1)
    return keypoints


def as_list(value: Any) -> list:
    """A MATLAB struct array as a list: scipy shows one element bare and none as an empty array."""
    if value is None:
        return []
    return list(np.ravel(value)) if isinstance(value, np.ndarray) else [value]


def read_json(path: Path) -> Iterator[Found]:
    """Yields the people of `annot/train.json` or `annot/valid.json`.

    Raises:
        UserError: the file is no such json.
    """
    try:
        people = json.loads(path.read_bytes())
        for index, person in enumerate(people):
            yield str(person["image"]), _read_json_person(person, f"{person['image']}, row {index}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} is no list of people with image, center, joints and joints_vis: {error!r}."
        ) from error


def _read_json_person(person: dict[str, Any], name: str) -> Labels | SampleError:
    joints = np.array(person["joints"], np.float64).reshape(len(MPII16), 2)
    annotated = np.array(person["joints_vis"], np.float64).reshape(len(MPII16)) > 0
    if person["center"][0] == -1 or not annotated.any():
        return SampleError("person without joints", name)
    return reorder(np.column_stack([joints - 1, annotated]), MPII16, name)
