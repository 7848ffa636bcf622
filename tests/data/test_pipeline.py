"""The training stream: mixing, order, and what a batch holds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hmr.data.pipeline import (
    evaluation_dataset,
    find_record_sets,
    mean_body,
    training_dataset,
)
from hmr.data.shards import find_shards
from hmr.errors import UserError
from hmr.settings import DataSettings
from tests.conftest import IMAGE_SETS, MOCAP_SETS, RECORDS_PER_SET, make_person, write_people

DATA = DataSettings(shuffle_buffer=8)
LAYOUT = {"input_size": 32, "batch_size": 6, "real_bodies": 9, "seed": 5}


@pytest.fixture(scope="module")
def sources(records_root):
    images = find_record_sets(records_root, dict.fromkeys(IMAGE_SETS, 1.0))
    return images, find_record_sets(records_root, dict.fromkeys(MOCAP_SETS, 1.0))


def _take(dataset, count):
    return list(dataset.take(count).as_numpy_iterator())


def test_half_of_each_batch_carries_3d_labels(sources):
    for batch in _take(training_dataset(*sources, DATA, **LAYOUT), 5):
        np.testing.assert_array_equal(batch["has_joints3d"], [1, 0, 1, 0, 1, 0])


def test_the_share_of_3d_labels_is_spread_over_the_batch(sources):
    data = dataclasses.replace(DATA, share_3d=0.8)
    for batch in _take(training_dataset(*sources, data, **{**LAYOUT, "batch_size": 5}), 3):
        assert batch["has_joints3d"].sum() == 4


def test_one_kind_fills_the_whole_batch(sources):
    images, mocap = sources
    only_2d = [source for source in images if not source.has_3d]
    (batch,) = _take(training_dataset(only_2d, mocap, DATA, **LAYOUT), 1)
    assert batch["has_joints3d"].sum() == 0


def test_shapes_and_ranges(sources):
    (batch,) = _take(training_dataset(*sources, DATA, **LAYOUT), 1)
    assert batch["images"].shape == (6, 32, 32, 3)
    assert batch["images"].min() >= -1 and batch["images"].max() <= 1
    assert batch["real_pose"].shape == (9, 72) and batch["real_beta"].shape == (9, 10)
    hidden = batch["visibility"] == 0
    assert hidden.any() and not batch["keypoints2d"][hidden].any()


def test_the_seed_decides_everything(sources):
    first, second = (_take(training_dataset(*sources, DATA, **LAYOUT), 3) for _ in range(2))
    other = _take(training_dataset(*sources, DATA, **{**LAYOUT, "seed": 6}), 3)
    for one, two, three in zip(first, second, other, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], two[key])
        assert np.abs(one["images"] - three["images"]).max() > 0


def test_a_weight_of_three_is_seen_three_times_as_often(tmp_path, records_root):
    for name in ("lsp", "coco"):
        write_people(tmp_path / name / "train_00000.tfrecord", name, False)
    _mark(tmp_path / "coco" / "train_00000.tfrecord")
    images = find_record_sets(tmp_path, {"lsp": 1.0, "coco": 3.0})
    mocap = find_record_sets(records_root, {"mocap_cmu": 1.0})
    batches = _take(training_dataset(images, mocap, DATA, **LAYOUT), 100)
    marked = np.mean([batch["visibility"].sum(axis=1) == 19 for batch in batches])
    assert marked == pytest.approx(0.75, abs=0.06)


def _mark(path):
    import tensorflow as tf

    from hmr.data.schema import person_to_example

    with tf.io.TFRecordWriter(str(path)) as writer:
        for index in range(RECORDS_PER_SET):
            person = make_person(index, "coco")
            person.visibility[:] = 1
            writer.write(person_to_example(person))


def test_a_weight_of_zero_leaves_a_dataset_out_even_without_records(records_root):
    assert find_record_sets(records_root, {"lsp": 1.0, "h36m": 0.0})[0].name == "lsp"


def test_missing_records_are_named(records_root):
    with pytest.raises(UserError, match=r"mpii.*python -m tfrecords_tools --mpii "):
        find_record_sets(records_root, {"mpii": 1.0})


def test_evaluation_reads_each_record_once_in_order(records_root):
    paths = find_shards(records_root, "lsp", "train")
    batches = _take(evaluation_dataset(paths, 32, batch_size=7), 10)
    names = [name.decode() for batch in batches for name in batch["filename"]]
    assert names == [f"{index}.jpg" for index in range(RECORDS_PER_SET)]


def test_mean_body_is_the_mean_of_the_records(sources):
    rng = np.random.default_rng(7)
    draws = [(0.2 * rng.standard_normal(72), rng.standard_normal(10)) for _ in range(200)]
    pose, shape = mean_body(sources[1])
    np.testing.assert_allclose(pose, np.mean([draw[0] for draw in draws], axis=0), atol=1e-6)
    np.testing.assert_allclose(shape, np.mean([draw[1] for draw in draws], axis=0), atol=1e-6)


def test_a_service_prepares_the_same_kind_of_batches(sources):
    """Record order is the service's own; what a batch holds is not."""
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.partition("://")[2]
    # It serves as long as it is referred to.
    _worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
    data = dataclasses.replace(DATA, service=dispatcher.target)
    served = _take(training_dataset(*sources, data, **LAYOUT), 3)
    (own,) = _take(training_dataset(*sources, DATA, **LAYOUT), 1)
    for batch in served:
        assert {key: batch[key].shape for key in batch} == {key: own[key].shape for key in own}
        np.testing.assert_array_equal(batch["has_joints3d"], own["has_joints3d"])
