"""MPII Human Pose: people doing 410 kinds of things, 16 joints.

From the MATLAB release, training people that stand well apart are taken (`single_person`), as in
the original; the json of later code (annot/train.json, annot/valid.json) names more people. A joint
counts as labelled where it is annotated, visible or not. With an ankle labelled, the keypoints' box
gets a diagonal of 150 px; else the mean distance of shoulders and hips becomes 75 px; people with
neither are left out. The window is +-300 px.

Differences to the original: the 75 px rule measures from the shoulders, as the original meant (it
measures from the head top, and makes such people 1.9 times smaller); MATLAB's pixels are counted
from 0 here; x and y keep their own scale factors; broken people are skipped and counted.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from hmr.errors import run_verb
from tfrecords_tools.common.cli import Converter, plan_splits, run_converter
from tfrecords_tools.common.jobs import DropLog, Job, Plan, SampleError
from tfrecords_tools.common.people2d import Crop, PicturePeople, people_job
from tfrecords_tools.common.person_scale import person_scale
from tfrecords_tools.common.pictures import Labels
from tfrecords_tools.mpii_files import Found, read_json, read_release

NAME = "mpii"
CROP = Crop(margin_px=300, scale=partial(person_scale, without_torso_px=None))
_RELEASE_PATTERN = "mpii_human_pose_v1_u12*.mat"
_JSON_NAMES = {"train": "train.json", "val": "valid.json"}


def find_annotations(root: Path) -> dict[str, Path]:
    """Split -> annotation file; the MATLAB release comes first."""
    releases = sorted(path for path in root.rglob(_RELEASE_PATTERN) if path.is_file())
    if releases:
        return {"train": releases[0]}
    found = {split: root / "annot" / name for split, name in _JSON_NAMES.items()}
    return {split: path for split, path in found.items() if path.is_file()}


def collect(found: Iterable[Found], images: Path) -> tuple[list[PicturePeople], DropLog]:
    """People by picture, in the file's order; and who is left out."""
    dropped = DropLog()
    people: dict[str, list[Labels]] = {}
    for file_name, person in found:
        if isinstance(person, SampleError):
            dropped.add(person.reason, person.name)
        else:
            people.setdefault(file_name, []).append(person)
    pictures = [
        PicturePeople(images / name, NAME, tuple(labels), CROP) for name, labels in people.items()
    ]
    return pictures, dropped


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
    pictures, dropped = collect(read(annotations), images)
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
