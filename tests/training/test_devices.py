"""The same global batch gives the same update on one device, on two, and in two processes."""

from __future__ import annotations

import contextlib
import json
import math
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
from hmr.network.build import build_model
from hmr.network.checkpoint import load_model
from hmr.settings import ModelSpec
from hmr.training.devices import Devices, open_devices, read_cluster
from hmr.training.recipe import run
from tests.helpers import devices_run
from tests.helpers.network import hosts

ROOT = Path(__file__).parents[2]
# Several processes build their graphs at once; a busy machine takes minutes.
pytestmark = pytest.mark.timeout(900)


def _start(
    strategy, workdir, records_root, body_path, *cluster, steps=3, rate=1e-3, batch=8, enter=()
):
    command = [*enter, sys.executable, "-m", "tests.helpers.devices_run", strategy, workdir]
    command += [records_root, body_path, steps, rate, batch, *cluster]
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
    places = [(f"localhost:{_free_port()}", ()) for _ in range(2)]
    return _start_all(places, workdir, records_root, body_path, **options)


def _start_all(places, *inputs, **options):
    """A worker at each (address, what enters its host)."""
    cluster = {"worker": [address for address, _ in places]}
    tasks = [{"type": "worker", "index": index} for index in range(len(places))]
    return [
        _start(
            "multi_worker",
            *inputs,
            json.dumps({"cluster": cluster, "task": task}),
            enter=enter,
            **options,
        )
        for task, (_, enter) in zip(tasks, places, strict=True)
    ]


def _places(machines):
    return [(f"{host.address}:5000", host.enter) for host in machines]


@pytest.mark.slow
def test_three_hosts(tmp_path, records_root, body_path):
    inputs = (records_root, body_path)
    with hosts(3) as machines:
        _finish(*_start_all(_places(machines), tmp_path / "run", *inputs, batch=12))
    _finish(_start("none", tmp_path / "alone", *inputs, batch=12))
    _assert_same(tmp_path / "run", tmp_path / "alone")


@pytest.mark.slow
def test_a_slow_host_is_waited_for_and_a_lost_one_is_named(tmp_path, records_root, body_path):
    workdir, options = tmp_path / "run", {"steps": 5000, "rate": 1e-7}
    gradients = _gradients_bytes(records_root, body_path)
    with hosts(2) as machines, contextlib.ExitStack() as ended:

        def begin():
            started = _start_all(_places(machines), workdir, records_root, body_path, **options)
            for process in started:
                ended.callback(process.kill)
            return started

        first, second = processes = begin()
        _wait_for_steps(workdir, 5, processes)
        # Of two workers each sends, in a ring, every gradient once.
        ratio = _sent_per_step(workdir, machines[1], processes) / gradients

        assert 1.0 <= ratio < 1.3
        second.send_signal(signal.SIGSTOP)
        time.sleep(5)
        reached = len(_steps_logged(workdir))
        second.send_signal(signal.SIGCONT)
        _wait_for_steps(workdir, reached + 5, processes)
        second.kill()
        _, printed = first.communicate(timeout=60)
        assert first.returncode == 2 and "another process of this training is gone" in printed, (
            printed[-3000:]
        )
        second.communicate()
        before = _steps_logged(workdir)[-1]
        processes = begin()
        _wait_for_steps(workdir, before + 5, processes)
        processes[0].send_signal(signal.SIGTERM)
        printed = [process.communicate(timeout=300)[1] for process in processes]
        assert [process.returncode for process in processes] == [EXIT_INTERRUPTED] * 2, printed
    (stopped,) = {int(re.search(r"stopped after step (\d+)", text)[1]) for text in printed}
    assert _steps_logged(workdir) == list(range(1, stopped + 1))


def _sent_per_step(workdir, machine, processes, steps=20) -> float:
    """Bytes that leave a host for each step of a training that runs."""
    start, sent = len(_steps_logged(workdir)), machine.sent_bytes()
    _wait_for_steps(workdir, start + steps, processes)
    return (machine.sent_bytes() - sent) / (len(_steps_logged(workdir)) - start)


def _gradients_bytes(records_root, body_path) -> int:
    config = devices_run.make_config("none", str(records_root), str(body_path), 1, 8)
    model = build_model(ModelSpec(**config.model), with_discriminator=True)
    trained = [*model.encoder_variables, *model.discriminator.trainable_variables]
    return sum(4 * math.prod(variable.shape) for variable in trained)


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


PAIR = ["first:5000", "second:5001"]
TASK = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {"task": TASK},
        {"cluster": {"worker": PAIR}},
        {"cluster": PAIR, "task": TASK},
        {"cluster": {"worker": "first:5000"}, "task": TASK},
        {"cluster": {"worker": [5000, 5001]}, "task": TASK},
        {"cluster": {"worker": ["first", "second:5000"]}, "task": TASK},
        {"cluster": {"worker": ["first:http", "second:5000"]}, "task": TASK},
        {"cluster": {"worker": ["first:0", "second:5000"]}, "task": TASK},
        {"cluster": {"worker": [":5000", "second:5000"]}, "task": TASK},
        {"cluster": {"worker": ["http://first:5000", "second:5000"]}, "task": TASK},
        {"cluster": {"worker": ["first: 5000", "second:5000"]}, "task": TASK},
        {"cluster": {"worker": []}, "task": TASK},
        {"cluster": {"worker": ["first:5000", "first:5000"]}, "task": TASK},
        {"cluster": {"worker": PAIR}, "task": {"type": "worker", "index": 2}},
        {"cluster": {"worker": PAIR}, "task": {"type": "worker", "index": -1}},
        {"cluster": {"worker": PAIR}, "task": {"type": "worker", "index": "one"}},
        {"cluster": {"worker": PAIR}, "task": {"type": "chief", "index": 0}},
        {"cluster": {"worker": PAIR, "ps": PAIR}, "task": {"type": "ps", "index": 0}},
        {"cluster": {"worker": PAIR}, "task": {"index": 0}},
    ],
    ids=str,
)
def test_a_wrong_cluster_is_refused_in_one_line(config):
    text = json.dumps(config) if config is not None else ""
    with pytest.raises(UserError, match="TF_CONFIG must name different addresses") as refused:
        read_cluster(text)
    assert str(refused.value).endswith(f"Received: {text or 'nothing'}.")
    with pytest.raises(UserError, match=r"Received: \{cluster"):
        read_cluster("{cluster")


def test_a_cluster_names_all_addresses_and_ones_own():
    port = _free_port()
    cluster = {"chief": ["first:5000"], "worker": ["second:5000", f"third:{port}"]}
    task = {"type": "worker", "index": "1"}
    text = json.dumps({"cluster": cluster, "task": task})
    assert read_cluster(text) == (
        ["first:5000", "second:5000", f"third:{port}"],
        f"third:{port}",
    )


def test_a_port_that_is_taken_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        text = json.dumps({"cluster": {"worker": [f"here:{port}", "there:1"]}, "task": TASK})
        with pytest.raises(UserError, match=f"port {port} of here:{port} .*in use.*another port"):
            read_cluster(text)
