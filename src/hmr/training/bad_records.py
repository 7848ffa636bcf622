"""Counts records that could not be read, and ends a training that meets too many of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from hmr.data.pipeline import RecordSet
from hmr.data.records import why_unreadable
from hmr.data.unreadable import STREAMS, unreadable_key
from hmr.errors import UserError
from hmr.tensor import Tensor

UNREADABLE_FILE = "unreadable_records.txt"


class BadRecords:
    """The different records that were left out of this run so far.

    Args:
        sources: all datasets that are trained on.
        max_share: part of all records that may be unreadable.
        folder: receives `unreadable_records.txt`, a name in each line.
    """

    def __init__(self, sources: Sequence[RecordSet], max_share: float, folder: Path) -> None:
        self._total = sum(source.examples for source in sources)
        self._max_share = max_share
        self._file = folder / UNREADABLE_FILE
        self._names: set[str] = set()

    def __len__(self) -> int:
        return len(self._names)

    def note(self, batch: dict[str, Tensor]) -> None:
        """Takes the names of records that were left out from a batch, and counts new ones.

        Raises:
            UserError: they are more than the allowed share, naming the first and its fault.
        """
        texts = [text for stream in STREAMS for text in batch.pop(unreadable_key(stream)).numpy()]
        names = dict.fromkeys(b"".join(texts).decode().splitlines())
        new = [name for name in names if name not in self._names]
        if new:
            self._names.update(new)
            self._report(new)

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
