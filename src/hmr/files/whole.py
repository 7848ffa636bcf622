"""Files and folders that appear under their name only when they are complete.

What is being written lies beside its target under a name of its own, `.partial-HOST-PROCESS.NAME`,
and is renamed at the end: readers see the old content or the new, never a part. After a failure it
is removed; the next process that writes into the folder removes what a killed one left.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from hmr import interruption
from hmr.errors import UserError

_PARTIAL = ".partial-"
_PATTERN_CHARACTERS = frozenset("*?[]\\{}")
# A folder of more files is synced by one call for the whole system, which takes less time.
_MOST_SYNCED_ALONE = 64


def partial_path(path: Path) -> Path:
    """Where this process writes `path` until it is complete: beside it, all suffixes kept."""
    return path.with_name(f"{_PARTIAL}{socket.gethostname()}-{os.getpid()}.{path.name}")


def take_name(partial: Path, path: Path) -> None:
    """Gives a complete file or folder its name; a file of that name is replaced.

    After a power cut the name stands for all of the content or is not there: the bytes are on disk
    before it is given, and it is on disk when this returns.
    """
    to_disk(partial)
    os.replace(partial, path)
    to_disk(path.parent, content=False)


def to_disk(path: Path, content: bool = True) -> None:
    """Waits until a file is on disk, or a folder's names and, with `content`, all that is in it."""
    inside = list(path.rglob("*")) if content and path.is_dir() else []
    if len(inside) > _MOST_SYNCED_ALONE:
        os.sync()
        return
    for each in (*inside, path):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """The path of a file to write, which takes the name `path` when the block ends well.

    Raises:
        UserError: the place cannot be written to, or is full.
    """
    with _partial(Path(path)) as partial:
        yield partial
        take_name(partial, Path(path))


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """An empty folder to fill, which takes the name `path` when the block ends well.

    Args:
        path: must not exist, or be an empty folder.
        overwrite: whether it may hold something, which is removed when the new one is complete.

    Raises:
        UserError: the place cannot be written to, or is full.
    """
    path = Path(path)
    with scratch_folder(path) as partial:
        yield partial
        if overwrite and path.exists():
            shutil.rmtree(path)
        take_name(partial, path)


@contextlib.contextmanager
def scratch_folder(path: str | os.PathLike) -> Iterator[Path]:
    """A folder beside `path`, removed when the block ends; `take_name` moves files out of it.

    Raises:
        UserError: the place cannot be written to, or is full.
    """
    with _partial(Path(path)) as partial:
        partial.mkdir()
        yield partial


@contextlib.contextmanager
def plain_folder(folder: Path) -> Iterator[Path]:
    """A path to the folder without characters that TensorFlow takes for a pattern."""
    if not _PATTERN_CHARACTERS & set(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="hmr-") as temporary:
        link = Path(temporary) / "link"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link


def write_whole(path: str | os.PathLike, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` with an open file, which takes the name `path` when it is complete.

    Raises:
        UserError: the place cannot be written to, or is full.
    """
    with whole_file(path) as partial, open(partial, "wb") as file:
        write(file)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a text in UTF-8, as `write_whole` does."""
    write_whole(path, lambda file: file.write(text.encode()))


def make_folder(path: Path) -> None:
    """Makes a folder and those above it.

    Raises:
        UserError: the place cannot be written to, or a file is there.
    """
    try:
        make_lasting_folder(path)
    except OSError as error:
        raise UserError(f"{path} cannot be made: {error.strerror or error}") from error


def make_lasting_folder(path: Path) -> None:
    """Makes a folder and those above it; when this returns, their names outlast a power cut."""
    new = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in reversed(new):
        to_disk(folder.parent, content=False)


@contextlib.contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A free `partial_path` whose folder exists; if it still exists at the end, it is removed.

    An OSError becomes a UserError unless it is about another file, which the block reads.
    """
    partial = partial_path(path)
    interruption.unfinished.append(partial)
    try:
        make_lasting_folder(path.parent)
        _remove_abandoned(path.parent)
        remove(partial)
        yield partial
    except OSError as error:
        named = error.filename
        if named is None or _PARTIAL in str(named) or Path(str(named)) in (path, *path.parents):
            raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
        raise
    finally:
        remove(partial)
        interruption.unfinished.remove(partial)


@functools.cache
def _remove_abandoned(folder: Path) -> None:
    """Removes the partial files of killed processes of this machine; checks each folder once."""
    written_by = re.compile(rf"{re.escape(_PARTIAL + socket.gethostname())}-(\d+)\.")
    for path in folder.glob(f"{_PARTIAL}*"):
        writer = written_by.match(path.name)
        if writer and not _is_running(int(writer[1])):
            remove(path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Removes a file or folder if it exists; errors must not hide the one being handled."""
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
