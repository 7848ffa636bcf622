"""Beam's local runner gives the pool's bytes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from subprocess import PIPE

import pytest

from hmr.errors import UserError
from tests.helpers.network import hosts
from tests.helpers.number_jobs import ALLOWED, SHARDS_NOT_HELD_BACK, make_job
from tfrecords_tools.common import writer
from tfrecords_tools.common.writer import Workers, write_job

ROOT = Path(__file__).parents[3]


def _files(root) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "mocap_test").iterdir()}


def _beam(options: str = ""):
    pytest.importorskip("apache_beam")
    from tfrecords_tools.common.beam import BeamWorkers

    return BeamWorkers("DirectRunner", options)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    root = tmp_path_factory.mktemp("expected")
    with Workers(0) as workers:
        write_job(make_job(), root, workers)
    return _files(root)


@pytest.mark.parametrize(
    "options", ["", "--direct_running_mode=multi_processing --direct_num_workers=2"]
)
def test_the_same_records(tmp_path, expected, options):
    with _beam(options) as workers:
        manifest = write_job(make_job(), tmp_path, workers)
    assert manifest.examples == 85 and _files(tmp_path) == expected


def test_what_the_pool_began_beam_finishes(tmp_path, expected, monkeypatch):
    beam = _beam()
    with monkeypatch.context() as patch, Workers(0) as workers:
        patch.setattr(writer, "_finish", lambda *_: None)
        write_job(make_job(), tmp_path, workers)
    (tmp_path / "mocap_test" / "train_00002.tfrecord").unlink()
    with beam as workers:
        write_job(make_job(), tmp_path, workers)
    assert _files(tmp_path) == expected


class _FullDisk(writer.RecordWriter):
    def write(self, record):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "RecordWriter", _FullDisk)
    with pytest.raises(UserError, match="No space left"), _beam() as workers:
        write_job(make_job(), tmp_path, workers)


def test_an_unknown_runner_is_named():
    pytest.importorskip("apache_beam")
    from tfrecords_tools.common.beam import BeamWorkers

    with pytest.raises(UserError, match=r"NoSuchRunner.*DirectRunner"):
        BeamWorkers("NoSuchRunner")


def test_without_beam_the_extra_is_named(monkeypatch):
    from tfrecords_tools.common.beam import BeamWorkers

    monkeypatch.setitem(sys.modules, "apache_beam.options.pipeline_options", None)
    with pytest.raises(UserError, match="make install EXTRAS=beam"):
        BeamWorkers("DirectRunner")


def _start(*words, enter=(), allowed=os.curdir):
    """Dask's command of the environment that runs this test, perhaps on another host."""
    command = [*enter, str(Path(sys.executable).with_name("dask")), *words, "--no-dashboard"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", ALLOWED: str(allowed)}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=PIPE, text=True
    )


@pytest.mark.slow
def test_dask_gives_the_same_records_though_a_worker_is_killed(tmp_path, expected):
    distributed = pytest.importorskip("distributed")
    from tfrecords_tools.common.beam import BeamWorkers

    with socket.create_server(("", 0)) as free:
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    running = [_start("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2])]
    worker = (
        "worker",
        address,
        "--nthreads",
        "1",
        "--no-nanny",
        "--local-directory",
        str(tmp_path),
    )
    try:
        running += [_start(*worker), _start(*worker)]
        with BeamWorkers("dask", f"--dask_client_address={address}") as workers:
            killing = threading.Timer(1.0, running[1].kill)
            killing.start()
            manifest = write_job(make_job(), tmp_path, workers)
            killing.join()
        assert manifest.examples == 85 and _files(tmp_path) == expected
        distributed.default_client().close()
    finally:
        for process in running:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_dask_on_three_hosts_loses_nothing_with_one_of_them(tmp_path, expected):
    """The scheduler and the converting command on the first; the second is killed in the middle."""
    pytest.importorskip("distributed")
    allowed, output = tmp_path / "allowed", tmp_path / "output"
    with hosts(3) as (first, *others):
        port, worker = "8786", ("--nthreads", "1", "--no-nanny", "--local-directory")
        address = f"tcp://{first.address}:{port}"
        running = [_start("scheduler", "--port", port, enter=first.enter)]
        try:
            for host in others:
                words = ("worker", address, *worker, str(tmp_path / host.name))
                running.append(_start(*words, enter=host.enter, allowed=allowed))
            command = [*first.enter, sys.executable, "-m", "tests.helpers.number_jobs"]
            running.append(
                subprocess.Popen([*command, str(output), address], cwd=ROOT, stderr=PIPE, text=True)
            )
            _wait_for_shards(output, SHARDS_NOT_HELD_BACK, running)
            running[1].kill()
            allowed.touch()
            _, printed = running[-1].communicate(timeout=200)
            assert running[-1].returncode == 0, printed[-2000:]
        finally:
            for process in running:
                process.kill()
                process.communicate()
    assert _files(output) == expected


def _wait_for_shards(output, count, running, seconds=200.0):
    end = time.monotonic() + seconds
    while len(list(output.rglob("train_*.tfrecord"))) < count:
        ended = [process.communicate()[1] for process in running if process.poll() is not None]
        assert not ended and time.monotonic() < end, ended
        time.sleep(0.1)
