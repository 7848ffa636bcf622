"""Sharded writing: the same bytes whatever happens on the way."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hmr.data.records import check_shard, read_shard
from hmr.data.shards import find_shards, progress_dir, read_manifest
from hmr.errors import UserError
from tests.helpers.number_jobs import (
    ALLOWED,
    SHARDS_NOT_HELD_BACK,
    convert_number,
    exit_process,
    exit_process_once,
    make_job,
)
from tfrecords_tools.common import writer
from tfrecords_tools.common.jobs import ItemByItem, Job
from tfrecords_tools.common.writer import Workers, write_job

ROOT = Path(__file__).parents[3]


def _write(root, count=0, job=None, overwrite=False):
    with Workers(count) as workers:
        return write_job(job or make_job(), root, workers, overwrite)


def _files(root) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "mocap_test").iterdir()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    root = tmp_path_factory.mktemp("expected")
    _write(root)
    return _files(root)


def test_counts_and_manifest(tmp_path):
    manifest = _write(tmp_path)
    assert manifest.examples == 85 and len(manifest.shards) == 7
    assert manifest.dropped == {"divisible by seven": 15}
    assert manifest.dropped_names["divisible by seven"][:2] == ["0", "7"]
    assert manifest == read_manifest(tmp_path, "mocap_test", "train")
    records = [raw for p in find_shards(tmp_path, "mocap_test", "train") for raw in read_shard(p)]
    assert records == [raw for n in range(100) if n % 7 for raw in convert_number(n)]


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bytes(tmp_path, expected, workers):
    _write(tmp_path, workers)
    assert _files(tmp_path) == expected


def test_several_jobs_share_the_workers(tmp_path, expected):
    with Workers(2) as workers:
        for name in ("one", "two"):
            write_job(make_job(), tmp_path / name, workers)
    assert _files(tmp_path / "one") == _files(tmp_path / "two") == expected


def test_complete_records_are_not_written_again(tmp_path):
    _write(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "mocap_test").iterdir()}
    _write(tmp_path)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "mocap_test").iterdir()}


def test_other_records_are_replaced_only_when_asked(tmp_path):
    _write(tmp_path)
    other = make_job(count=20, fingerprint="b")
    with pytest.raises(UserError, match=r"another source .* --overwrite"):
        _write(tmp_path, job=other)
    assert _write(tmp_path, job=other, overwrite=True).examples == 17
    assert len(find_shards(tmp_path, "mocap_test", "train")) == 2


@pytest.fixture
def start():
    """Starts a conversion in a process of its own, which ends with the test at the latest."""
    started = []

    def begin(root, held_back=True) -> subprocess.Popen:
        command = [sys.executable, "-m", "tests.helpers.number_jobs", str(root)]
        never = {ALLOWED: str(root / "never")} if held_back else {}
        started.append(subprocess.Popen(command, cwd=ROOT, env={**os.environ, **never}))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_interrupted_it_does_not_wait_for_what_is_being_converted(tmp_path, start):
    root = tmp_path / "out"
    process = start(root)
    _wait_for_shards(root, process, SHARDS_NOT_HELD_BACK)
    while process.poll() is None and len(list(root.glob("mocap_test/*/*.tfrecord.*.part"))) < 2:
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) != 0
    assert len(list(root.glob("mocap_test/*.tfrecord"))) == SHARDS_NOT_HELD_BACK


def _wait_for_shards(root, process, count):
    while process.poll() is None and len(list(root.glob("mocap_test/*.tfrecord"))) < count:
        time.sleep(0.002)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_at_any_moment_it_is_finished_by_the_same_command(tmp_path, expected, start, how):
    root = tmp_path / "out"
    for shards in (1, SHARDS_NOT_HELD_BACK):
        process = start(root)
        _wait_for_shards(root, process, shards)
        process.send_signal(how)
        process.wait(timeout=60)
        assert process.returncode != 0
        with pytest.raises(UserError, match="interrupted"):
            find_shards(root, "mocap_test", "train")
    process = start(root, held_back=False)
    assert process.wait(timeout=60) == 0
    assert _files(root) == expected
    assert not progress_dir(root, "mocap_test", "train").exists()


def test_workers_end_with_a_parent_that_is_killed(tmp_path, start):
    root = tmp_path / "out"
    process = start(root)
    _wait_for_shards(root, process, 1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        pytest.skip("children are listed by Linux only")
    workers = [int(pid) for pid in children.read_text().split()]
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(_is_running(pid) for pid in workers):
        time.sleep(0.05)
    assert workers and not any(_is_running(pid) for pid in workers)


def _is_running(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_shard_that_lost_bytes_is_written_again(tmp_path, expected, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _write(tmp_path)
    shard = tmp_path / "mocap_test" / "train_00003.tfrecord"
    shard.write_bytes(shard.read_bytes()[:100])
    _write(tmp_path)
    assert _files(tmp_path) == expected


class _FullDisk(writer.RecordWriter):
    written = 0

    def write(self, record):
        _FullDisk.written += 1
        if _FullDisk.written > 40:
            raise OSError(28, "No space left on device")
        super().write(record)


def test_a_full_disk_is_named_and_loses_no_complete_shard(tmp_path, expected, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(writer, "RecordWriter", _FullDisk)
        with pytest.raises(UserError, match=r"No space left.*make room"):
            _write(tmp_path)
    assert len(list((tmp_path / "mocap_test").glob("*.tfrecord"))) == 3
    assert not list(tmp_path.rglob("*.part"))
    _write(tmp_path)
    assert _files(tmp_path) == expected


def test_a_worker_that_dies_is_named_and_the_rest_can_be_finished(tmp_path, expected):
    with pytest.raises(UserError, match=r"a worker died .* fewer --workers \(now 2\)"):
        _write(tmp_path, 2, make_job(convert=exit_process))
    _write(tmp_path)
    assert _files(tmp_path) == expected


def test_a_worker_that_is_killed_once_is_replaced(tmp_path, expected):
    convert = functools.partial(exit_process_once, mark=tmp_path / "killed")
    _write(tmp_path, 2, make_job(convert=convert))
    assert (tmp_path / "killed").exists() and _files(tmp_path) == expected


def test_a_dead_worker_does_not_spoil_the_next_dataset(tmp_path, expected):
    with Workers(2) as workers:
        with pytest.raises(UserError, match="a worker died"):
            write_job(make_job(convert=exit_process), tmp_path / "one", workers)
        write_job(make_job(), tmp_path / "two", workers)
    assert _files(tmp_path / "two") == expected


def test_a_second_conversion_into_the_same_records_is_refused(tmp_path, expected, start):
    root = tmp_path / "out"
    process = start(root)
    _wait_for_shards(root, process, 1)
    with pytest.raises(UserError, match=rf"converting mocap_test/train .*{process.pid} on "):
        _write(root)
    process.kill()
    process.wait()
    _write(root)
    assert _files(root) == expected


def test_records_are_published_only_with_every_shard(tmp_path, expected, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Workers, "write", lambda *_: None)
        with pytest.raises(UserError, match=r"7 of 7 shards are not there \(first: train_00000"):
            _write(tmp_path)
    assert read_manifest(tmp_path, "mocap_test", "train") is None
    _write(tmp_path)
    assert _files(tmp_path) == expected


@pytest.mark.parametrize("left", [b"", b'{"arguments": {"opt', bytes(50), b"[]", b"[" * 9999])
@pytest.mark.parametrize("name", ["job.json", "train_00003.tfrecord.json"])
def test_state_that_a_power_cut_damaged_counts_as_absent(
    tmp_path, expected, monkeypatch, left, name
):
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            _write(tmp_path)
    progress = progress_dir(tmp_path, "mocap_test", "train")
    (progress / name).write_bytes(left)
    strange = progress / "train_00004.tfrecord.json"
    strange.write_text(json.dumps({**json.loads(strange.read_text()), "dropped": 5}))
    _write(tmp_path)
    assert _files(tmp_path) == expected


def test_a_shard_cut_behind_its_manifest_is_noticed(tmp_path):
    _write(tmp_path)
    shard = tmp_path / "mocap_test" / "train_00002.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"1 of the 7 shards .* cut short .*train_00002.* expected"):
        _write(tmp_path)


def test_a_whole_shard_of_another_conversion_is_noticed_by_its_checksum(tmp_path):
    _write(tmp_path)
    one, two = (tmp_path / "mocap_test" / f"train_0000{n}.tfrecord" for n in (1, 2))
    assert check_shard(one) == 13
    one.write_bytes(two.read_bytes())
    with pytest.raises(UserError, match=r"train_00001.* not the shard that was written"):
        check_shard(one)


def test_shards_without_records_do_not_stay(tmp_path):
    job = Job("mocap_test", "train", [[7, 14], [1, 2]], ItemByItem(convert_number), samples=4)
    manifest = _write(tmp_path, job=job)
    assert manifest.shards == {"train_00001.tfrecord": 2}
    assert not (tmp_path / "mocap_test" / "train_00000.tfrecord").exists()


def test_nothing_left_is_an_error_that_says_why(tmp_path):
    job = Job("mocap_test", "train", [[7, 14]], ItemByItem(convert_number), samples=2)
    with pytest.raises(UserError, match=r"of 2 samples none is left \(divisible by seven: 2\)"):
        _write(tmp_path, job=job)
    assert not list(tmp_path.rglob("*.tfrecord"))
    mended = Job("mocap_test", "train", [[1, 2, 3]], ItemByItem(convert_number), samples=3)
    assert _write(tmp_path, job=mended).examples == 3


def test_defects_keep_their_traceback(tmp_path):
    job = Job("mocap_test", "train", [["text"]], ItemByItem(convert_number), samples=1)
    with pytest.raises(TypeError):
        _write(tmp_path, 1, job)


def test_what_a_run_killed_while_tidying_leaves_is_cleared(tmp_path, expected):
    _write(tmp_path)
    leftover = progress_dir(tmp_path, "mocap_test", "train")
    leftover.mkdir()
    (leftover / "train_00000.tfrecord.json").write_text("{}")
    assert _write(tmp_path).examples == 85
    assert _files(tmp_path) == expected and not leftover.exists()


def test_complete_records_that_lost_a_shard_are_not_called_complete(tmp_path):
    _write(tmp_path)
    (tmp_path / "mocap_test" / "train_00002.tfrecord").unlink()
    with pytest.raises(UserError, match=r"1 are missing \(first: train_00002"):
        _write(tmp_path)


@pytest.mark.parametrize("step", ["_prepare", "write_manifest"])
def test_a_full_disk_is_named_at_the_beginning_and_at_the_end(
    tmp_path, expected, monkeypatch, step
):
    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer, step, fail)
        with pytest.raises(UserError, match=r"No space left.*make room"):
            _write(tmp_path)
    _write(tmp_path)
    assert _files(tmp_path) == expected
