"""Leeds Sports Pose: 2,000 pictures of people doing sports, scaled by its authors to about 150 px.

`joints.mat` holds `joints`, 3 x 14 x 2000: x, y and a flag that is 0 where the joint is visible and
1 where it is occluded. As in the original, occluded joints count as unlabelled, pictures are
stored as they are, and the first half is for training, the second for testing. Difference: a
missing picture is left out and does not shift the labels of the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hmr.body.joints import LSP14
from hmr.data.schema import person_to_example
from hmr.errors import UserError, run_verb
from tfrecords_tools.common.cli import Converter, need_file, plan_splits, run_converter
from tfrecords_tools.common.jobs import ItemByItem, Job, Plan, chunks, fingerprint
from tfrecords_tools.common.matlab import read_mat
from tfrecords_tools.common.people import PicturePeople, WindowRule, convert_picture
from tfrecords_tools.common.pictures import reorder, whole_person

NAME = "lsp"
WINDOW = WindowRule(margin_px=200)


def read_joints(path: Path, name: str) -> np.ndarray:
    """Reads `joints` of a `joints.mat`: x, y, flag.

    Returns:
        (N, 14, 3) float64, whichever of the two axes comes first in the file.
    Raises:
        UserError: the file is missing or holds something else.
    """
    joints = read_mat(need_file(path, name), ("joints",))["joints"]
    if joints.ndim != 3 or sorted(joints.shape[:2]) != [3, len(LSP14)]:
        raise UserError(
            f"{name}: `joints` in {path} has shape {joints.shape}, expected 3 x 14 x N or "
            "14 x 3 x N."
        )
    if joints.shape[0] == 3:
        joints = joints.transpose(1, 0, 2)  # (14, 3, N)
    return joints.transpose(2, 0, 1).astype(np.float64)  # (N, 14, 3)


def picture_of(path: Path, joints: np.ndarray, labelled: np.ndarray, dataset: str) -> PicturePeople:
    """A picture of one person: joints (14, 2 or more) as x, y in px, and which count (14,)."""
    points = np.column_stack([joints[:, :2], labelled])
    return PicturePeople(path, dataset, [reorder(points, LSP14, path.name)], WINDOW)


def convert_whole(picture: PicturePeople) -> Iterator[bytes]:
    """The record of the one person of a picture that is stored as it is."""
    (labels,) = picture.people
    yield person_to_example(whole_person(picture.path, labels, picture.dataset))


def pictures_job(
    dataset: str, split: str, pictures: list[PicturePeople], scaled: bool, release: str, source: str
) -> Job:
    """The job of a release of LSP or LSP extended.

    Args:
        dataset, split: see `Job`.
        pictures: of one person each, in the order of the records.
        scaled: people are scaled to 150 px and cut out, else pictures are stored as they are.
        release: name of the release.
        source: fingerprint of its files.
    """
    return Job(
        dataset,
        split,
        chunks(pictures),
        ItemByItem(convert_picture if scaled else convert_whole),
        samples=len(pictures),
        arguments={"release": release},
        source_fingerprint=source,
    )


def plan(args: argparse.Namespace) -> Plan:
    """Jobs for the halves of the dataset."""
    mat, images = args.input / "joints.mat", args.input / "images"
    joints = read_joints(mat, NAME)
    half = len(joints) // 2
    rows = {"train": range(half), "test": range(half, len(joints))}
    splits, skipped = plan_splits(args, CONVERTER)
    source = fingerprint([mat], [images] if images.is_dir() else [])
    release = "original size" if args.original_size else "150 px"
    paths = [images / f"im{row + 1:04d}.jpg" for row in range(len(joints))]
    pictures = [
        picture_of(path, points, points[:, 2] == 0, NAME)
        for path, points in zip(paths, joints, strict=True)
    ]
    jobs = []
    for split in splits:
        chosen = [pictures[row] for row in rows[split]]
        jobs.append(pictures_job(NAME, split, chosen, args.original_size, release, source))
    return Plan(jobs, skipped)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the release with pictures of original size."""
    parser.add_argument(
        "--original_size",
        action="store_true",
        help="the folder holds lsp_dataset_original.zip: scale people to 150 px and cut them out",
    )


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download lsp_dataset.zip; lsp_dataset_original.zip, of larger pictures, needs --original_size.
Layout:
  images/im0001.jpg ... images/im2000.jpg
  joints.mat""",
    plan=plan,
    splits=("train", "test"),
    add_options=add_options,
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
