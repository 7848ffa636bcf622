"""A process ends while a dataset that it reads is still preparing batches."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from hmr.data import sampling
from hmr.data.pipeline import PipelineSettings, find_record_sets, training_dataset
from tests.conftest import MOCAP_SETS

SCRIPT = """
import time
from hmr.data import sampling
from hmr.data.pipeline import PipelineSettings, find_record_sets, training_dataset

sample = sampling.BatchSampler.sample
def slow(*args):
    print("sampling", flush=True)
    time.sleep(0.5)
    return sample(*args)
sampling.BatchSampler.sample = slow
people, bodies = find_record_sets({root!r}, {{"lsp": 1.0}}), find_record_sets({root!r}, {{{mocap!r}: 1.0}})
batches = iter(training_dataset(people, bodies, PipelineSettings(32, 6, 9, seed=0)))
next(batches)
raise RuntimeError('end')
"""


@pytest.mark.slow
def test_it_ends_at_once_and_with_its_own_error(records_root):
    script = SCRIPT.format(root=str(records_root), mocap=MOCAP_SETS[0])
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "sampling" in finished.stdout and "RuntimeError: end" in finished.stderr
    assert finished.returncode == 1


def test_closing_ends_the_sampling_of_open_datasets(records_root, monkeypatch):
    calls, sample = [], sampling.BatchSampler.sample

    def noted(*arguments):
        calls.append("begun")
        images = sample(*arguments)
        calls.append("done")
        return images

    monkeypatch.setattr(sampling.BatchSampler, "sample", noted)
    people, bodies = (find_record_sets(records_root, {name: 1.0}) for name in ("lsp", MOCAP_SETS[0]))
    batches = iter(training_dataset(people, bodies, PipelineSettings(32, 6, 9, seed=0)))
    next(batches)
    sampling._close_datasets()
    ended = len(calls)
    assert calls.count("begun") == calls.count("done") > 0 and not vars(batches)
    time.sleep(0.2)
    assert len(calls) == ended
