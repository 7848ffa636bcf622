"""Records that cannot be read leave a gap that names them; the others come through."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr.data.pipeline import PipelineSettings, find_record_sets, training_dataset
from hmr.data.records import read_shard
from hmr.data.tfrecord import RecordWriter
from hmr.data.schema import person_to_example
from hmr.data.unreadable import STREAMS, Gaps, RecordNames, map_groups, trail_key, with_trail
from tests.conftest import MOCAP_SETS, RECORDS_PER_SET, make_person

SETTINGS = PipelineSettings(32, batch_size=6, real_bodies=9, seed=5, shuffle_buffer=8)
BAD = (3, 4, 17)


@functools.cache
def _trails():
    stream = tf.data.Dataset.range(100, 160).map(lambda number: ((b"", number),))
    groups = with_trail(stream, 6).as_numpy_iterator()
    return np.concatenate([trails for ((_, trails),) in groups])


@settings(deadline=None)
@given(st.sets(st.integers(0, 59)), st.integers(1, 7))
def test_gaps_name_exactly_what_is_missing(lost, batch_size):
    """Up to eight in a row; of a longer run nothing is said."""
    trails = _trails()
    kept = [index for index in range(60) if index not in lost]
    found, gaps = [], Gaps()
    for start in range(0, len(kept) - batch_size + 1, batch_size):
        found += gaps.missing(trails[kept[start : start + batch_size]])
    read = kept[: len(kept) // batch_size * batch_size]
    between = [
        range(before + 1, after)
        for before, after in itertools.pairwise(read)
        if after - before <= len(trails[0]) - 1
    ]
    assert found == [100 + index for run in between for index in run]


def test_a_number_is_the_record_of_the_right_shard():
    names = RecordNames(["a", "empty", "b"], [3, 0, 2])
    expected = ["record 0 of a", "record 2 of a", "record 0 of b", "record 1 of b"]
    assert [names[number] for number in (0, 2, 3, 4)] == expected


def test_processes_share_a_stream_and_each_remembers_its_own_part():
    stream = tf.data.Dataset.range(100).map(lambda number: ((b"", number),))
    halves = [with_trail(stream, 6, slice(part, part + 3)).take(2) for part in (0, 3)]
    trails = [np.concatenate([trails for ((_, trails),) in half]) for half in halves]
    assert trails[0][:, -1].tolist() == [0, 1, 2, 6, 7, 8]
    assert trails[1][:, -1].tolist() == [3, 4, 5, 9, 10, 11]
    np.testing.assert_array_equal(trails[1][-1, -6:], trails[1][:, -1])


def test_of_a_group_that_fails_only_the_records_that_fail_are_left_out():
    groups = tf.data.Dataset.from_tensor_slices([["1", "2", "3"], ["4", "?", "6"], ["7", "8", "9"]])
    calls = tf.Variable(0)

    def number(texts):
        calls.assign_add(1)
        return {"number": tf.strings.to_number(texts)}

    mapped = [
        group["number"].tolist() for group in map_groups(groups, number, 3).as_numpy_iterator()
    ]
    assert mapped == [[1, 2, 3], [4, 6], [7, 8, 9]]
    assert calls.numpy() == 3 + 3


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
    images = find_record_sets(root, {"lsp": 1.0})
    mocap = find_record_sets(root, dict.fromkeys(MOCAP_SETS, 1.0))
    names = _names([*images, *mocap])
    gaps = {stream: Gaps() for stream in STREAMS}
    missing, pictures = {stream: [] for stream in STREAMS}, []
    for batch in training_dataset(images, mocap, SETTINGS).take(steps):
        for stream in STREAMS:
            found = gaps[stream].missing(batch[trail_key(stream)].numpy())
            missing[stream] += [names[number] for number in found]
        pictures.append(batch["images"])
    return missing, np.concatenate(pictures)


def _names(sources):
    paths = [path for source in sources for path in source.paths]
    return RecordNames(paths, [count for source in sources for count in source.counts])


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
    mocap = find_record_sets(damaged_root, dict.fromkeys(MOCAP_SETS, 1.0))
    (folder / "train_00000.tfrecord").write_bytes(whole[:-10])
    images = find_record_sets(damaged_root, {"lsp": 1.0})
    gaps, missing = Gaps(), []
    for batch in training_dataset(images, mocap, SETTINGS).take(2 * count // 9):
        missing += gaps.missing(batch[trail_key("bodies")].numpy())
    names = _names([*images, *mocap])
    assert {names[number] for number in missing} == {
        f"record {count - 1} of {folder / 'train_00000.tfrecord'}"
    }


def test_whole_records_leave_no_gap(records_root):
    images = find_record_sets(records_root, {"lsp": 1.0})
    mocap = find_record_sets(records_root, dict.fromkeys(MOCAP_SETS, 1.0))
    gaps = {stream: Gaps() for stream in STREAMS}
    for batch in training_dataset(images, mocap, SETTINGS).take(3):
        for stream in STREAMS:
            trails = batch[trail_key(stream)].numpy()
            np.testing.assert_array_equal(trails[1:, :-1], trails[:-1, 1:])
            assert gaps[stream].missing(trails) == []
