"""Records that cannot be read are left out and named, instead of ending a training of days.

`tf.data` can drop elements that fail (`ignore_errors`), but cannot say which ones they were. So
each record carries its shard's path and its index in the shard, and the names of the records that
failed travel with the next sample.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from hmr.tensor import Tensor

STREAMS = ("people", "bodies")


def unreadable_key(stream: str) -> str:
    """The key of a training batch that names the records left out.

    It holds (B,) strings. Each lists the records that were left out since the sample before, one
    per line, such as "record 7 of data/lsp/train_00000.tfrecord".
    """
    return f"{stream}/unreadable"


def records_of_shard(path: Tensor, count: Tensor) -> tf.data.Dataset:
    """Dataset of (bytes, index, path) for each record of a shard.

    Args:
        path: () string, the shard.
        count: () int64, how many records it should hold; those that are missing because the shard
            is damaged or cut short come as empty bytes.
    """
    lost = tf.data.Dataset.from_tensors("").repeat()
    records = tf.data.TFRecordDataset(path).ignore_errors().concatenate(lost)
    paths = tf.data.Dataset.from_tensors(path).repeat()
    return tf.data.Dataset.zip(records, tf.data.Dataset.range(count), paths)


def map_readable(
    groups: tf.data.Dataset, function: Callable, mine: slice, stream: str
) -> tf.data.Dataset:
    """Maps groups of records in parallel, leaving out the records for which `function` fails.

    Every call of a function costs `tf.data` time, so a whole group is mapped by one call. Only a
    group that fails is mapped again, record by record.

    Args:
        groups: dataset of ((bytes, index, path), ...), tensors (N, ...).
        function: takes (bytes, ...) of any number of records and returns a dict of tensors with as
            many rows.
        mine: the B of each group's N records that this process takes; a slice with both bounds.
        stream: one of `STREAMS`.
    Returns:
        dataset of the dicts and `unreadable_key`, at most B rows each, in the same order.
    """
    key, size = unreadable_key(stream), mine.stop - mine.start

    def tried(index: Tensor, *group: Tensor) -> dict[str, Tensor]:
        return {**function(*group), key: index}

    def mapped(*group: Tensor) -> dict[str, Tensor]:
        (serialized, index, path), *rest = tf.nest.map_structure(lambda column: column[mine], group)
        whole = tf.data.Dataset.from_tensors((tf.range(size), serialized, *rest))
        each = whole.unbatch().batch(1, drop_remainder=True).map(tried).ignore_errors().unbatch()
        none = tf.nest.map_structure(lambda s: tf.zeros((0, *s.shape), s.dtype), each.element_spec)
        outcomes = whole.map(tried).ignore_errors().concatenate(each.batch(size))
        outcomes = outcomes.concatenate(tf.data.Dataset.from_tensors(none))
        samples = outcomes.take(1).get_single_element()
        lost = tf.reduce_all(samples[key] != tf.range(size)[:, None], axis=1)  # (B, read) -> (B,)
        names = tf.strings.join(["record ", tf.strings.as_string(index), " of ", path, "\n"])
        return {**samples, key: tf.strings.reduce_join(tf.boolean_mask(names, lost))}

    def name_beside_next(waiting: Tensor, group: dict[str, Tensor]) -> tuple[Tensor, dict]:
        names = tf.strings.join([waiting, group.pop(key)])
        count = tf.shape(next(iter(group.values())))[0]
        beside = tf.concat([names[None], tf.fill([count], "")], 0)[:count]
        return tf.where(count > 0, "", names), {**group, key: beside}

    mapped_groups = groups.map(mapped, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return mapped_groups.scan(tf.constant(""), name_beside_next)
