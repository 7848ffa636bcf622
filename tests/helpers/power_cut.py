"""A disk that forgets at a power cut what was not written to it by `fsync`.

The model is the weakest that POSIX allows. Of a file there stays what it held at its last `fsync`;
later content is cut somewhere, or empty. Of a folder there stay the names that it had at its last
`fsync`; each later name, renaming and removal is there or not, by chance.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@dataclass(frozen=True)
class Cut:
    """What the disk would hold had the power been cut at a moment.

    Attributes:
        root: a folder with it.
        moment: the number of calls of `fsync`, `replace` and `sync` until then.
        reported: what had been reported as done.
    """

    root: Path
    moment: int
    reported: Any


def power_cuts(
    act: Callable[[Path], object],
    folder: Path,
    count: int,
    report: Callable[[], Any],
    seed: int = 0,
) -> list[Cut]:
    """Lets `act` work in a folder, twice, and cuts the power at so many random moments.

    Args:
        act: works in the folder that it is given, which is new.
        folder: receives all.
        count: how many moments; every moment occurs once before any occurs twice.
        report: what has been reported as done until now, any value that stays as it is.
        seed: of chance: the moments, and what of the unwritten the disk remembers.
    """
    rng = np.random.default_rng(seed)
    with _disk(folder / "counted", {}, report) as counting:
        act(counting.root)
    rounds = -(-count // counting.calls)
    order = np.concatenate([rng.permutation(counting.calls) for _ in range(rounds)])[:count]
    places: dict[int, list[Path]] = {}
    for number, moment in enumerate(order):
        places.setdefault(int(moment), []).append(folder / f"cut_{number}")
    with _disk(folder / "cut", places, report) as disk:
        act(disk.root)
    return disk.cuts


@contextmanager
def _disk(root: Path, places: dict[int, list[Path]], report: Callable[[], Any]) -> Iterator[_Disk]:
    root.mkdir()
    disk = _Disk(root, places, report)
    with pytest.MonkeyPatch.context() as patch:
        disk.watch(patch)
        yield disk
    for descriptor in disk.held:
        os.close(descriptor)


class _Disk:
    """Watches a folder, and shows what it would hold after power cuts.

    Args:
        root: the folder, empty.
        places: number of a call -> folders that show the disk just before it.
        report: see `power_cuts`.

    Attributes:
        calls: how many calls of `fsync`, `replace` and `sync` there were.
        cuts: one for each place.
        held: descriptors of its own.
    """

    def __init__(self, root: Path, places: dict[int, list[Path]], report: Callable[[], Any]):
        self.root, self._places, self._report = root, places, report
        self.calls, self.cuts, self.held = 0, list[Cut](), list[int]()
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._sync_all()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Puts the disk behind `os`."""
        fsync, replace, sync = os.fsync, os.replace, os.sync

        def keep(descriptor: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            self._call(path, fsync, descriptor)
            self._keep_path(path)

        def sync_all() -> None:
            self._call(self.root, sync)
            self._sync_all()

        patch.setattr(os, "fsync", keep)
        patch.setattr(os, "replace", lambda old, new: self._call(Path(new), replace, old, new))
        patch.setattr(os, "sync", sync_all)

    def _call(self, path: Path, call: Callable, *arguments: Any) -> None:
        if path.is_relative_to(self.root):
            for place in self._places.get(self.calls, []):
                self._rebuild(self.root, place, np.random.default_rng(len(self.cuts)))
                self.cuts.append(Cut(place, self.calls, self._report()))
            self.calls += 1
        call(*arguments)

    def _keep_path(self, path: Path) -> None:
        number = path.stat().st_ino
        if number not in self._names and number not in self._contents:
            self.held.append(os.open(path, os.O_RDONLY))  # so that its number is given to no other
        if path.is_dir():
            self._names[number] = _names(path)
        else:
            self._contents[number] = path.read_bytes()

    def _sync_all(self) -> None:
        for path in (self.root, *self.root.rglob("*")):
            self._keep_path(path)

    def _rebuild(self, now: Path, after: Path, rng: np.random.Generator) -> None:
        after.mkdir()
        current, kept = _names(now), self._names.get(now.stat().st_ino, {})
        for name in sorted({*current, *kept}):
            number = (current if rng.integers(2) else kept).get(name)
            if current.get(name) == kept.get(name):
                number = current[name]
            if number is None:
                continue
            if (now / name).is_dir():
                self._rebuild(now / name, after / name, rng)
            elif number in self._contents:
                (after / name).write_bytes(self._contents[number])
            elif current.get(name) == number:
                data = (now / name).read_bytes()
                (after / name).write_bytes(data[: rng.integers(len(data) + 1)])


def _names(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.iterdir()}
