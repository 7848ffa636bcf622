"""What a converter hands to the writer: jobs, their units, and samples that were left out."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hmr.files.foreign import brief

NAMES_KEPT_PER_REASON = 20
PEOPLE_PER_SHARD = 250
BODIES_PER_SHARD = 10_000


class SampleError(Exception):
    """A sample that is left out: it is counted and named, and the conversion goes on.

    Attributes:
        reason: why, in words that group samples ("unreadable picture").
        name: which sample.
    """

    def __init__(self, reason: str, name: str):
        super().__init__(reason, name)
        self.reason, self.name = reason, name


@contextlib.contextmanager
def reading_sample(why: str, name: object) -> Iterator[None]:
    """Whatever a parser in the block raises becomes a `SampleError`; see `hmr.files.foreign`.

    Args:
        why: the reason why the sample is left out.
        name: which sample.
    """
    try:
        yield
    except SampleError:
        raise
    except Exception as error:
        told = brief(error)
        raise SampleError(why, told if str(name) in told else f"{name}: {told}") from error


@dataclass
class DropLog:
    """Counts of left-out samples by reason, with the first names of each."""

    counts: dict[str, int] = field(default_factory=dict)
    names: dict[str, list[str]] = field(default_factory=dict)

    def add(self, reason: str, name: str) -> None:
        """Counts one sample."""
        self.merge(DropLog({reason: 1}, {reason: [name]}))

    def merge(self, other: DropLog) -> None:
        """Adds the counts of another log, and its names after those of this one."""
        for reason, count in other.counts.items():
            self.counts[reason] = self.counts.get(reason, 0) + count
            names = self.names.get(reason, []) + other.names.get(reason, [])
            self.names[reason] = names[:NAMES_KEPT_PER_REASON]

    @property
    def total(self) -> int:
        """How many samples were left out."""
        return sum(self.counts.values())


Outcome = bytes | SampleError


@dataclass(frozen=True)
class ItemByItem:
    """Makes a function that converts a unit, a list of items, from one that converts an item.

    Attributes:
        convert_item: module-level function: item -> outcomes; may raise `SampleError`.
    """

    convert_item: Callable[[Any], Iterable[Outcome]]

    def __call__(self, unit: Sequence[Any]) -> Iterator[Outcome]:
        for item in unit:
            try:
                yield from self.convert_item(item)
            except SampleError as dropped:
                yield dropped


@dataclass(frozen=True)
class Job:
    """The conversion of one split of one dataset.

    Attributes:
        dataset, split: names of the records' folder and of its shards.
        units: one per shard; picklable, the same for every run over the same source.
        convert: picklable; unit -> serialised records and left-out samples, in order.
        samples: how many samples the units hold together, for the progress bar.
        dropped: samples that planning has already left out.
        arguments: options that decide what comes out.
        source_fingerprint: see `fingerprint`.
    """

    dataset: str
    split: str
    units: Sequence[Any]
    convert: Callable[[Any], Iterable[Outcome]]
    samples: int
    dropped: DropLog = field(default_factory=DropLog)
    arguments: dict[str, Any] = field(default_factory=dict)
    source_fingerprint: str = ""


@dataclass(frozen=True)
class Plan:
    """What a converter found: the jobs to do, and skipped split -> why it is skipped."""

    jobs: list[Job]
    skipped: dict[str, str] = field(default_factory=dict)


def chunks(items: Sequence[Any], size: int = PEOPLE_PER_SHARD) -> list[Sequence[Any]]:
    """Consecutive pieces of `size` items; the last may be shorter."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def fingerprint(files: Iterable[Path] = (), folders: Iterable[Path] = ()) -> str:
    """sha256 over the contents of annotation files and the names and sizes in picture folders."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode())
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    for folder in folders:
        with os.scandir(folder) as entries:
            listing = sorted((entry.name, entry.stat().st_size) for entry in entries)
        digest.update(repr(listing).encode())
    return digest.hexdigest()
