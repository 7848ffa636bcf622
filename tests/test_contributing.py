"""CONTRIBUTING is true: its steps, followed in a copy of the repository, are all that is needed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hmr.data.pipeline import find_record_sets
from tests.helpers.converting import write_picture

ROOT = Path(__file__).parents[1]
COPIED = (
    *("src", "tfrecords_tools", "tests", "benchmarks", "deploy", "docs"),
    "tools",
    *("Makefile", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "pyproject.toml", "setup.py"),
    "requirements.lock",
)
DATASET, LOSS, BACKBONE, EXPERIMENT = "walkers", "bones", "patches", "walking"
NUM_PICTURES = 6

CONVERTER_MODULE = '''"""Walkers: made pictures of one person each.

`labels.npz` holds `joints` (N, 14, 2), x, y in px of the LSP joints in picture NNNN.png; and
`joints3d` (N, 14, 3), m.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hmr.body.joints import LSP14
from hmr.data.schema import person_to_example
from hmr.errors import run_verb
from tfrecords_tools.common.cli import Converter, plan_splits, run_converter
from tfrecords_tools.common.jobs import ItemByItem, Job, Plan, SampleError, chunks, fingerprint
from tfrecords_tools.common.pictures import reorder, whole_person

NAME = "walkers"


def convert(item: tuple) -> Iterator[bytes]:
    """The record of a picture's one person."""
    path, joints, joints3d = item
    if not np.isfinite(joints3d).all():
        raise SampleError("joints that are not finite", path.name)
    labels = reorder(np.column_stack([joints, np.ones(len(LSP14))]), LSP14, path.name)
    person = replace(whole_person(path, labels, NAME), joints3d_lsp_m=joints3d)
    yield person_to_example(person)


def plan(args: argparse.Namespace) -> Plan:
    """One job: all pictures are for training."""
    plan_splits(args, CONVERTER)
    file = args.input / "labels.npz"
    labels = np.load(file, allow_pickle=False)
    paths = [args.input / f"{index:04d}.png" for index in range(len(labels["joints"]))]
    items = list(zip(paths, labels["joints"], labels["joints3d"], strict=True))
    source = fingerprint([file])
    job = Job(
        NAME, "train", chunks(items), ItemByItem(convert), len(items), source_fingerprint=source
    )
    return Plan([job])


CONVERTER = Converter(
    name=NAME, about=f"{__doc__}Layout:\\n  0000.png ..., labels.npz", plan=plan, splits=("train",)
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
'''
CONVERTER_TEST = '''"""Walkers: labels as they are, broken ones left out."""

import numpy as np

from tests.helpers.converting import manifest_of, read_people, run, write_picture
from tfrecords_tools.walkers import CONVERTER


def test_labels(tmp_path):
    joints = np.stack([5.0 + 3 * np.arange(14), 8.0 + 2 * np.arange(14)], axis=1)
    joints3d = np.zeros((2, 14, 3))
    joints3d[1, 0, 0] = np.nan
    for index in range(2):
        write_picture(tmp_path / f"{index:04d}.png", 60, 50)
    np.savez(tmp_path / "labels.npz", joints=np.stack([joints, joints]), joints3d=joints3d)
    run(CONVERTER, tmp_path, tmp_path / "out")
    (person,) = read_people(tmp_path / "out", "walkers", "train")
    np.testing.assert_array_equal(person["keypoints2d_px"][:14], joints)
    dropped = manifest_of(tmp_path / "out", "walkers", "train").dropped
    assert dropped == {"joints that are not finite": 1}
'''
LOSS_FUNCTION = '''def bone_length_loss(
    predicted: Tensor, target: Tensor, weights: Tensor, count: Tensor | None = None
) -> Tensor:
    """Squared difference of the shins' lengths (B, 2) of joints (B, 14, 3) in metres."""

    def lengths(joints: Tensor) -> Tensor:
        shins = ops.stack([joints[:, 0] - joints[:, 1], joints[:, 5] - joints[:, 4]], axis=1)
        return ops.sqrt(ops.sum(ops.square(shins), axis=-1) + 1e-12)

    return weighted_squared_loss(lengths(predicted), lengths(target), weights, count)


def _bones(outputs: Outputs, batch: Batch, count: Tensor) -> Tensor:
    lsp14 = outputs["joints3d"][:, : len(LSP14)]
    return bone_length_loss(lsp14, batch["joints3d_lsp_m"], batch["has_joints3d"], count)


'''
LOSS_TEST = """

def test_bone_lengths_by_hand():
    from hmr.training.losses import bone_length_loss

    target, predicted = np.zeros((1, 14, 3), np.float32), np.zeros((1, 14, 3), np.float32)
    target[0, 0, 0], predicted[0, 0, 1] = 2.0, 3.0
    loss = bone_length_loss(tf.constant(predicted), tf.constant(target), tf.ones(1))
    assert float(loss) == pytest.approx(0.5 * 1.0**2 / 2, rel=1e-4)
"""
BACKBONE_FUNCTION = '''def patches(input_size: int) -> keras.Model:
    """Attention between patches of 8 x 8 px: images (B, S, S, 3) to features (B, 32)."""
    images = keras.Input((input_size, input_size, 3), name="images")
    net = layers.Conv2D(32, 8, 8, name="embed")(images)  # (B, S/8, S/8, 32)
    net = layers.Reshape((-1, 32), name="tokens")(net)  # (B, N, 32)
    attended = layers.MultiHeadAttention(2, 16, name="attention")(net, net)
    net = layers.LayerNormalization(name="norm")(layers.Add(name="add")([net, attended]))
    features = layers.GlobalAveragePooling1D(name="pool")(net)  # (B, 32)
    return keras.Model(images, features, name="encoder")


'''
EXPERIMENT_MODULE = '''"""One step on the walkers, with the loss of bones and the patches."""

from ml_collections import ConfigDict

from hmr.configs.from_scratch import get_config as from_scratch_config


def get_config() -> ConfigDict:
    """The fields of from_scratch in tiny."""
    config = from_scratch_config()
    config.model.encoder = "patches"
    config.model.input_size = 32
    config.model.hidden_units = 16
    config.model.discriminator_units = 8
    config.data.train = ConfigDict({"walkers": 1.0})
    config.data.mocap = ConfigDict({"mocap_cmu": 1.0})
    config.loss.bones = 1.0
    config.train.batch_size = 4
    config.train.epochs = 0.5
    config.train.log_every_steps = 1
    config.validation.dataset = ""
    return config
'''


def insert(path: Path, text: str, *, before: str = "", behind: str = "") -> None:
    """Inserts a text at the only place where the other text is."""
    content = path.read_text()
    assert content.count(before or behind) == 1, f"{path} has no single {before or behind!r}"
    place = content.index(before) if before else content.index(behind) + len(behind)
    path.write_text(content[:place] + text + content[place:])


def add_dataset(copy: Path) -> None:
    (copy / "tfrecords_tools/walkers.py").write_text(CONVERTER_MODULE)
    row = '    Dataset("walkers", "walkers"),\n'
    insert(copy / "src/hmr/data/datasets.py", row, behind='Dataset("mpii", "mpii"),\n')
    (copy / "tests/tfrecords_tools/test_walkers.py").write_text(CONVERTER_TEST)
    page, before = copy / "docs/datasets.md", "| `COCO` | keypoints"
    insert(page, "| `WALKERS` | made pictures | train | 6 |\n", before=before)
    insert(copy / "docs/licences.md", "| walkers | free | no |\n", before="| LSP, LSP-extended |")


def add_loss(copy: Path) -> None:
    module = copy / "src/hmr/training/losses.py"
    insert(module, LOSS_FUNCTION, before="# Name, as in `LossWeights`")
    row = '    "bones": SupervisedLoss(lambda batch: batch["has_joints3d"], _bones),\n'
    insert(module, row, behind="SUPERVISED = {\n")
    field, behind = "    bones: float = 0.0\n", "    adversarial: float = 1.0\n"
    insert(copy / "src/hmr/settings.py", field, behind=behind)
    with (copy / "tests/training/test_losses.py").open("a") as file:
        file.write(LOSS_TEST)


def add_backbone(copy: Path) -> None:
    module = copy / "src/hmr/network/encoders.py"
    insert(module, BACKBONE_FUNCTION, before="# Name -> function of the input size S")
    row = '    "patches": patches,\n'
    insert(module, row, behind="ENCODERS: dict[str, Callable[[int], keras.Model]] = {\n")
    case = '    EncoderCase("patches", input_size=32, num_features=32, num_params=10_464),\n'
    insert(copy / "tests/network/test_encoders.py", case, behind="CASES = [\n")


def add_experiment(copy: Path) -> None:
    (copy / "src/hmr/configs/walking.py").write_text(EXPERIMENT_MODULE)


# Section of CONTRIBUTING -> who follows its steps, and the NAME that they choose.
SECTIONS = {
    "dataset": (add_dataset, DATASET),
    "loss": (add_loss, LOSS),
    "backbone": (add_backbone, BACKBONE),
    "experiment": (add_experiment, EXPERIMENT),
}


def section_files(kind: str) -> set[str]:
    """The files with which the steps of "How to add a ..." begin."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    section = re.search(rf"^## How to add an? {kind}\n(.*?)(?=^## )", page, re.M | re.S)[1]
    steps = re.findall(r"^\d+\. (.*)$", section, re.MULTILINE)
    files = [re.match(r"`([\w./]+)`", step) for step in steps]
    assert steps and all(files), f"a step of {kind} begins with no file: {steps}"
    return {file[1] for file in files}


def contents(folder: Path) -> dict[str, bytes]:
    files = (
        path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in str(path)
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def copy_repository(target: Path) -> Path:
    target.mkdir()
    (target / "models").symlink_to(ROOT / "models")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pkl", "release_*.zip")
            shutil.copytree(source, target / name, ignore=ignored)
        else:
            shutil.copy(source, target / name)
    return target


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> tuple[Path, dict[str, set[str]]]:
    """A copy of the repository in which the steps have been followed, and what each kind edited."""
    copy = copy_repository(tmp_path_factory.mktemp("contributing") / "copy")
    edited, before = {}, contents(copy)
    for kind, (follow, _) in SECTIONS.items():
        follow(copy)
        after = contents(copy)
        edited[kind] = {path for path, content in after.items() if before.get(path) != content}
        before = after
    return copy, edited


@pytest.fixture
def extended(followed) -> Path:
    """The copy in which the steps have been followed."""
    return followed[0]


def run(copy: Path, *command: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{copy / 'src'}:{copy}"}
    finished = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout[-3000:] + finished.stderr[-3000:]
    return finished.stdout


@pytest.mark.slow
@pytest.mark.parametrize("kind", SECTIONS)
def test_the_steps_name_the_files_that_are_edited(kind, followed):
    _, name = SECTIONS[kind]
    assert followed[1][kind] == {path.replace("NAME", name) for path in section_files(kind)}


@pytest.mark.slow
def test_a_training_step_with_all_of_it(extended, records_root, body_path, tmp_path, rng):
    raw, records = tmp_path / "raw", tmp_path / "records"
    raw.mkdir()
    for index in range(NUM_PICTURES):
        write_picture(raw / f"{index:04d}.png", 240, 200)
    np.savez(
        raw / "labels.npz",
        joints=rng.uniform(30, 170, (NUM_PICTURES, 14, 2)),
        joints3d=0.3 * rng.standard_normal((NUM_PICTURES, 14, 3)),
    )
    # Without the prerequisite: make would install a Python environment for the copy.
    make = ("make", "tfrecords", f"PY={sys.executable}", "INSTALLED=", f"OUT={records}")
    printed = run(extended, *make, f"WALKERS={raw}", "FLAGS=--workers 0")
    assert re.search(r"^walkers +train +6 ", printed, re.MULTILINE)
    (record_set,) = find_record_sets(records, {DATASET: 1.0})
    assert (record_set.examples, record_set.has_3d) == (NUM_PICTURES, True)

    shutil.copytree(records_root / "mocap_cmu", records / "mocap_cmu")
    flags = (f"--config.data.root={records}", f"--config.model.body={body_path}")
    command = (sys.executable, "-m", "src.main", "--config", EXPERIMENT, *flags)
    run(extended, *command, "--workdir", str(tmp_path / "run"))
    summary = json.loads((tmp_path / "run/training.json").read_text())
    assert (summary["steps"], summary["train_images"]) == (1, NUM_PICTURES)
    (logged,) = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert json.loads(logged)[f"loss/{LOSS}"] > 0
    assert json.loads(logged)[f"supervised/{LOSS}"] == 4
    assert json.loads((tmp_path / "run/model/model.json").read_text())["encoder"] == BACKBONE


@pytest.mark.slow
def test_the_tests_of_the_copy_pass(extended):
    """Those that the steps add or ask for, of one start."""
    files = (
        *("tests/tfrecords_tools/test_walkers.py", "tests/test_repository.py"),
        *("tests/test_pages.py", "tests/tfrecords_tools/test_main.py"),
        *("tests/training/test_losses.py", "tests/network/test_encoders.py"),
    )
    some = "(not test_main or walkers or given) and (not test_encoders or patches or case)"
    options = ("-q", "-p", "no:cacheprovider", "-k", some)
    printed = run(extended, sys.executable, "-m", "pytest", *options, *files)
    assert "passed" in printed
