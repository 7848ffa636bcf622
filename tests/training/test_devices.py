"""The same global batch gives the same update on one device, on two, and in two processes."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hmr.errors import EXIT_INTERRUPTED, UserError
from hmr.network.checkpoint import load_model
from hmr.training.devices import Devices, open_devices
from hmr.training.recipe import run

ROOT = Path(__file__).parents[2]
# Several processes build their graphs at once; a busy machine takes minutes.
pytestmark = pytest.mark.timeout(900)


def _start(strategy, workdir, records_root, body_path, *cluster, steps=3, rate=1e-3):
    command = [sys.executable, "-m", "tests.helpers.devices_run", strategy, workdir]
    command += [records_root, body_path, steps, rate, *cluster]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )


def _finish(*processes):
    for process in processes:
        _, printed = process.communicate(timeout=600)
        assert process.returncode == 0, printed[-3000:]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, records_root, body_path):
    """The working directory of a training on one device."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    _finish(_start("none", workdir, records_root, body_path))
    return workdir


def _result(workdir):
    model = load_model(workdir)
    weights = [*model.encoder.get_weights(), *model.regressor.get_weights()]
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    return weights, [json.loads(line) for line in lines]


def _assert_same(workdir, reference):
    (weights, logged), (expected, wanted) = _result(workdir), _result(reference)
    assert [entry["step"] for entry in logged] == [1, 2, 3]
    for entry, other in zip(logged, wanted, strict=True):
        for name in other:
            if name.startswith(("loss", "weighted", "supervised", "discriminator", "real", "fake")):
                assert entry[name] == pytest.approx(other[name], rel=5e-4, abs=1e-5), name
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.slow
def test_two_devices_of_one_process(tmp_path, records_root, body_path, alone):
    _finish(_start("mirrored", tmp_path / "run", records_root, body_path))
    _assert_same(tmp_path / "run", alone)


@pytest.mark.slow
def test_two_processes(tmp_path, records_root, body_path, alone):
    _finish(*_start_two(tmp_path / "run", records_root, body_path))
    _assert_same(tmp_path / "run", alone)
    saved = {path.name for path in (tmp_path / "run" / "checkpoints" / "worker_1").iterdir()}
    assert "ckpt-3.index" in saved


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_after_the_same_step(tmp_path, records_root, body_path):
    workdir, stops = tmp_path / "run", []
    for signalled in (1, 0):
        # A rate at which so many steps do not diverge.
        processes = _start_two(workdir, records_root, body_path, steps=5000, rate=1e-7)
        _wait_for_steps(workdir, len(_steps_logged(workdir)) + 5, processes)
        processes[signalled].send_signal(signal.SIGTERM)
        printed = [process.communicate(timeout=300)[1] for process in processes]
        assert [process.returncode for process in processes] == [EXIT_INTERRUPTED] * 2, printed
        (stopped,) = {int(re.search(r"stopped after step (\d+)", text)[1]) for text in printed}
        for folder in ("checkpoints", "checkpoints/worker_1"):
            assert (workdir / folder / f"ckpt-{stopped}.index").is_file()
        stops.append(stopped)
    assert 5 <= stops[0] < stops[1]
    assert _steps_logged(workdir) == list(range(1, stops[1] + 1))


def _steps_logged(workdir) -> list[int]:
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line)["step"] for line in lines if line.endswith("}")]


def _wait_for_steps(workdir, count, processes, seconds=300.0):
    end = time.monotonic() + seconds
    while len(_steps_logged(workdir)) < count:
        ended = [process.stderr.read() for process in processes if process.poll() is not None]
        assert not ended and time.monotonic() < end, ended
        time.sleep(0.2)


def _start_two(workdir, records_root, body_path, **options):
    addresses = [f"localhost:{_free_port()}" for _ in range(2)]
    return [
        _start(
            "multi_worker",
            workdir,
            records_root,
            body_path,
            json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            ),
            **options,
        )
        for index in range(2)
    ]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UserError, match=r"none, mirrored, multi_worker. Received: 'tpu'"):
        open_devices("tpu", 4)


def test_a_batch_that_does_not_divide_is_refused(tiny_config, tmp_path, monkeypatch):
    devices = Devices()
    devices.replicas = 3
    monkeypatch.setattr("hmr.training.devices.Devices", lambda strategy: devices)
    with pytest.raises(UserError, match=r"multiple of the 3 devices.* Received: 4"):
        run(tiny_config, tmp_path / "run")
