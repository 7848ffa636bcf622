"""Records that cannot be read: left out and found again, instead of ending a training of days.

`tf.data` can drop what fails, but not say what it was. So each record has a number and carries the
numbers of those before it in the stream: one that was not seen among the samples is missing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from hmr.tensor import Tensor

STREAMS = ("people", "bodies")
# How many records before its own a sample tells of; more lost in a row are not noticed.
_REMEMBERED = 8


def trail_key(stream: str) -> str:
    """The key of a training batch that holds (B, 9) int64, each sample's `with_trail`."""
    return f"{stream}/trail"


def records_of_shard(path: Tensor, first: Tensor, count: Tensor) -> tf.data.Dataset:
    """(bytes, number) of each record; where the shard is damaged, the bytes are empty.

    Args:
        path: of the shard.
        first: number of its first record.
        count: how many records it should hold.
    """
    lost = tf.data.Dataset.from_tensors("").repeat()
    records = tf.data.TFRecordDataset(path).ignore_errors().concatenate(lost)
    return tf.data.Dataset.zip(records, tf.data.Dataset.range(first, first + count))


def with_trail(
    records: tf.data.Dataset, size: int, mine: slice = slice(None)
) -> tf.data.Dataset:
    """Gathers records to groups, and puts a trail in the place of each number.

    Args:
        records: endless stream of ((bytes, number), ...).
        size: of a group.
        mine: which of each `size` records go on; all by default.
    Returns:
        dataset of ((bytes (B,), trails (B, 9) int64), ...): the numbers of the last records, each
        one's own last; -1 before the first.
    """
    share = len(range(size)[mine])
    places = np.arange(share)[:, None] + np.arange(_REMEMBERED + 1)

    def note(before: Tensor, group: tuple) -> tuple[Tensor, tuple]:
        (serialized, numbers), *rest = tf.nest.map_structure(lambda column: column[mine], group)
        numbers = tf.concat([before, numbers], 0)
        return numbers[share:], ((serialized, tf.gather(numbers, places)), *rest)

    nothing = tf.fill((_REMEMBERED,), tf.constant(-1, tf.int64))
    return records.batch(size, drop_remainder=True).scan(nothing, note)


def map_groups(groups: tf.data.Dataset, function: Callable, size: int) -> tf.data.Dataset:
    """Maps whole groups of records side by side, without the records for which `function` fails.

    `tf.data` pays for every call of a function. Only a group that fails is mapped one by one.

    Args:
        groups: dataset of tensors (B, ...).
        function: of these tensors, for any B; it gives a dict of as many.
        size: B.
    Returns:
        dataset of the dicts, (B, ...) or less, in the same order.
    """

    def mapped(*group: Tensor) -> dict[str, Tensor]:
        whole = tf.data.Dataset.from_tensors(group)
        single = whole.unbatch().batch(1, drop_remainder=True)
        each = single.map(function).ignore_errors().unbatch().batch(size)
        return whole.map(function).ignore_errors().concatenate(each).take(1).get_single_element()

    mapped_groups = groups.map(mapped, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return mapped_groups.ignore_errors()  # of groups of which no record could be read


class Gaps:
    """Finds the records that are missing between the samples of a stream."""

    def __init__(self) -> None:
        self._last: int | None = None

    def missing(self, trails: np.ndarray) -> list[int]:
        """Numbers of those before and within a batch.

        Args:
            trails: (B, 9) of `with_trail`.
        """
        numbers = trails[:, -1].tolist()
        if self._last is None:
            self._last = int(trails[0, -2])
        before = [self._last, *numbers[:-1]]
        self._last = numbers[-1]
        if np.array_equal(trails[:, -2], before):
            return []
        return list(itertools.chain.from_iterable(map(_between, before, trails.tolist())))


def _between(previous: int, trail: list[int]) -> Iterator[int]:
    """The numbers behind `previous` in a trail, without its own."""
    older = trail[:-1]
    if previous not in older:  # too many are lost, or another worker's batch came in between
        return iter(())
    latest = len(older) - 1 - older[::-1].index(previous)
    return iter(older[latest + 1 :])


class RecordNames:
    """Says which record a number belongs to.

    Args:
        paths: of all shards, in the order of their numbers.
        counts: how many records each of them holds.
    """

    def __init__(self, paths: Sequence[str], counts: Sequence[int]) -> None:
        self._paths = list(paths)
        self._firsts = np.concatenate([[0], np.cumsum(counts)])

    def __getitem__(self, number: int) -> str:
        shard = int(np.searchsorted(self._firsts, number, side="right")) - 1
        return f"record {number - self._firsts[shard]} of {self._paths[shard]}"
