"""What watches a training: validation, the best checkpoint, pictures and the journal."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hmr.body.joints import SMPL_JOINTS
from hmr.data.pipeline import find_record_sets
from hmr.errors import UserError
from hmr.evaluation.metrics import mpjpe
from hmr.evaluation.samples import predict_split
from hmr.network.checkpoint import load_model
from hmr.training.callbacks import TOOK, WAITED, Journal, ScalarLog
from hmr.training.recipe import run


@pytest.fixture
def watched(tiny_config):
    tiny_config.validation.dataset = "mpi_inf_3dhp"
    tiny_config.validation.split = "train"
    tiny_config.validation.limit = 8
    tiny_config.validation.every_steps = 4
    tiny_config.validation.pictures = 2
    tiny_config.validation.best_by = "mpjpe_mm"
    tiny_config.train.log_every_steps = 2
    return tiny_config


@pytest.mark.slow
def test_the_best_checkpoint_scores_what_was_logged(watched, tmp_path):
    run(watched, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").open()]
    scored = {line["step"]: line["validation/mpjpe_mm"] for line in lines if len(line) == 4}
    assert sorted(scored) == [4, 6]  # every fourth step, and the last
    best = min(scored, key=scored.get)
    paths = find_record_sets(watched.data.root, {"mpi_inf_3dhp": 1.0})[0].paths
    prediction, truth = predict_split(load_model(tmp_path / "run" / "best"), paths, 4, 8)
    error = 1000 * mpjpe(prediction.joints3d_lsp_m, truth.joints3d_lsp_m).mean()
    assert error == pytest.approx(scored[best], rel=1e-4)
    assert (tmp_path / "run" / "best" / f"ckpt-{best}.index").is_file()
    _check_events(tmp_path / "run" / "logs", lines)


def _check_events(folder, lines):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    pictures = events.Tensors("validation")
    assert [event.step for event in pictures] == [4, 6]
    width, height = (int(part) for part in pictures[0].tensor_proto.string_val[:2])
    assert (width, height) in {(7 * 224, 2 * 224), (3 * 224, 2 * 224)}
    tags = set(events.Tags()["tensors"])
    joints = {f"{side}_score/{name}" for side in ("real", "fake") for name in SMPL_JOINTS[1:]}
    norms = {f"gradient_norm/{part}" for part in ("encoder", "regressor", "discriminator")}
    speed = {"speed/images_per_s", "speed/waiting_share"}
    assert joints | norms | speed <= tags
    assert all(line[name] > 0 for line in lines if "loss" in line for name in norms)


def test_what_cannot_be_scored_is_refused(watched, tmp_path):
    watched.validation.dataset = "lsp"
    with pytest.raises(UserError, match=r"keypoint_error_px for lsp/train. Received: 'mpjpe_mm'"):
        run(watched, tmp_path / "run")


def test_a_missing_split_says_how_to_go_without(watched, tmp_path):
    watched.validation.split = "val"
    with pytest.raises(UserError, match=r"mpi_inf_3dhp.*--config.validation.dataset=''"):
        run(watched, tmp_path / "run")


def test_a_resumed_journal_drops_the_steps_that_are_taken_again(tmp_path):
    with Journal(tmp_path) as journal:
        for step in (10, 20, 30):
            journal.scalars(step, {"loss": 1.0 * step})
    with Journal(tmp_path, first_step=20) as journal:
        journal.scalars(30, {"loss": 5.0})
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert lines == [{"step": s, "loss": v} for s, v in ((10, 10.0), (20, 20.0), (30, 5.0))]


def test_speed_is_of_all_images_and_all_seconds(tmp_path):
    with Journal(tmp_path) as journal:
        log = ScalarLog(journal, every=2, batch_size=32)
        log.on_train_batch_end(0, {"loss": 1.0, WAITED: 0.5, TOOK: 1.0})
        log.on_train_batch_end(1, {"loss": 3.0, WAITED: 0.0, TOOK: 3.0})
    (line,) = [json.loads(line) for line in (tmp_path / "metrics.jsonl").open()]
    assert line["loss"] == 2.0
    assert line["speed/images_per_s"] == 16.0  # 64 images in 4 s
    assert line["speed/waiting_share"] == 0.125
    assert np.isfinite(list(line.values())).all()


def test_a_wrong_best_by_is_refused_before_the_working_directory_is_made(watched, tmp_path):
    watched.validation.best_by = "mpjpe"
    with pytest.raises(UserError, match=r"best_by must be one of mpjpe_mm, .* Received: 'mpjpe'"):
        run(watched, tmp_path / "run")
    assert not (tmp_path / "run").exists()
