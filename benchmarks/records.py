"""The input pipeline beside bare JPEG decoding of the same records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import tensorflow as tf

from benchmarks.timing import Row, compare
from hmr.data.pipeline import find_record_sets, open_batches, training_dataset
from hmr.data.records import parse_person
from hmr.settings import DataSettings

PIPELINE_BATCH = 32
# Many, so that the few that one stream prefetches while the other is timed hardly count.
BATCHES = 160


def input_row(root: str, images: str, mocap: str, input_size: int, repeats: int) -> Row:
    """Time of `BATCHES` batches of augmented crops with their bodies.

    Args:
        root: folder of records.
        images, mocap: names of one dataset of each kind in it.
        input_size: side of the crops, px.
        repeats: how often they are timed.
    """
    people, bodies = find_record_sets(root, {images: 1.0}), find_record_sets(root, {mocap: 1.0})
    dataset = training_dataset(
        people,
        bodies,
        DataSettings(),
        input_size=input_size,
        batch_size=PIPELINE_BATCH,
        real_bodies=3 * PIPELINE_BATCH,
        seed=0,
    )
    # Stays open for all measurements: a training fills its shuffle buffer only once.
    with open_batches(dataset) as ours:
        bare = iter(_decoded(people[0].paths))
        return compare(
            f"input, {images}, {input_size} px, {BATCHES * PIPELINE_BATCH} pictures",
            lambda: _draw(ours),
            "bare decoding of as many",
            lambda: _draw(bare),
            repeats,
        )


def _draw(batches: Iterator) -> None:
    for _ in itertools.islice(batches, BATCHES):
        pass


def _decoded(paths) -> tf.data.Dataset:
    """Batches of a few sums of pixels, so that nothing but decoding takes time."""

    def decode(serialized):
        picture = tf.io.decode_jpeg(parse_person(serialized)["image_bytes"], channels=3)
        return tf.reduce_sum(tf.cast(picture[::64, ::64], tf.int32))

    records = tf.data.TFRecordDataset(list(paths)).repeat()
    sums = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return sums.batch(PIPELINE_BATCH).prefetch(2)
