"""Training as a user runs it: steps, resuming, contradictions and bad input."""

from __future__ import annotations

import json
import os
import shutil
import signal

import numpy as np
import pytest

from hmr.errors import UserError
from hmr.files.lock import only_one
from hmr.network.checkpoint import load_model
from hmr.training import recipe
from hmr.training.loop import Interrupted
from hmr.training.recipe import run
from tests.conftest import make_tiny_config


@pytest.fixture(scope="module")
def config_of_all(body_path, records_root):
    """What the tests share whose trainings need nothing special."""
    config = make_tiny_config(body_path, records_root)
    config.train.log_every_steps = config.train.checkpoint_every_steps = 2
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory, config_of_all):
    """The working directory of a training from its first step to its last, and its summary."""
    workdir = tmp_path_factory.mktemp("finished") / "run"
    return workdir, run(config_of_all, workdir)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory, config_of_all):
    """The working directory of the same training, stopped after its third step."""
    workdir = tmp_path_factory.mktemp("stopped") / "run"
    run_three_steps(config_of_all, workdir)
    return workdir


def _weights(workdir):
    model = load_model(workdir)
    return [*model.encoder.get_weights(), *model.regressor.get_weights()]


def test_training_leaves_model_logs_and_summary(finished):
    workdir, summary = finished
    assert summary["steps"] == 6  # half an epoch of 2 x 24 pictures in batches of 4
    assert summary["train_images"] == 48
    assert json.loads((workdir / "training.json").read_text()) == summary
    outputs = load_model(workdir)(np.zeros((2, 32, 32, 3), np.float32))
    assert outputs["theta"].shape == (2, 3, 85)


def test_resumed_training_equals_an_uninterrupted_one(finished, stopped, config_of_all, tmp_path):
    shutil.copytree(stopped, tmp_path / "parts")
    run(config_of_all, tmp_path / "parts")
    for whole, parts in zip(_weights(finished[0]), _weights(tmp_path / "parts"), strict=True):
        np.testing.assert_array_equal(whole, parts)


def run_three_steps(config, workdir):
    """Sends the process a Ctrl-C when the progress line reaches the third."""

    class Stopper(recipe.ProgressLine):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            if batch + 1 == 3:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(recipe, "ProgressLine", Stopper)
        run(config, workdir)


def test_a_configuration_that_contradicts_its_checkpoint_is_refused(finished, tiny_config):
    tiny_config.model.hidden_units = 48
    with pytest.raises(UserError, match=r"model.hidden_units = 32, this run has 48"):
        run(tiny_config, finished[0])


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_resumed_training_takes_a_lower_learning_rate(
    stopped, tiny_config, tmp_path, monkeypatch, schedule
):
    if schedule == tiny_config.optimizer.schedule:
        shutil.copytree(stopped, tmp_path / "run")
    else:
        tiny_config.optimizer.schedule = schedule
        run_three_steps(tiny_config, tmp_path / "run")
    tiny_config.optimizer.encoder_learning_rate = 1e-7
    seen = []

    def train(state, *_):
        seen.append((int(state.step), float(state.model.encoder_optimizer.learning_rate)))

    monkeypatch.setattr(recipe, "train", train)
    run(tiny_config, tmp_path / "run")
    ((step, rate),) = seen
    assert step == 3 and 0 < rate <= 1.01e-7


def test_a_dataset_without_records_is_named(tiny_config, tmp_path):
    tiny_config.data.train = {"coco": 1.0}
    with pytest.raises(UserError, match=r"coco.*python -m tfrecords_tools --coco "):
        run(tiny_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_body_is_named(tiny_config, tmp_path):
    tiny_config.model.body = str(tmp_path / "smpl_neutral.npz")
    with pytest.raises(UserError, match="No body model found"):
        run(tiny_config, tmp_path / "run")


def test_a_non_finite_loss_stops_with_step_and_batch(tiny_config, tmp_path):
    tiny_config.loss.keypoints2d = float("inf")
    with pytest.raises(UserError, match=r"step 1: .*weighted/keypoints2d is not finite"):
        run(tiny_config, tmp_path / "run")
    with np.load(tmp_path / "run" / "bad_batch_1.npz") as batch:
        assert batch["images"].shape == (4, 32, 32, 3)


def test_a_truncated_record_is_named(tiny_config, tmp_path, records_root):
    shard = tmp_path / "records" / "lsp" / "train_00000.tfrecord"
    shard.parent.mkdir(parents=True)
    shard.write_bytes((records_root / "lsp" / "train_00000.tfrecord").read_bytes()[:-100])
    for name in ("mpi_inf_3dhp", "mocap_cmu"):
        (tmp_path / "records" / name).symlink_to(records_root / name)
    tiny_config.data.root = str(tmp_path / "records")
    with pytest.raises(UserError, match=r"record 23 of .*lsp.*truncated"):
        run(tiny_config, tmp_path / "run")


def test_terms_without_samples_are_not_logged(finished):
    lines = (finished[0] / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3
    entry = json.loads(lines[-1])
    assert entry["supervised/smpl"] == 0 and "loss/smpl" not in entry
    assert entry["supervised/joints3d"] == 2  # half of each batch carries 3D labels
    assert {"discriminator/real_score", "discriminator/fake_score"} <= set(entry)


def _states(workdir):
    return sorted(int(path.stem[5:]) for path in (workdir / "checkpoints").glob("ckpt-*.index"))


def test_damaged_checkpoints_are_passed_over_and_never_a_fresh_start(
    finished, config_of_all, tmp_path, caplog
):
    shutil.copytree(finished[0], tmp_path / "run")
    logged = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert _states(tmp_path / "run") == [2, 4, 6]
    newest = tmp_path / "run" / "checkpoints" / "ckpt-6.data-00000-of-00001"
    newest.write_bytes(newest.read_bytes()[:1000])
    (tmp_path / "run" / "config.json").write_text("")
    with (tmp_path / "run" / "metrics.jsonl").open("ab") as table:
        table.write(b'{"step": "6"}\n{"step": 6, "lo\xff')
    run(config_of_all, tmp_path / "run")
    assert "step 6" in caplog.text and "is damaged" in caplog.text
    assert "config.json is empty or cut off" in caplog.text
    assert json.loads((tmp_path / "run" / "config.json").read_text())["seed"] == 0
    again = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert again[:2] == logged.splitlines()[:2]  # up to step 4
    for index in (tmp_path / "run" / "checkpoints").glob("*.index"):
        index.write_bytes(b"")
    with pytest.raises(UserError, match=r"none of the 3 checkpoints .* can be read"):
        run(config_of_all, tmp_path / "run")
    for index in (tmp_path / "run" / "checkpoints").glob("*.index"):
        index.unlink()
    with pytest.raises(UserError, match="without their index: 3; none can be read"):
        run(config_of_all, tmp_path / "run")


def test_a_second_training_in_the_same_folder_is_refused(tiny_config, tmp_path, monkeypatch):
    refused = pytest.raises(UserError, match=rf"a training in .*run is under way .*{os.getpid()}")
    with only_one(tmp_path / "run" / ".lock", "a test"), refused:
        run(tiny_config, tmp_path / "run")
    steps = []
    monkeypatch.setattr(recipe, "train", lambda *_: steps.append("taken"))
    run(tiny_config, tmp_path / "run")
    assert steps == ["taken"]
