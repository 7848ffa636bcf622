"""Behind `open_batches` nothing samples any more, so that a process can end."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from hmr.data.pipeline import find_record_sets, open_batches, training_dataset
from hmr.geometry.crop_train import BatchSampler
from hmr.settings import DataSettings
from tests.conftest import MOCAP_SETS

LAYOUT = {"input_size": 32, "batch_size": 6, "real_bodies": 9, "seed": 0}

SCRIPT = """
import time
from hmr.data.pipeline import find_record_sets, open_batches, training_dataset
from hmr.geometry.crop_train import BatchSampler
from hmr.settings import DataSettings

sample = BatchSampler.sample
def slow(*args):
    print("sampling", flush=True)
    time.sleep(0.5)
    return sample(*args)
BatchSampler.sample = slow
people, bodies = (find_record_sets({root!r}, {{name: 1.0}}) for name in ("lsp", {mocap!r}))
layout = dict(input_size=32, batch_size=6, real_bodies=9, seed=0)
with open_batches(training_dataset(people, bodies, DataSettings(), **layout)) as batches:
    next(batches)
    raise RuntimeError('end')
"""


@pytest.mark.slow
def test_a_process_ends_at_once_and_with_its_own_error(records_root):
    script = SCRIPT.format(root=str(records_root), mocap=MOCAP_SETS[0])
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "sampling" in finished.stdout and "RuntimeError: end" in finished.stderr
    assert finished.returncode == 1


def test_closing_ends_the_sampling(records_root, monkeypatch):
    calls, sample = [], BatchSampler.sample

    def noted(*arguments):
        calls.append("begun")
        images = sample(*arguments)
        calls.append("done")
        return images

    monkeypatch.setattr(BatchSampler, "sample", noted)
    people, bodies = (
        find_record_sets(records_root, {name: 1.0}) for name in ("lsp", MOCAP_SETS[0])
    )
    dataset = training_dataset(people, bodies, DataSettings(), **LAYOUT)
    with open_batches(dataset) as batches:
        next(batches)
    ended = len(calls)
    assert calls.count("begun") == calls.count("done") > 0
    time.sleep(0.2)
    assert len(calls) == ended
