"""Records that cannot be read leave a gap that names them; the others come through."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from src.data.pipeline import PipelineSettings, find_sources, training_dataset
from src.data.reading import read_shard
from src.data.record_format import RecordWriter
from src.data.schema import person_to_example
from src.data.unreadable import Gaps, take_identity
from tests.conftest import MOCAP_SETS, RECORDS_PER_SET, make_person

SETTINGS = PipelineSettings(32, batch_size=6, real_bodies=9, seed=5, shuffle_buffer=8)
BAD = (3, 4, 17)


@given(st.sets(st.integers(0, 59)), st.integers(1, 7), st.integers(1, 7))
def test_gaps_name_exactly_what_is_missing(lost, group_size, batch_size):
    """Groups that are lost whole have no names; all others are named."""
    names = [f"r{index}" for index in range(60 - 60 % group_size)]
    groups = ["\n".join(names[i : i + group_size]) for i in range(0, len(names), group_size)]
    kept = [index for index in range(len(names)) if index not in lost]
    found, gaps = [], Gaps()
    for start in range(0, len(kept) - batch_size + 1, batch_size):
        positions = np.array(kept[start : start + batch_size])
        neighbours = np.array([groups[p // group_size].encode() for p in positions])
        found += gaps.missing(positions, neighbours)
    read = kept[: len(kept) // batch_size * batch_size]
    between = [p for p in sorted(lost) if read and read[0] < p < read[-1]]
    seen = {p // group_size for p in read}
    assert len(found) == len(between)
    for position, name in zip(between, found, strict=True):
        assert name == names[position] if position // group_size in seen else "unnamed" in name


@pytest.fixture
def damaged_root(tmp_path, records_root):
    """Pictures of LSP, three of which are no JPEG."""
    path = tmp_path / "lsp" / "train_00000.tfrecord"
    path.parent.mkdir()
    with RecordWriter(path) as writer:
        for index in range(RECORDS_PER_SET):
            person = make_person(index)
            if index in BAD:
                person = dataclasses.replace(person, encoded=b"\xff\xd8\xff no picture")
            writer.write(person_to_example(person))
    for name in MOCAP_SETS:
        (tmp_path / name).symlink_to(records_root / name)
    return tmp_path


def _missing(root, steps=12):
    images = find_sources(root, {"lsp": 1.0})
    mocap = find_sources(root, dict.fromkeys(MOCAP_SETS, 1.0))
    gaps = {"people": Gaps(), "bodies": Gaps()}
    missing, pictures = {"people": [], "bodies": []}, []
    for batch in training_dataset(images, mocap, SETTINGS).take(steps):
        for stream, identity in take_identity(batch).items():
            missing[stream] += gaps[stream].missing(*identity)
        pictures.append(batch["images"])
    return missing, np.concatenate(pictures)


def test_pictures_that_are_none_are_left_out_and_named(damaged_root):
    missing, pictures = _missing(damaged_root)
    shard = damaged_root / "lsp" / "train_00000.tfrecord"
    assert set(missing["people"]) == {f"record {index} of {shard}" for index in BAD}
    assert missing["bodies"] == []
    assert pictures.shape == (72, 32, 32, 3)  # the others fill the batches


def test_the_end_of_a_truncated_shard_is_named(damaged_root):
    folder = damaged_root / MOCAP_SETS[0]
    whole = (folder / "train_00000.tfrecord").read_bytes()
    count = sum(1 for _ in read_shard(folder / "train_00000.tfrecord"))
    folder.unlink()
    folder.mkdir()
    (folder / "train_00000.tfrecord").write_bytes(whole)
    mocap = find_sources(damaged_root, dict.fromkeys(MOCAP_SETS, 1.0))
    (folder / "train_00000.tfrecord").write_bytes(whole[:-10])
    images = find_sources(damaged_root, {"lsp": 1.0})
    gaps, missing = Gaps(), []
    for batch in training_dataset(images, mocap, SETTINGS).take(2 * count // 9):
        missing += gaps.missing(*take_identity(batch)["bodies"])
    assert set(missing) == {f"record {count - 1} of {folder / 'train_00000.tfrecord'}"}


def test_whole_records_leave_no_gap(records_root):
    images = find_sources(records_root, {"lsp": 1.0})
    mocap = find_sources(records_root, dict.fromkeys(MOCAP_SETS, 1.0))
    for batch in training_dataset(images, mocap, SETTINGS).take(3):
        assert isinstance(batch["people/position"], tf.Tensor)
        for positions, _ in take_identity(batch).values():
            np.testing.assert_array_equal(np.diff(positions), 1)
        assert "people/position" not in batch
