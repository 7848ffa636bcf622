"""The verb that prepares batches on other machines, and a training that is left alone by it."""

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tensorflow as tf

from hmr.cli import data_service
from hmr.data.pipeline import ServedBatches, open_batches
from hmr.errors import UserError

ROOT = Path(__file__).parents[2]
FAMILIES = [socket.AF_INET, socket.AF_INET6][: 1 + socket.has_dualstack_ipv6()]


@pytest.mark.parametrize("flags", [["--port", "0"], ["--port", "70000"]])
def test_a_port_is_a_number(flags):
    with pytest.raises(UserError, match=r"--port is a number from 1 to 65535. Received: \d"):
        data_service.main(flags)


@pytest.mark.parametrize(
    "address", ["first", ":5050", "first:", "first:http", "first:70000", "grpc://first:1"]
)
def test_a_dispatcher_is_a_host_and_a_port(address):
    with pytest.raises(UserError, match="--dispatcher is HOST:PORT"):
        data_service.main(["--dispatcher", address])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_port_that_is_taken_is_not_shared(family):
    with socket.create_server(("", 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port:{port} .*--port {port + 1}"):
            data_service.main(["--port", str(port)])


def test_a_worker_without_dispatcher_says_what_it_looked_for(monkeypatch):
    monkeypatch.setattr(data_service, "PATIENCE_S", 0.1)
    with socket.create_server(("localhost", 0)) as closed:
        address = f"localhost:{closed.getsockname()[1]}"
    with pytest.raises(UserError, match=f"nothing answers at {address}.*src.data_service"):
        data_service.main(["--dispatcher", address])


def test_batches_that_do_not_come_end_the_wait():
    nothing = threading.Event()
    silent = (nothing.wait() for _ in itertools.count())
    served = ServedBatches(itertools.chain([{"x": 1}], silent), "grpc://gone:1", patience_s=0.2)
    assert next(served) == {"x": 1}
    with pytest.raises(UserError, match=r"grpc://gone:1 has given no batch.*resume"):
        next(served)
    nothing.set()


def test_what_the_input_raises_reaches_the_reader():
    damaged = ({"x": 1 // one} for one in (1, 0))
    served = ServedBatches(damaged, "grpc://here:1")
    assert next(served) == {"x": 1}
    with pytest.raises(ZeroDivisionError):
        next(served)


def _start(*flags):
    command = [sys.executable, "-m", "src.data_service", *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_a_killed_worker_is_done_without_and_without_any_the_reader_is_told(monkeypatch):
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    running = [_start("--port", str(port))]
    try:
        address = re.search(r"grpc://\S+", "".join(running[0].stdout.readline() for _ in range(3)))
        flags = ("--dispatcher", f"localhost:{port}", "--host", "localhost")
        running += [_start(*flags), _start(*flags)]
        for worker in running[1:]:
            assert worker.stdout.readline().startswith(f"worker of localhost:{port}")
        service = tf.data.experimental.service
        dataset = tf.data.Dataset.range(1 << 40).map(lambda number: {"x": number})
        place = f"grpc://localhost:{port}"
        assert address and address[0].endswith(f":{port}")
        dataset = dataset.apply(service.distribute(service.ShardingPolicy.OFF, place))
        with open_batches(dataset, place) as batches:
            batches._patience_s = 30.0
            assert all("x" in batch for batch in itertools.islice(batches, 50))
            os.kill(running[1].pid, signal.SIGKILL)
            assert len(list(itertools.islice(batches, 2000))) == 2000
            os.kill(running[2].pid, signal.SIGKILL)
            batches._patience_s = 2.0
            with pytest.raises(UserError, match=f"{place} has given no batch"):
                list(batches)
    finally:
        for process in running:
            process.kill()
            process.wait()
