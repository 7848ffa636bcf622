"""Processes that may die."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from hmr.errors import UserError
from tfrecords_tools.common.processes import DeadWorkerError, process_pool, read_apart


def large_answer(number: int) -> bytes:
    """An answer that does not fit into a pipe."""
    return bytes([number]) * 1_000_000


def die(path: Path) -> None:
    """As a parser that crashes."""
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(path: Path) -> None:
    """As a parser in an endless loop."""
    while True:
        pass


def take_memory(path: Path) -> int:
    """As a parser that believes a size."""
    return len(np.ones(1 << 28))


def be_killed(path: Path, times: int) -> int:
    """As a parser of a good file whose process the system kills for want of memory."""
    path.write_bytes(path.read_bytes() + b".")
    if path.stat().st_size <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return path.stat().st_size


def name_of(path: Path) -> str:
    """As a parser of a good file."""
    return path.name


def test_killed_while_answering_nobody_waits():
    with process_pool(2) as pool:
        answers = pool.map(large_answer, range(40))
        assert next(answers) == large_answer(0)
        os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
        assert [answer[0] for answer in answers] == list(range(1, 40))


def test_what_takes_down_every_process_is_given_up():
    with process_pool(1) as pool, pytest.raises(DeadWorkerError, match="code -11"):
        pool.submit(functools.partial(die, Path())).result()


def test_a_reader_apart_may_crash_hang_or_ask_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("tfrecords_tools.common.processes._SECONDS", 1.0)
    path = tmp_path / "file"
    path.write_bytes(b"1234")
    with pytest.raises(DeadWorkerError, match="code -11"):
        read_apart(die, path)
    with pytest.raises(DeadWorkerError, match="code -24"):
        read_apart(hang, path)
    with pytest.raises(MemoryError):
        read_apart(take_memory, path)
    assert read_apart(name_of, path) == "file"


def test_a_reader_apart_that_is_killed_says_nothing_about_the_file(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert read_apart(functools.partial(be_killed, times=1), path) == 2
    with pytest.raises(UserError, match="file was killed twice"):
        read_apart(functools.partial(be_killed, times=9), path)
