"""Counts records that could not be read, and ends a training that meets too many of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from src.body.tensor import Tensor
from src.data.pipeline import Source
from src.data.reading import why_unreadable
from src.data.unreadable import STREAMS, Gaps, take_identity
from src.errors import UserError

UNREADABLE_FILE = "unreadable_records.txt"


class BadRecords:
    """The different records that were left out of this run so far.

    Args:
        sources: the datasets they belong to.
        max_share: part of all records that may be unreadable.
        folder: receives `unreadable_records.txt`, a name in each line.
    """

    def __init__(self, sources: Sequence[Source], max_share: float, folder: Path) -> None:
        self._total = sum(source.examples for source in sources)
        self._max_share = max_share
        self._file = folder / UNREADABLE_FILE
        self._names: set[str] = set()
        self._gaps = {stream: Gaps() for stream in STREAMS}

    def __len__(self) -> int:
        return len(self._names)

    def note(self, batch: dict[str, Tensor]) -> None:
        """Takes what identifies a batch's records out of it, and counts those that are missing.

        Raises:
            UserError: they are more than the allowed share, naming the first and its fault.
        """
        missing: set[str] = set()
        for stream, identity in take_identity(batch).items():
            missing.update(self._gaps[stream].missing(*identity))
        new = sorted(missing - self._names)
        if new:
            self._report(new)

    def _report(self, new: list[str]) -> None:
        self._names.update(new)
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
