"""Leeds Sports Pose: 2,000 pictures of sports people, scaled by its authors to about 150 px.

`joints.mat` holds `joints`, 3 x 14 x 2000: x, y and a flag that is 0 where the joint is visible and
1 where it is occluded. As in the original, occluded joints count as unlabelled, pictures are
stored as they are, and the first half is for training, the second for testing.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.body.joints import COCOPLUS, LSP14
from hmr.data.schema import person_to_example
from hmr.errors import UserError, run_verb
from tfrecords_tools.common.cli import Converter, need_file, plan_splits, run_converter
from tfrecords_tools.common.jobs import ItemByItem, Job, Outcome, Plan, chunks, fingerprint
from tfrecords_tools.common.matlab import read_mat
from tfrecords_tools.common.people import Crop, PicturePeople, convert_picture
from tfrecords_tools.common.pictures import Labels, whole_person

NAME = "lsp"
CROP = Crop(margin_px=200)


@dataclass(frozen=True)
class LspItem:
    """One picture: its path, joints (14, 2) in px, and which of them are labelled (14,)."""

    path: Path
    joints_px: np.ndarray
    labelled: np.ndarray
    dataset: str

    def labels(self) -> Labels:
        """The joints in cocoplus order."""
        keypoints, visibility = np.zeros((len(COCOPLUS), 2)), np.zeros(len(COCOPLUS), int)
        keypoints[: len(LSP14)], visibility[: len(LSP14)] = self.joints_px, self.labelled
        return Labels(keypoints, visibility, self.path.name)


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
        joints = joints.transpose(1, 0, 2)
    return joints.transpose(2, 0, 1).astype(np.float64)


def convert_whole(item: LspItem) -> Iterator[bytes]:
    """The record of a picture that is stored as it is."""
    yield person_to_example(whole_person(item.path, item.labels(), item.dataset))


def convert_scaled(item: LspItem) -> Iterator[Outcome]:
    """The record of a picture whose person is scaled to 150 px and cut out."""
    yield from convert_picture(PicturePeople(item.path, item.dataset, (item.labels(),), CROP))


def items_job(
    dataset: str, split: str, items: list[LspItem], scaled: bool, release: str, source: str
) -> Job:
    """The job of a release of LSP or LSP extended; `source` is its fingerprint."""
    return Job(
        dataset,
        split,
        chunks(items),
        ItemByItem(convert_scaled if scaled else convert_whole),
        samples=len(items),
        arguments={"release": release},
        source_fingerprint=source,
    )


def plan(args: argparse.Namespace) -> Plan:
    """Jobs for the halves of the dataset."""
    mat, images = args.input / "joints.mat", args.input / "images"
    joints = read_joints(mat, NAME)
    half = len(joints) // 2
    rows = {"train": range(half), "test": range(half, len(joints))}
    splits, skipped = plan_splits(
        args, CONVERTER, lambda split: None if split in rows else f"there is no split {split}"
    )
    source = fingerprint([mat], [images] if images.is_dir() else [])
    release = "original size" if args.original_size else "150 px"
    jobs = [
        items_job(
            NAME,
            split,
            [_item(images, row, joints[row]) for row in rows[split]],
            args.original_size,
            release,
            source,
        )
        for split in splits
    ]
    return Plan(jobs, skipped)


def _item(images: Path, row: int, joints: np.ndarray) -> LspItem:
    visible = joints[:, 2] == 0
    return LspItem(images / f"im{row + 1:04d}.jpg", joints[:, :2], visible, NAME)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which of the two releases it is."""
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
