"""The input pipeline beside bare JPEG decoding of the same records."""

from __future__ import annotations

import tensorflow as tf

from benchmarks.timing import Row, compare
from src.data.pipeline import PipelineSettings, find_sources, training_dataset
from src.data.reading import parse_person

PIPELINE_BATCH = 32


def input_row(root: str, images: str, mocap: str, input_size: int, repeats: int) -> Row:
    """Time of one batch of augmented crops with its bodies.

    Args:
        root: folder of records.
        images, mocap: names of one dataset of each kind in it.
        input_size: side of the crops, px.
        repeats: batches timed.
    """
    people, bodies = find_sources(root, {images: 1.0}), find_sources(root, {mocap: 1.0})
    settings = PipelineSettings(input_size, PIPELINE_BATCH, 3 * PIPELINE_BATCH, seed=0)
    ours = iter(training_dataset(people, bodies, settings))
    bare = iter(_decoded(people[0].paths))
    return compare(
        f"input, {images}, {input_size} px, batch {PIPELINE_BATCH}",
        lambda: next(ours),
        "bare decoding of as many pictures",
        lambda: next(bare),
        repeats,
    )


def _decoded(paths) -> tf.data.Dataset:
    """Batches of sums, so that nothing but decoding takes time."""

    def decode(serialized):
        picture = tf.io.decode_jpeg(parse_person(serialized)["image_bytes"], channels=3)
        return tf.reduce_sum(tf.cast(picture[::64, ::64], tf.int32))

    records = tf.data.TFRecordDataset(list(paths)).repeat()
    sums = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
    return sums.batch(PIPELINE_BATCH).prefetch(tf.data.AUTOTUNE)
