"""Records that cannot be read: left out and found again, instead of ending a training of days.

`tf.data` can drop what fails, but not say what it was. So each record gets its position in the
stream and the names of its neighbours: a gap in the positions of a batch tells which are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from src.body.tensor import Tensor

POSITION, NEIGHBOURS = "position", "neighbours"
STREAMS = ("people", "bodies")
_FEW = 8
# What a training batch carries besides the network's inputs: (B,) int64 and (B,) strings.
IDENTITY_KEYS = tuple(f"{stream}/{key}" for stream in STREAMS for key in (POSITION, NEIGHBOURS))


def records_of_shard(path: Tensor, count: Tensor) -> tf.data.Dataset:
    """(bytes, path, number) of each record; where the shard is damaged, the bytes are empty.

    Args:
        path: of the shard.
        count: how many records it should hold.
    """
    lost = tf.data.Dataset.from_tensors("").repeat()
    records = tf.data.TFRecordDataset(path).ignore_errors().concatenate(lost)
    same = tf.data.Dataset.from_tensors(path).repeat()
    return tf.data.Dataset.zip(records, same, tf.data.Dataset.range(count))


def identified(records: tf.data.Dataset, size: int, mine: slice = slice(None)) -> tf.data.Dataset:
    """Adds position and neighbours to a stream of (bytes, path, number, ...).

    Args:
        records: endless.
        size: of a batch.
        mine: which of each `size` records go on; all by default.
    Returns:
        dataset of (bytes, rest, identity): rest a tuple of what came behind the number, identity
        a dict of the two.
    """

    share = len(range(size)[mine])
    # Few names travel with each record: of a whole batch they would be a megabyte a step.
    near = _FEW if share % _FEW == 0 else share

    def identify(group: Tensor, columns: tuple[Tensor, ...]) -> tuple[Tensor, tuple, dict]:
        serialized, paths, numbers, *rest = (column[mine] for column in columns)
        names = tf.strings.join(["record ", tf.strings.as_string(numbers), " of ", paths])
        neighbours = tf.strings.reduce_join(tf.reshape(names, (-1, near)), 1, separator="\n")
        identity = {
            POSITION: group * share + tf.range(share, dtype=tf.int64),
            NEIGHBOURS: tf.repeat(neighbours, near),
        }
        return serialized, tuple(rest), identity

    return records.batch(size, drop_remainder=True).enumerate().map(identify).unbatch()


class Gaps:
    """Names the records that are missing between the batches of a stream."""

    def __init__(self) -> None:
        self._last = -1
        self._last_names: list[str] = []

    def missing(self, positions: np.ndarray, neighbours: np.ndarray) -> list[str]:
        """Those before and within a batch.

        Args:
            positions, neighbours: (B,), ascending.
        """
        first, last = int(positions[0]), int(positions[-1])
        before = self._last if self._last >= 0 else first - 1
        whole = last - before == len(positions)
        missing = [] if whole else list(self._walk(before, positions, neighbours))
        self._last, self._last_names = last, _names(neighbours[-1])
        return missing

    def _walk(self, before: int, positions: np.ndarray, neighbours: np.ndarray) -> Any:
        names_before = self._last_names
        for position, text in zip(positions.tolist(), neighbours, strict=True):
            names = _names(text)
            for lost in range(before + 1, position):
                size = len(names)
                group = {position // size: names, before // size: names_before or names}
                known = group.get(lost // size)
                yield known[lost % size] if known else f"an unnamed record near {names[0]}"
            before, names_before = position, names


def _names(neighbours: bytes) -> list[str]:
    return neighbours.decode(errors="replace").split("\n")


def take_identity(batch: dict[str, Tensor]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Takes `IDENTITY_KEYS` out of a batch: stream -> positions and neighbours."""
    values = {key: np.asarray(batch.pop(key)) for key in IDENTITY_KEYS}
    return {
        stream: (values[f"{stream}/{POSITION}"], values[f"{stream}/{NEIGHBOURS}"])
        for stream in STREAMS
    }


def with_stream(stream: str, sample: Mapping[str, Tensor], identity: Mapping[str, Tensor]) -> dict:
    """A sample with its identity under the keys of its stream."""
    return {**sample, **{f"{stream}/{key}": value for key, value in identity.items()}}
