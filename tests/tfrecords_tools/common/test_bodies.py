"""Bodies of many takes: shuffled once, cut into shards, read by several processes."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hmr.errors import UserError
from tfrecords_tools.common import bodies
from tfrecords_tools.common.bodies import BodyUnits, Takes, bodies_job
from tfrecords_tools.common.jobs import DropLog, SampleError

LENGTHS = (3, 1, 40, 7, 60)


def _take(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Poses that all hold their own number, the take's number as the shape."""
    start = sum(LENGTHS[:number])
    rows = np.arange(start, start + LENGTHS[number], dtype=np.float32)
    return np.tile(rows[:, None], (1, 72)), np.full(10, number, np.float32)


def test_each_body_comes_once_with_the_shape_of_its_take(monkeypatch):
    monkeypatch.setattr(bodies, "BODIES_PER_SHARD", 20)
    takes = Takes()
    for number in range(len(LENGTHS)):
        takes.add(*_take(number))
    units = list(BodyUnits(takes))
    assert [len(poses) for poses, _ in units] == [20] * 5 + [11]
    poses, shapes = (np.concatenate(parts) for parts in zip(*units, strict=True))
    assert sorted(poses[:, 0]) == list(range(111)) and (poses == poses[:, :1]).all()
    expected = np.repeat(np.arange(len(LENGTHS)), LENGTHS)[poses[:, 0].astype(int)]
    np.testing.assert_array_equal(shapes, np.tile(expected[:, None], (1, 10)))
    assert poses[:20, 0].tolist() != list(range(20))


def read_numbered(path: Path, broken: int) -> tuple[np.ndarray, np.ndarray]:
    """A take by the number that its file is called by; one is unreadable."""
    number = int(path.stem)
    if number == broken:
        raise SampleError("unreadable take", path.name)
    return _take(number % len(LENGTHS))


def test_takes_are_the_same_however_many_processes_read_them(tmp_path, monkeypatch):
    monkeypatch.setattr(bodies, "_TAKES_WORTH_PROCESSES", 10)
    paths = [tmp_path / f"{number:02d}.pkl" for number in range(20)]
    read = partial(read_numbered, broken=7)
    one, two = (bodies_job("test", paths, read, DropLog(), {}, workers) for workers in (0, 2))
    for job in (one, two):
        assert job.dropped.names == {"unreadable take": ["07.pkl"]}
        assert job.samples == 4 * sum(LENGTHS) - LENGTHS[2]
    for serial, parallel in zip(one.units[0], two.units[0], strict=True):
        np.testing.assert_array_equal(serial, parallel)


def test_no_room_for_the_poses_is_named(monkeypatch):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("a device that is always full is there on Linux only")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **options: full.open("r+b", **options))
    with pytest.raises(UserError, match=r"No space left.*TMPDIR"):
        Takes().add(*_take(2))
