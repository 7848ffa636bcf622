"""Records that cannot be read are named beside the next sample; the others come through."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr.data.pipeline import find_record_sets, open_batches, training_dataset
from hmr.data.records import read_shard
from hmr.data.schema import person_to_example
from hmr.data.tfrecord import RecordWriter
from hmr.data.unreadable import STREAMS, map_readable, unreadable_key
from hmr.settings import DataSettings
from tests.conftest import MOCAP_SETS, RECORDS_PER_SET, make_person

DATA = DataSettings(shuffle_buffer=8)
LAYOUT = {"input_size": 32, "batch_size": 6, "real_bodies": 9, "seed": 5}
BAD = (3, 4, 17)
COUNT, GROUP = 60, 6
KEY = unreadable_key("people")


def _number(texts):
    return {"number": tf.strings.to_number(texts)}


@pytest.fixture(scope="module")
def read():
    """Reads 60 records of which some are lost, in groups of 6 to batches of 6."""
    texts = tf.Variable([""] * COUNT)
    places = tf.data.Dataset.range(COUNT)
    records = places.map(lambda place: ((texts[place], place, "shard"),)).batch(GROUP, True)
    dataset = map_readable(records, _number, slice(0, GROUP), "people").rebatch(GROUP)

    def run(lost):
        texts.assign([str(i) if i not in lost else "?" for i in range(COUNT)])
        batches = list(dataset.as_numpy_iterator())
        return [np.concatenate([b[key] for b in batches] or [[]]) for key in ("number", KEY)]

    return run


@settings(deadline=None)
@given(st.sets(st.integers(0, COUNT - 1)))
def test_every_lost_record_is_named_beside_the_next_group_with_a_sample(read, lost):
    numbers, names = read(lost)
    kept = [index for index in range(COUNT) if index not in lost]
    np.testing.assert_array_equal(numbers, kept)
    first_of_group = {group: next(iter(i for i in kept if i // GROUP == group), None)
                      for group in range(COUNT // GROUP)}  # fmt: skip
    expected, waiting = dict.fromkeys(kept, ""), ""
    for group, first in first_of_group.items():
        for index in sorted(lost):
            if index // GROUP == group:
                waiting += f"record {index} of shard\n"
        if first is not None:
            expected[first], waiting = waiting, ""
    assert [name.decode() for name in names] == list(expected.values())


def test_a_run_of_unreadable_records_longer_than_a_group_is_named_in_full(read):
    numbers, names = read(set(range(3, 47)))
    assert numbers.tolist() == [0, 1, 2, *range(47, 60)]
    found = b"".join(names).decode().splitlines()
    assert found == [f"record {index} of shard" for index in range(3, 47)]


def test_processes_share_a_stream_and_each_names_its_own_part():
    stream = tf.data.Dataset.range(24).map(
        lambda place: ((tf.where(place % 5 == 0, "?", tf.strings.as_string(place)), place, "a"),)
    )
    groups = stream.batch(6, drop_remainder=True)
    for part in (0, 3):
        batches = list(map_readable(groups, _number, slice(part, part + 3), "people"))
        numbers = np.concatenate([batch["number"] for batch in batches])
        mine = [i for i in range(24) if part <= i % 6 < part + 3]
        assert numbers.tolist() == [i for i in mine if i % 5]
        names = b"".join(name for batch in batches for name in batch[KEY].numpy()).decode()
        assert names.splitlines() == [f"record {i} of a" for i in mine if i % 5 == 0]


def test_only_a_group_that_fails_is_mapped_one_by_one():
    texts = [["1", "2", "3"], ["4", "?", "6"], ["7", "8", "9"]]
    places = np.arange(9).reshape(3, 3)
    groups = tf.data.Dataset.from_tensor_slices(((texts, places, np.full((3, 3), "a")),))
    calls = tf.Variable(0)

    def number(texts):
        calls.assign_add(1)
        return _number(texts)

    mapped = map_readable(groups, number, slice(0, 3), "people").as_numpy_iterator()
    assert [group["number"].tolist() for group in mapped] == [[1, 2, 3], [4, 6], [7, 8, 9]]
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


def _sets(root):
    return (
        find_record_sets(root, {"lsp": 1.0}),
        find_record_sets(root, dict.fromkeys(MOCAP_SETS, 1.0)),
    )


def _names(batches, stream):
    texts = [text for batch in batches for text in batch[unreadable_key(stream)]]
    return b"".join(texts).decode().splitlines()


def _batches(sets, steps, data=DATA):
    return list(training_dataset(*sets, data, **LAYOUT).take(steps).as_numpy_iterator())


def test_pictures_that_are_none_are_left_out_and_named(damaged_root):
    batches = _batches(_sets(damaged_root), 12)
    shard = damaged_root / "lsp" / "train_00000.tfrecord"
    assert set(_names(batches, "people")) == {f"record {index} of {shard}" for index in BAD}
    assert _names(batches, "bodies") == []
    assert {batch["images"].shape for batch in batches} == {(6, 32, 32, 3)}  # others fill them


def test_a_service_names_them_too(damaged_root):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    # They serve as long as they are referred to.
    _workers = [
        service.WorkerServer(service.WorkerConfig(dispatcher_address=address)) for _ in range(2)
    ]
    data = dataclasses.replace(DATA, service=dispatcher.target)
    batches = _batches(_sets(damaged_root), 24, data)
    shard = damaged_root / "lsp" / "train_00000.tfrecord"
    assert set(_names(batches, "people")) == {f"record {index} of {shard}" for index in BAD}


def test_the_end_of_a_truncated_shard_is_named(damaged_root):
    folder = damaged_root / MOCAP_SETS[0]
    whole = (folder / "train_00000.tfrecord").read_bytes()
    count = sum(1 for _ in read_shard(folder / "train_00000.tfrecord"))
    folder.unlink()
    folder.mkdir()
    (folder / "train_00000.tfrecord").write_bytes(whole)
    sets = _sets(damaged_root)
    (folder / "train_00000.tfrecord").write_bytes(whole[:-10])
    batches = _batches(sets, 2 * count // 9)
    assert set(_names(batches, "bodies")) == {
        f"record {count - 1} of {folder / 'train_00000.tfrecord'}"
    }


def test_whole_records_name_nothing(records_root):
    for stream in STREAMS:
        assert _names(_batches(_sets(records_root), 3), stream) == []


def test_a_saved_position_goes_on_to_the_same_batches_and_names(damaged_root, tmp_path):
    dataset = training_dataset(*_sets(damaged_root), DATA, **LAYOUT)
    with open_batches(dataset) as batches:
        for _ in range(3):
            next(batches)
        path = tf.train.Checkpoint(batches=batches).save(str(tmp_path / "position"))
        expected = [next(batches) for _ in range(6)]
    with open_batches(dataset) as batches:
        tf.train.Checkpoint(batches=batches).restore(path)
        for wanted in expected:
            found = next(batches)
            for key, value in wanted.items():
                np.testing.assert_array_equal(found[key], value, err_msg=key)
    assert _names([{k: v.numpy() for k, v in batch.items()} for batch in expected], "people")
