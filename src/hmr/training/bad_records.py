"""Counts records that could not be read, and ends a training that meets too many of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hmr.data.pipeline import RecordSet
from hmr.data.records import why_unreadable
from hmr.data.unreadable import STREAMS, Gaps, RecordNames, trail_key
from hmr.errors import UserError
from hmr.tensor import Tensor

UNREADABLE_FILE = "unreadable_records.txt"


class BadRecords:
    """The different records that were left out of this run so far.

    Args:
        sources: all datasets, in the order in which `training_dataset` took them.
        max_share: part of all records that may be unreadable.
        folder: receives `unreadable_records.txt`, a name in each line.
    """

    def __init__(self, sources: Sequence[RecordSet], max_share: float, folder: Path) -> None:
        self._total = sum(source.examples for source in sources)
        self._max_share = max_share
        self._file = folder / UNREADABLE_FILE
        self._names = RecordNames(
            [path for source in sources for path in source.paths],
            [count for source in sources for count in source.counts],
        )
        self._numbers: set[int] = set()
        self._gaps = {stream: Gaps() for stream in STREAMS}

    def __len__(self) -> int:
        return len(self._numbers)

    def note(self, batch: dict[str, Tensor]) -> None:
        """Takes what identifies a batch's records out of it, and counts those that are missing.

        Raises:
            UserError: they are more than the allowed share, naming the first and its fault.
        """
        missing: set[int] = set()
        for stream in STREAMS:
            trails = np.asarray(batch.pop(trail_key(stream)))
            missing.update(self._gaps[stream].missing(trails))
        new = sorted(missing - self._numbers)
        if new:
            self._numbers.update(new)
            self._report([self._names[number] for number in new])

    def _report(self, new: list[str]) -> None:
        with self._file.open("a") as file:
            for name in new:
                file.write(f"{name}\n")
                tqdm.write(f"left out, cannot be read: {name}")
        if len(self) > self._max_share * self._total:
            raise UserError(
                f"{len(self)} of {self._total} records cannot be read, more than "
                f"config.data.max_bad_share={self._max_share:g} allows (all: {self._file}). "
                f"{why_unreadable(new[0])}"
            )
