"""The same global batch gives the same update on one device, on two, and in three processes."""

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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hmr.errors import EXIT_INTERRUPTED, UserError
from hmr.network.build import build_model
from hmr.network.checkpoint import load_model
from hmr.settings import ModelSpec
from hmr.training import recipe
from hmr.training.devices import Devices, open_devices, read_cluster
from hmr.training.recipe import run
from tests.helpers import devices_run
from tests.helpers.network import Host, hosts

ROOT = Path(__file__).parents[2]
# Several processes build their graphs at once; a busy machine takes minutes.
pytestmark = pytest.mark.timeout(900)


# Its halves hold 2 and 3 samples with 3D labels, its thirds 2, 1 and 2.
BATCH = 12


@dataclass(frozen=True)
class Place:
    """Where a worker runs: its address, and the host of its own, if the system grants any."""

    address: str
    host: Host | None


@contextlib.contextmanager
def places(count):
    """Hosts of their own for `count` workers; ports of this one without network namespaces."""
    with contextlib.ExitStack() as stack:
        try:
            machines = stack.enter_context(hosts(count))
        except pytest.skip.Exception:
            yield [Place(f"localhost:{_free_port()}", None) for _ in range(count)]
        else:
            yield [Place(f"{host.address}:5000", host) for host in machines]


@pytest.fixture
def start(records_root, body_path):
    """Starts the process of one worker; whatever still runs after the test is killed."""
    with contextlib.ExitStack() as ended:

        def begin(strategy, workdir, cluster="", enter=(), steps=3, rate=1e-3):
            command = [*enter, sys.executable, "-m", "tests.helpers.devices_run", strategy, workdir]
            command += [records_root, body_path, steps, rate, BATCH, cluster]
            environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=ROOT,
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            ended.callback(process.kill)
            return process

        yield begin


@pytest.fixture
def start_all(start):
    """Starts a worker at each place."""

    def begin(where, workdir, **options):
        cluster = {"worker": [place.address for place in where]}
        tasks = [{"type": "worker", "index": index} for index in range(len(where))]
        settings = [json.dumps({"cluster": cluster, "task": task}) for task in tasks]
        enters = [place.host.enter if place.host else () for place in where]
        return [
            start("multi_worker", workdir, each, enter, **options)
            for each, enter in zip(settings, enters, strict=True)
        ]

    return begin


def _finish(*processes):
    for process in processes:
        _, printed = process.communicate(timeout=600)
        assert process.returncode == 0, printed[-3000:]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, records_root, body_path):
    """The working directory of a training on one device."""
    workdir = tmp_path_factory.mktemp("alone") / "run"
    inputs = map(str, (workdir, records_root, body_path, 3, 1e-3, BATCH))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "build_adam", recipe.build_adam)  # which `main` replaces
        devices_run.main("none", *inputs)
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
def test_two_devices_of_one_process(tmp_path, start, alone):
    _finish(start("mirrored", tmp_path / "run"))
    _assert_same(tmp_path / "run", alone)


@pytest.mark.slow
def test_three_processes_one_of_them_behind_a_slow_line(tmp_path, start_all, alone):
    with places(3) as where:
        if where[2].host:
            where[2].host.slow_down(megabits_per_s=50)
        _finish(*start_all(where, tmp_path / "run"))
    _assert_same(tmp_path / "run", alone)
    for worker in (1, 2):
        saved = (tmp_path / "run" / "checkpoints" / f"worker_{worker}").iterdir()
        assert "ckpt-3.index" in {path.name for path in saved}


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


@pytest.mark.slow
def test_signals_slow_hosts_and_lost_ones(tmp_path, start_all, records_root, body_path):
    """A signal to one stops all after the same step; the lost one is named; all is resumed."""
    workdir = tmp_path / "run"
    with places(3) as where:

        def begin():
            """Trains until five more steps are taken."""
            before = len(_steps_logged(workdir))
            # A rate at which so many steps do not diverge.
            processes = start_all(where, workdir, steps=5000, rate=1e-7)
            _wait_for_steps(workdir, before + 5, processes)
            return processes

        _check_stop(workdir, begin(), signalled=1)
        lost, *rest = processes = list(reversed(begin()))
        if where[1].host:
            # Of n workers each sends, in a ring, (n - 1) / n of every gradient twice.
            ratio = _sent_per_step(workdir, where[1].host, processes)
            ratio /= _gradients_bytes(records_root, body_path)
            print(f"each of three workers sends {ratio:.3f} bytes for each of the gradients'")
            assert 1.0 <= ratio / (2 * 2 / 3) < 1.3
        lost.send_signal(signal.SIGSTOP)
        time.sleep(5)
        reached = len(_steps_logged(workdir))
        lost.send_signal(signal.SIGCONT)
        _wait_for_steps(workdir, reached + 5, processes)
        lost.kill()
        killed = time.monotonic()
        for process in rest:
            _, printed = process.communicate(timeout=killed + 60 - time.monotonic())
            print(f"ended {time.monotonic() - killed:.1f} s after another was killed")
            assert process.returncode == 2, printed[-3000:]
            assert "another process of this training is gone" in printed
        lost.communicate()
        _check_stop(workdir, begin(), signalled=0)


def _check_stop(workdir, processes, signalled):
    """Signals one of three processes: all stop after the same step, with all before it logged."""
    processes[signalled].send_signal(signal.SIGTERM)
    printed = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [EXIT_INTERRUPTED] * 3, printed
    (stopped,) = {int(re.search(r"stopped after step (\d+)", text)[1]) for text in printed}
    for folder in ("checkpoints", "checkpoints/worker_1", "checkpoints/worker_2"):
        assert (workdir / folder / f"ckpt-{stopped}.index").is_file()
    assert _steps_logged(workdir) == list(range(1, stopped + 1))


def _sent_per_step(workdir, machine, processes, steps=20) -> float:
    """Bytes that leave a host for each step of a training that runs."""
    start, sent = len(_steps_logged(workdir)), machine.sent_bytes()
    _wait_for_steps(workdir, start + steps, processes)
    return (machine.sent_bytes() - sent) / (len(_steps_logged(workdir)) - start)


def _gradients_bytes(records_root, body_path) -> int:
    config = devices_run.make_config("none", str(records_root), str(body_path), 1, BATCH)
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
        {"cluster": {"worker": PAIR}, "task": {"type": "worker", "index": 1.5}},
        {"cluster": {"worker": PAIR}, "task": {"type": "worker", "index": True}},
        {"cluster": {"worker": PAIR}, "task": {"type": "worker", "index": math.inf}},
        {"cluster": {"worker": [",".join(PAIR)]}, "task": TASK},
        {"cluster": {"worker": ["first:second:5000"]}, "task": TASK},
        {"cluster": {"worker": ["First:5000", "first:5000"]}, "task": TASK},
        {"cluster": {"worker": {"0": "first:5000", "1": "second:5000"}}, "task": TASK},
        {"cluster": {"worker": PAIR, "chief": ["a:1", "b:1"]}, "task": TASK},
        {"cluster": {"worker": PAIR, "ps": ["third:5000"]}, "task": TASK},
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


@pytest.mark.parametrize(
    ("address", "family", "listens"),
    [
        ("", socket.AF_INET, True),
        ("127.0.0.1", socket.AF_INET, True),
        ("", socket.AF_INET, False),
        ("::", socket.AF_INET6, True),
        ("::1", socket.AF_INET6, True),
    ],
)
def test_a_port_that_is_taken_is_named(address, family, listens):
    with socket.socket(family) as taken:
        try:
            taken.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        if listens:
            taken.listen()
        port = taken.getsockname()[1]
        text = json.dumps({"cluster": {"worker": [f"here:{port}", "there:1"]}, "task": TASK})
        with pytest.raises(
            UserError, match=rf"port {port} of here:{port} .*in use\).*another port"
        ):
            read_cluster(text)


def test_a_port_that_was_used_a_moment_ago_is_free():
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("localhost", port)):
            server.accept()[0].close()  # this side closes first and waits for late packets
    read_cluster(json.dumps({"cluster": {"worker": [f"here:{port}", "there:1"]}, "task": TASK}))
