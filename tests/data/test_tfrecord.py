"""The hand-written record and message formats against TensorFlow's own."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr.data.tfrecord import RecordWriter, encode_example

_INT64 = st.integers(-(2**63), 2**63 - 1)
_FLOAT32 = st.floats(width=32, allow_nan=False)
_FEATURE = st.one_of(
    st.tuples(st.just("string"), st.binary(max_size=300)),
    st.tuples(st.just("int64"), st.lists(_INT64, max_size=40)),
    st.tuples(st.just("float32"), st.lists(_FLOAT32, max_size=40)),
)


def _by_tensorflow(features):
    example = tf.train.Example()
    for name, (kind, values) in features.items():
        feature = example.features.feature[name]
        if kind == "string":
            feature.bytes_list.value.append(values)
        elif kind == "int64":
            feature.int64_list.value.extend(values)
        else:
            feature.float_list.value.extend(values)
    return example


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=30), _FEATURE, max_size=6))
def test_messages_mean_what_tensorflow_reads(features):
    read = tf.train.Example.FromString(encode_example(features))
    expected = _by_tensorflow(features)
    assert set(read.features.feature) == set(features)
    for name, (kind, values) in features.items():
        ours, theirs = read.features.feature[name], expected.features.feature[name]
        if len(values) or kind == "string":
            assert ours.SerializeToString() == theirs.SerializeToString()


def test_bytes_are_those_of_a_deterministic_serialisation():
    features = {
        "b": ("int64", [1, -1, 300]),
        "a": ("float32", np.array([0.5, -2.0])),
        "image/encoded": ("string", bytes(range(256)) * 80),
    }
    expected = _by_tensorflow(features).SerializeToString(deterministic=True)
    assert encode_example(features) == expected


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(max_size=5000), max_size=5))
def test_files_equal_tensorflows(tmp_path_factory, records):
    folder = tmp_path_factory.mktemp("files")
    with RecordWriter(folder / "ours") as ours:
        for record in records:
            ours.write(record)
    with tf.io.TFRecordWriter(str(folder / "theirs")) as theirs:
        for record in records:
            theirs.write(record)
    assert (folder / "ours").read_bytes() == (folder / "theirs").read_bytes()
