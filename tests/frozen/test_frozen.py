"""What earlier releases saved opens for ever, and a new setting breaks none of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from hmr.configs.from_scratch import get_config
from hmr.data.pipeline import find_record_sets
from hmr.data.records import check_shard
from hmr.data.shards import read_manifest
from hmr.errors import UserError
from hmr.network.checkpoint import load_model
from hmr.prediction.writers.numbers import load_result
from hmr.training.recipe import run
from hmr.training.start import load_start

ROOT = Path(__file__).parents[2]
ARCHIVES = sorted(Path(__file__).parent.glob("release_*.zip"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.stem)
def saved(request, tmp_path, monkeypatch, body_path) -> Path:
    """An unpacked release in the working directory, with the body that it was made with."""
    with zipfile.ZipFile(request.param) as archive:
        archive.extractall(tmp_path)
    (tmp_path / "made_body.npz").symlink_to(body_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _config_of(saved: Path):
    """The configuration that the training was started with."""
    stored = json.loads((saved / "run" / "config.json").read_text())
    stored.pop("version", None)
    config = get_config()
    for section in ("train", "mocap"):
        config.data[section] = stored["data"].pop(section)
    config.update(stored)
    return config


def test_a_training_resumes(saved):
    before = (saved / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in before] == [1, 2, 3]
    assert run(_config_of(saved), saved / "run")["steps"] == 6
    after = (saved / "run" / "metrics.jsonl").read_text().splitlines()
    assert after[:3] == before
    assert [json.loads(line)["step"] for line in after] == [1, 2, 3, 4, 5, 6]


def _edit_config(saved, edit) -> None:
    path = saved / "run" / "config.json"
    fields = json.loads(path.read_text())
    edit(fields)
    path.write_text(json.dumps(fields))


def test_a_field_that_a_training_lacks_has_its_default(saved):
    config = _config_of(saved)
    _edit_config(saved, lambda fields: fields["loss"].pop("adversarial"))
    config.loss.adversarial = 1.0  # the default
    config.train.epochs = 3.0
    with pytest.raises(UserError, match=r"train.epochs = 2.0, this run has 3.0"):
        run(config, saved / "run")
    config.loss.adversarial = 0.5
    with pytest.raises(UserError, match=r"loss.adversarial = 1.0, this run has 0.5"):
        run(config, saved / "run")


def test_a_field_that_a_later_release_added_is_named(saved):
    config = _config_of(saved)
    _edit_config(saved, lambda fields: fields["loss"].update(silhouette=0.0))
    with pytest.raises(UserError, match=r"config.json: config.loss: unknown field silhouette"):
        run(config, saved / "run")
    _edit_config(saved, lambda fields: fields.update(version=99))
    with pytest.raises(UserError, match=r"config.json has version 99, expected at most 1"):
        run(config, saved / "run")


def test_records_and_manifests_are_read(saved):
    lsp, three_d = find_record_sets("records", {"lsp": 1.0, "mpi_inf_3dhp": 1.0})
    assert (lsp.examples, three_d.examples) == (6, 6)
    assert (lsp.has_3d, three_d.has_3d) == (False, True)
    assert [check_shard(path) for path in (*lsp.paths, *three_d.paths)] == [6, 6]
    assert check_shard("records/mocap_cmu/train_00000.tfrecord") == 20
    assert read_manifest("records", "lsp", "train").dropped == {"no labelled keypoint": 1}


def test_a_model_folder_and_a_converted_trainings_start_open(saved):
    model = load_model("model_folder")
    assert (model.input_size, model.regressor.fc1.units) == (32, 32)
    kernel = np.asarray(model.regressor.fc1.kernel)
    np.testing.assert_allclose(kernel, 0.01, rtol=1e-3)  # stored in half precision
    start = load_start(saved / "model_folder")
    assert (start.step, start.encoder_adam.steps) == (5, 5)
    assert start.discriminator["conv1/kernel"].shape == (9, 32)


def test_a_prediction_is_read(saved):
    result = load_result("predictions/photo.npz")
    (body,) = result.bodies
    assert body.vertices_m.shape == (6890, 3) and np.isfinite(body.vertices_m).all()


def test_an_export_answers_with_the_same_keys(saved):
    served = tf.saved_model.load("export/1")
    answers = served.signatures["from_crops"](crops=tf.zeros((1, 32, 32, 3)))
    keys = {"camera", "pose", "beta", "theta", "joints3d", "keypoints2d", "vertices"}
    assert keys <= set(answers)
    described = json.loads(Path("export/1/assets.extra/export.json").read_text())
    assert described


@pytest.mark.slow
def test_a_new_setting_and_a_new_loss_break_no_model_and_no_training(saved):
    """In a copy of the package that has one field and one loss more."""
    copy = saved / "later" / "hmr"
    shutil.copytree(ROOT / "src" / "hmr", copy)
    _insert(copy / "settings.py", 'body: str = "models/smpl_neutral.npz"\n', "    neck: int = 0\n")
    _insert(copy / "settings.py", "adversarial: float = 1.0\n", "    bones: float = 0.0\n")
    row = '    "bones": SupervisedLoss(lambda batch: batch["visibility"], _keypoints2d),\n'
    _insert(copy / "training" / "losses.py", "SUPERVISED = {\n", row)
    script = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from tests.frozen.test_frozen import *
from tests.frozen.test_frozen import _config_of
from hmr.network.checkpoint import read_spec
from hmr.settings import ModelSpec
assert "neck" in ModelSpec.__dataclass_fields__
assert read_spec({str(ROOT / "models" / "demo_standin")!r}).neck == 0
assert load_model("model_folder").input_size == 32
assert run(_config_of(Path(".")), Path("run"))["steps"] == 6
assert '"loss/bones"' in Path("run/metrics.jsonl").read_text()
"""
    environment = {**os.environ, "PYTHONPATH": str(copy.parent)}
    finished = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr[-3000:]


def _insert(path: Path, behind: str, text: str) -> None:
    content = path.read_text()
    assert len(re.findall(re.escape(behind), content)) == 1, (path, behind)
    path.write_text(content.replace(behind, behind + text))
