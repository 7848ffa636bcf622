"""The stand-in datasets go through the converters of the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hmr.body.model_file import save_body
from hmr.data.records import check_shard
from hmr.data.shards import find_shards
from tests.helpers.converting import manifest_of, read_bodies, read_people
from tests.helpers.in_process import run_python

ROOT = Path(__file__).parents[2]
COUNTS = {"images_3d": 160, "test_3d": 12, "lsp": 20, "coco": 20, "mocap": 600}
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def records(tmp_path_factory, standin):
    root = tmp_path_factory.mktemp("standin")
    counts = [text for name, number in COUNTS.items() for text in (f"--{name}", str(number))]
    body = root / "standin_body.npz"
    save_body(body, standin)
    _run("tfrecords_tools.standin", "--output", root / "raw", "--body", body, *counts)
    names = ("lsp", "coco", "mpi_inf_3dhp", "amass")
    sources = [text for name in names for text in (f"--{name}", root / "raw" / name)]
    _run("tfrecords_tools", *sources, "--output", root / "out", "--workers", 2)
    return root / "out"


def _run(module, *arguments):
    assert run_python(("-m", module, *map(str, arguments)), ROOT) == 0


def test_every_record_follows_the_schema(records):
    splits = [
        ("lsp", "train"), ("lsp", "test"), ("coco", "train"), ("mpi_inf_3dhp", "train"),
        ("mpi_inf_3dhp", "val"), ("mpi_inf_3dhp", "test"), ("mocap_cmu", "train"),
        ("mocap_posePrior", "train"),
    ]  # fmt: skip
    for dataset, split in splits:
        shards = find_shards(records, dataset, split)
        assert sum(map(check_shard, shards)) == manifest_of(records, dataset, split).examples > 0


@pytest.mark.parametrize("split", ["train", "val"])
def test_joints_project_onto_the_keypoints(records, split):
    for person in read_people(records, "mpi_inf_3dhp", split):
        joints, (focal, cx, cy) = person["joints3d_lsp_m"], person["intrinsics_px"]
        projected = joints[:, :2] / joints[:, 2:] * focal + (cx, cy)
        distance = np.linalg.norm(projected - person["keypoints2d_px"][:14], axis=1)
        assert distance.max() < 1.5, person["sequence"]


def test_people_have_the_size_that_the_network_expects(records):
    for dataset in ("lsp", "mpi_inf_3dhp"):
        people = read_people(records, dataset, "train")
        seen = [person["keypoints2d_px"][person["visibility"] > 0] for person in people]
        diagonals = [np.linalg.norm(np.ptp(points, axis=0)) for points in seen]
        assert 110 < np.median(diagonals) < 160


def test_bodies_are_finite_and_of_two_sets(records):
    for name in ("mocap_cmu", "mocap_posePrior"):
        poses, shapes = read_bodies(records, name)
        assert np.isfinite(poses).all() and np.ptp(poses, axis=0)[3:66].max() > 0.3
        assert np.abs(shapes).max() < 6
