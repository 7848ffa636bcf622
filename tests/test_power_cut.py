"""After a power cut nothing is lost that was reported as done, and nothing half written is used.

`CUTS=200` cuts the power 200 times in each; a tenth of the trainings goes on to its end.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from hmr.data.shards import count_by_shard
from hmr.network.checkpoint import load_model
from hmr.training.recipe import run
from hmr.training.state import CheckpointFolder, TrainingState
from tests.helpers.number_jobs import make_job
from tests.helpers.power_cut import power_cuts
from tfrecords_tools.common import writer
from tfrecords_tools.common.writer import Workers, write_job

CUTS = int(os.environ.get("CUTS", "5"))


def convert(root):
    with Workers(0) as workers:
        return write_job(make_job(), root, workers)


def files(root) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "mocap_test").glob("*")}


@pytest.mark.slow
def test_conversion(tmp_path, monkeypatch):
    done: list[int] = []
    monkeypatch.setattr(writer, "_count", lambda bar, result: done.append(result.examples))

    def convert_new(root):
        done.clear()
        convert(root)

    cuts = power_cuts(convert_new, tmp_path, CUTS, lambda: len(done))
    assert len(cuts) == CUTS
    print(f"{len(cuts)} cuts at {len({cut.moment for cut in cuts})} moments")
    for cut in cuts:
        folder = cut.root / "mocap_test"
        progress = folder / ".train_in_progress"
        if not (folder / "train_manifest.json").exists():
            kept = writer._finished(folder, progress, make_job())
            assert set(range(cut.reported)) <= set(kept)
        elif not progress.exists():
            count_by_shard(cut.root, "mocap_test", "train")  # and checks sizes and checksums
        convert(cut.root)
        assert files(cut.root) == files(tmp_path / "cut")


@pytest.mark.slow
def test_training(tiny_config, tmp_path, monkeypatch):
    tiny_config.train.checkpoint_every_steps, tiny_config.train.checkpoints_kept = 1, 1
    tiny_config.validation.dataset, tiny_config.validation.split = "mpi_inf_3dhp", "train"
    tiny_config.validation.limit, tiny_config.validation.every_steps = 8, 2
    saved: list[int] = []
    weights: dict[int, list[np.ndarray]] = {}
    states: list[TrainingState] = []
    save = TrainingState.save

    def save_and_note(state):
        save(state)
        weights[int(state.step)] = state.model.get_weights()
        saved.append(int(state.step))
        states.append(state)

    monkeypatch.setattr(TrainingState, "save", save_and_note)

    def train(root):
        saved.clear()
        run(tiny_config, root)

    cuts = power_cuts(train, tmp_path, CUTS, lambda: max(saved, default=0))
    assert len(cuts) == CUTS
    print(f"{len(cuts)} cuts at {len({cut.moment for cut in cuts})} moments")
    state = states[-1]
    state._keeps_position = False  # its iterator is closed
    for number, cut in enumerate(cuts):
        state._last = CheckpointFolder(cut.root / "checkpoints", kept=1)
        state._folders = [state._last]
        state.step.assign(0)
        step = state.restore()
        assert step >= cut.reported
        if step:
            for found, expected in zip(state.model.get_weights(), weights[step], strict=True):
                np.testing.assert_array_equal(found, expected)
        if number % 10 == 0:
            run(tiny_config, cut.root)
            finished = (load_model(root).get_weights() for root in (cut.root, tmp_path / "cut"))
            for found, expected in zip(*finished, strict=True):
                np.testing.assert_array_equal(found, expected)
