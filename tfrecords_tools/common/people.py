"""Several people with 2D labels in one picture: what the converters of 2D datasets share."""

from __future__ import annotations

import contextlib
import pickle
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from hmr.body.joints import COCOPLUS
from hmr.data.schema import person_to_example
from hmr.files.coco_json import SIZE_UNKNOWN, Size
from hmr.files.foreign import reading
from hmr.geometry.crop import PERSON_DIAGONAL_PX
from tfrecords_tools.common.jobs import (
    PEOPLE_PER_SHARD,
    DropLog,
    ItemByItem,
    Job,
    Outcome,
    SampleError,
    fingerprint,
)
from tfrecords_tools.common.pictures import (
    Labels,
    cut_person,
    full_body_scale,
    read_as_labelled,
)
from tfrecords_tools.common.processes import LARGE_BYTES, read_apart

TORSO_PX = 75.0
NO_TORSO_PX = 50.0
_ANKLES = [COCOPLUS.index(f"{side}_ankle") for side in ("right", "left")]
_TORSO_SIDES = [
    (COCOPLUS.index(f"{side}_shoulder"), COCOPLUS.index(f"{side}_hip"))
    for side in ("right", "left")
]

PersonInPicture = tuple[str, Labels | SampleError]
"""File name of a picture, and the labels of a person in it or why the person is left out."""
Key = TypeVar("Key")


def person_scale(labels: Labels, without_torso_px: float | None = NO_TORSO_PX) -> float | None:
    """The original's scale for people whom the picture may show in part only.

    With an ankle labelled, the keypoints' box gets a diagonal of 150 px. Else the mean distance
    of a shoulder and the hip of its side becomes 75 px. Else the box's diagonal becomes
    `without_torso_px`.

    Returns:
        stored pixels per picture pixel; None if there is no torso and `without_torso_px` is None.
    Raises:
        SampleError: no keypoint is labelled, or all lie in one point.
    """
    labelled = np.asarray(labels.visibility) > 0
    if labelled[_ANKLES].any():
        return full_body_scale(labels)
    points = np.asarray(labels.keypoints2d_px, np.float64)
    lengths = [
        np.linalg.norm(points[shoulder] - points[hip])
        for shoulder, hip in _TORSO_SIDES
        if labelled[shoulder] and labelled[hip]
    ]
    if lengths and np.mean(lengths) > 0:
        return TORSO_PX / float(np.mean(lengths))
    return without_torso_px and full_body_scale(labels) * without_torso_px / PERSON_DIAGONAL_PX


@dataclass(frozen=True)
class WindowRule:
    """How the stored window around a person of a dataset is made.

    Attributes:
        margin_px: half the side of the stored window.
        scale: picklable; labels -> stored pixels per picture pixel, None for what is left out.
    """

    margin_px: int
    scale: Callable[[Labels], float | None] = person_scale


@dataclass(frozen=True, slots=True)
class PicturePeople:
    """A picture and its labelled people.

    Attributes:
        path: the picture.
        dataset: name of the record set.
        people: the labels of each.
        window: how they are scaled and cut.
        size: of the picture on which the labels were made.
        turned: see `read_as_labelled`.
    """

    path: Path
    dataset: str
    people: list[Labels]
    window: WindowRule
    size: Size = SIZE_UNKNOWN
    turned: bool = False


def group_by_picture(
    found: Iterable[tuple[Key, Labels | SampleError]],
) -> tuple[dict[Key, list[Labels]], DropLog]:
    """Groups people by picture.

    Args:
        found: for each person a key of the picture, and the labels or why there are none.
    Returns:
        the people of each picture, in the order in which pictures and people are found; and who is
        left out.
    """
    people: dict[Key, list[Labels]] = {}
    dropped = DropLog()
    for key, person in found:
        if isinstance(person, SampleError):
            dropped.add(person.reason, person.name)
        else:
            people.setdefault(key, []).append(person)
    return people, dropped


def group_people_of(
    path: Path, find: Callable[[Path], Iterable[tuple[Key, Labels | SampleError]]]
) -> tuple[dict[Key, list[Labels]], DropLog]:
    """`group_by_picture` of the people that `find`, which is picklable, finds in a file.

    A large file is read in a process of its own: JSON takes four times its size in memory. The
    people come back one picture at a time, since all of them at once would take a third more.

    Raises:
        UserError: as `find` does, or the file needs more time or memory than a sound one can.
    """
    with reading(path, "file of labels"):
        if path.stat().st_size < LARGE_BYTES:
            return group_by_picture(find(path))
        with tempfile.TemporaryDirectory() as folder:
            between = Path(folder) / "people"
            dropped = read_apart(partial(_group_into, find, between), path)
            with between.open("rb") as file:
                return dict(_unpickled(file)), dropped


def _group_into(find: Callable[[Path], Iterable], between: Path, path: Path) -> DropLog:
    people, dropped = group_by_picture(find(path))
    with between.open("wb") as file:
        for picture in people.items():
            pickle.dump(picture, file)
    return dropped


def _unpickled(file: BinaryIO) -> Iterator[Any]:
    with contextlib.suppress(EOFError):
        while True:
            yield pickle.load(file)


def convert_picture(picture: PicturePeople) -> Iterator[Outcome]:
    """The records of a picture's people; the picture is decoded once."""
    try:
        image = read_as_labelled(picture.path, picture.size, picture.turned)
    except SampleError as error:
        yield from (SampleError(error.reason, labels.name) for labels in picture.people)
        return
    for labels in picture.people:
        try:
            yield _record(image, labels, picture)
        except SampleError as error:
            yield error


def _record(image: np.ndarray, labels: Labels, picture: PicturePeople) -> bytes:
    scale = picture.window.scale(labels)
    if scale is None:
        raise SampleError("neither ankle nor torso labelled", labels.name)
    fields = {"filename": picture.path.name, "dataset": picture.dataset, **labels.extras}
    return person_to_example(cut_person(image, labels, scale, picture.window.margin_px, **fields))


def people_job(
    dataset: str,
    split: str,
    pictures: list[PicturePeople],
    dropped: DropLog,
    files: Iterable[Path],
    images: Path,
    arguments: dict[str, Any],
) -> Job:
    """The job that converts pictures with their people.

    Args:
        dataset, split, dropped: see `Job`.
        pictures: in the order of the records.
        files, images: annotation files and picture folder, for the source's fingerprint.
        arguments: options that decide what comes out.
    """
    return Job(
        dataset,
        split,
        group_by_people(pictures),
        ItemByItem(convert_picture),
        samples=sum(len(picture.people) for picture in pictures),
        dropped=dropped,
        arguments=arguments,
        source_fingerprint=fingerprint(files, [images] if images.is_dir() else []),
    )


def group_by_people(pictures: list[PicturePeople]) -> list[list[PicturePeople]]:
    """Groups consecutive pictures, each of at least `PEOPLE_PER_SHARD` people but the last."""
    groups: list[list[PicturePeople]] = []
    room = 0
    for picture in pictures:
        if room <= 0:
            groups.append([])
            room = PEOPLE_PER_SHARD
        groups[-1].append(picture)
        room -= len(picture.people)
    return groups
