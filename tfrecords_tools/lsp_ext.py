"""LSP extended: 10,000 more people doing sports, all for training; both of its releases are read.

`joints.mat` holds `joints`, 14 x 3 x N: x, y and a flag that is 1 where the joint is labelled, the
opposite of LSP's. In the first release (im00001.jpg, people of about 150 px) the number in a
picture's name is its row, and pictures are stored as they are, as in the original. In the
high-resolution release (HR-LSPET, im00001.png) the pictures, sorted by name, belong to the rows in
this order, and people are scaled to 150 px and cut out. Differences from the original: the flag
means the same whatever the number of pictures; the high-resolution release is scaled. Some labels
are wrong: sides are exchanged, or points are far off.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from hmr.errors import UserError, run_verb
from tfrecords_tools.common.cli import Converter, plan_splits, run_converter
from tfrecords_tools.common.jobs import Plan, fingerprint
from tfrecords_tools.lsp import picture_of, pictures_job, read_joints

NAME = "lsp_ext"


def _high_resolution(folder: Path, joints: np.ndarray) -> list[Path]:
    paths = sorted(folder.glob("im*.png"))
    if len(paths) != len(joints):
        raise UserError(
            f"{NAME}: {folder} holds {len(paths)} pictures im*.png, but joints.mat has "
            f"{len(joints)} rows, one for each picture: extract the archive completely."
        )
    return paths


def plan(args: argparse.Namespace) -> Plan:
    """One job, for whichever release is there."""
    joints = read_joints(args.input / "joints.mat", NAME)
    plan_splits(args, CONVERTER)
    images = args.input / "images"
    first = images.is_dir()
    folder = images if first else args.input
    numbered = [images / f"im{row + 1:05d}.jpg" for row in range(len(joints))]
    paths = numbered if first else _high_resolution(folder, joints)
    pictures = [
        picture_of(path, points, points[:, 2] > 0, NAME)
        for path, points in zip(paths, joints, strict=True)
    ]
    release = "LSPET" if first else "HR-LSPET"
    source = fingerprint([args.input / "joints.mat"], [folder])
    return Plan([pictures_job(NAME, "train", pictures, not first, release, source)])


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download lspet_dataset.zip or hr-lspet.zip. Layout:
  images/im00001.jpg ... images/im10000.jpg, joints.mat
  or, high resolution: im00001.png ..., joints.mat, in one folder""",
    plan=plan,
    splits=("train",),
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
