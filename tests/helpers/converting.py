"""Runs converters in this process and reads back what they wrote."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from hmr.data.records import parse_mocap, parse_person
from hmr.data.shards import Manifest, find_shards, read_manifest
from tfrecords_tools.common.cli import Converter, SummaryRow, build_parser, convert_dataset
from tfrecords_tools.common.writer import Workers


def run(converter: Converter, source: Path, output: Path, *options: str) -> list[SummaryRow]:
    """Converts as the command line would, without processes."""
    arguments = ["--input", str(source), "--output", str(output), "--workers", "0", *options]
    args = build_parser(converter).parse_args(arguments)
    with Workers(args.workers) as workers:
        return convert_dataset(converter, args, workers)


def read_people(output: Path, dataset: str, split: str) -> list[dict]:
    """Every record of a split, as numpy arrays and bytes."""
    records = tf.data.TFRecordDataset(find_shards(output, dataset, split))
    return list(records.map(parse_person).as_numpy_iterator())


def read_bodies(output: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Poses (N, 72) and shapes (N, 10) of a mocap set."""
    records = tf.data.TFRecordDataset(find_shards(output, name, "train"))
    pairs = list(records.map(parse_mocap).as_numpy_iterator())
    return np.array([pose for pose, _ in pairs]), np.array([shape for _, shape in pairs])


def manifest_of(output: Path, dataset: str, split: str) -> Manifest:
    """The manifest, which has to be there."""
    manifest = read_manifest(output, dataset, split)
    assert manifest is not None
    return manifest


def write_picture(path: Path, height: int, width: int, dots: np.ndarray | None = None) -> None:
    """A grey picture, with a white dot of 5 px at each finite one of `dots` (N, 2)."""
    image = np.full((height, width, 3), 90, np.uint8)
    dots = np.zeros((0, 2)) if dots is None else dots
    for x, y in dots[np.isfinite(dots).all(axis=1)]:
        cv2.circle(image, (round(x), round(y)), 5, (255, 255, 255), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def brightness_at(person: dict, joints: np.ndarray) -> np.ndarray:
    """Grey values of a record's picture at its own keypoints with these indices."""
    image = tf.io.decode_jpeg(person["image_bytes"]).numpy().mean(axis=2)
    points = np.rint(person["keypoints2d_px"][joints]).astype(int)
    return image[points[:, 1], points[:, 0]]
