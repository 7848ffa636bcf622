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

from src.body.joints import COCOPLUS, LSP14
from src.data.schema import person_to_example
from src.errors import UserError, run_verb
from tfrecords_tools.cli import Converter, need_file, plan_splits, run_converter
from tfrecords_tools.jobs import ItemByItem, Job, Plan, chunks, fingerprint
from tfrecords_tools.matlab import read_mat
from tfrecords_tools.pictures import Labels, whole_person

NAME = "lsp"


@dataclass(frozen=True)
class LspItem:
    """One picture: its path, joints (14, 2) in px, and which of them are labelled (14,)."""

    path: Path
    joints_px: np.ndarray
    labelled: np.ndarray
    dataset: str


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


def convert_item(item: LspItem) -> Iterator[bytes]:
    """One picture's record."""
    keypoints, visibility = np.zeros((len(COCOPLUS), 2)), np.zeros(len(COCOPLUS), int)
    keypoints[: len(LSP14)], visibility[: len(LSP14)] = item.joints_px, item.labelled
    labels = Labels(keypoints, visibility, item.path.name)
    yield person_to_example(whole_person(item.path, labels, item.dataset))


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
    jobs = []
    for split in splits:
        items = [_item(images, row, joints[row]) for row in rows[split]]
        units, convert = chunks(items), ItemByItem(convert_item)
        jobs.append(Job(NAME, split, units, convert, len(items), source_fingerprint=source))
    return Plan(jobs, skipped)


def _item(images: Path, row: int, joints: np.ndarray) -> LspItem:
    visible = joints[:, 2] == 0
    return LspItem(images / f"im{row + 1:04d}.jpg", joints[:, :2], visible, NAME)


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download lsp_dataset.zip (or lsp_dataset_original.zip). Layout:
  images/im0001.jpg ... images/im2000.jpg
  joints.mat""",
    plan=plan,
    splits=("train", "test"),
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
