"""Checkpoints that are found by their files, whatever was removed, cut off or flipped."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hmr.errors import UserError
from hmr.training.state import CheckpointFolder


@pytest.fixture
def value():
    return tf.Variable(np.arange(1000, dtype=np.float32))


def _saved(folder, value, steps, kept=3):
    checkpoints = CheckpointFolder(folder, kept)
    for step in steps:
        value.assign(tf.fill([1000], float(step)))
        checkpoints.save(tf.train.Checkpoint(value=value), step)
    return checkpoints


@pytest.mark.parametrize("name", ["plain", "runs [v3]", "what?", "all *"])
def test_the_last_ones_stay_and_are_read_back(tmp_path, value, name):
    checkpoints = _saved(tmp_path / name / "checkpoints", value, (1, 2, 3, 10))
    assert checkpoints.steps() == {2, 3, 10}
    assert [checkpoints.damage(step) for step in (2, 3, 10)] == [""] * 3
    with checkpoints.open(3) as path:
        tf.train.Checkpoint(value=value).read(path).assert_existing_objects_matched()
    assert (value.numpy() == 3).all()
    names = {path.name for path in (tmp_path / name / "checkpoints").iterdir()}
    assert names == {
        f"ckpt-{n}.{end}" for n in (2, 3, 10) for end in ("index", "data-00000-of-00001")
    }


def test_neither_an_index_of_tensorflows_nor_leavings_matter(tmp_path, value):
    (tmp_path / "ckpt-7_temp").mkdir()
    (tmp_path / "ckpt-7_temp" / "part-00000-of-00001.data-00000-of-00001").write_bytes(b"cut")
    (tmp_path / "checkpoint").write_text("garbage")
    checkpoints = _saved(tmp_path, value, (8,))
    assert checkpoints.steps() == {8}
    assert {path.suffix for path in tmp_path.iterdir()} == {".index", ".data-00000-of-00001"}


@pytest.mark.parametrize("ending", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: b"garbage" * 50,
        lambda data: data[:20] + bytes([data[20] ^ 0xFF]) + data[21:],
    ],
    ids=["empty", "cut", "garbage", "flipped"],
)
def test_damage_is_seen(tmp_path, value, ending, damage):
    checkpoints = _saved(tmp_path, value, (4, 5))
    path = tmp_path / f"ckpt-5.{ending}"
    path.write_bytes(damage(path.read_bytes()))
    assert checkpoints.damage(5)
    assert not checkpoints.damage(4)


def test_missing_data_is_damage(tmp_path, value):
    checkpoints = _saved(tmp_path, value, (5,))
    (tmp_path / "ckpt-5.data-00000-of-00001").unlink()
    assert "ckpt-5.data" in checkpoints.damage(5)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path, value):
    (tmp_path / "checkpoints").write_text("a file")
    with pytest.raises(UserError, match="checkpoints"):
        _saved(tmp_path / "checkpoints", value, (1,))
