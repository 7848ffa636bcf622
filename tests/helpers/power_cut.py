"""A disk that forgets at a power cut what was not written to it by `fsync`.

The model is the weakest that POSIX allows. Of a file there stays what it held at its last `fsync`;
later content is cut somewhere, or empty. Of a folder there stay the names that it had at its last
`fsync`; each later name, renaming and removal is there or not, by chance.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest


class PowerCutError(BaseException):
    """The power is off: nothing more reaches the disk."""


class Disk:
    """Watches a folder, and cuts the power at a moment of choice.

    Args:
        root: the folder, empty.
        after: the folder, not there yet, that will hold what the disk holds after the cut.
        moment: the cut comes at this call of `fsync`, `replace` or `sync`, counted from 0.
        seed: of chance.

    Attributes:
        calls: how many there were.
    """

    def __init__(self, root: Path, after: Path, moment: int, seed: int):
        self.root, self.after, self.moment = root, after, moment
        self.calls = 0
        self._rng = np.random.default_rng(seed)
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {}
        self._held: list[int] = []
        self._sync_all()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Puts the disk behind `os`."""
        fsync, replace, sync = os.fsync, os.replace, os.sync
        patch.setattr(os, "fsync", lambda fd: self._call(fsync, fd, after=lambda: self._keep(fd)))
        patch.setattr(os, "replace", lambda a, b: self._call(replace, a, b))
        patch.setattr(os, "sync", lambda: self._call(sync, after=self._sync_all))

    def close(self) -> None:
        """Gives back what the disk holds."""
        for descriptor in self._held:
            os.close(descriptor)

    def _call(self, call: Callable, *arguments: Any, after: Callable[[], None] = int) -> None:
        if self.calls == self.moment:
            self._rebuild(self.root, self.after)
            raise PowerCutError
        self.calls += 1
        call(*arguments)
        after()

    def _keep(self, descriptor: int) -> None:
        self._keep_path(Path(os.readlink(f"/proc/self/fd/{descriptor}")))

    def _keep_path(self, path: Path) -> None:
        number = path.stat().st_ino
        if number not in self._names and number not in self._contents:
            self._held.append(os.open(path, os.O_RDONLY))  # so that its number is given to no other
        if path.is_dir():
            self._names[number] = _names(path)
        else:
            self._contents[number] = path.read_bytes()

    def _sync_all(self) -> None:
        for path in (self.root, *self.root.rglob("*")):
            self._keep_path(path)

    def _rebuild(self, now: Path, after: Path) -> None:
        after.mkdir()
        current, kept = _names(now), self._names.get(now.stat().st_ino, {})
        for name in sorted({*current, *kept}):
            number = (current if self._rng.integers(2) else kept).get(name)
            if current.get(name) == kept.get(name):
                number = current[name]
            if number is None:
                continue
            if (now / name).is_dir():
                self._rebuild(now / name, after / name)
            elif number in self._contents:
                (after / name).write_bytes(self._contents[number])
            elif current.get(name) == number:
                data = (now / name).read_bytes()
                (after / name).write_bytes(data[: self._rng.integers(len(data) + 1)])


def _names(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.iterdir()}
