"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import IO

from hmr.errors import UserError

_PARTIAL = ".partial-"


def partial_path(path: Path) -> Path:
    """Where this process writes a file until it is complete: beside it, with the same suffix."""
    return path.with_name(f"{path.stem}{_PARTIAL}{socket.gethostname()}-{os.getpid()}{path.suffix}")


def remove_abandoned(folder: Path) -> None:
    """Removes what killed processes of this machine left half written in a folder and below it."""
    pattern = re.compile(rf"{_PARTIAL}{re.escape(socket.gethostname())}-(\d+)(\.\w+)?$")
    for path in folder.rglob(f"*{_PARTIAL}*"):
        writer = pattern.search(path.name)
        if writer and not _is_running(int(writer[1])):
            _remove(path)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_whole(path: str | os.PathLike, write: Callable[[IO[bytes]], object]) -> None:
    """Calls `write` with a file beside `path`, which takes that name when it is complete.

    Raises:
        UserError: the place cannot be written to, or is full.
    """
    path = Path(path)
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "wb") as file:
            write(file)
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        _remove(partial)


def write_text(path: str | os.PathLike, text: str) -> None:
    """As `write_whole`, of a text in UTF-8."""
    write_whole(path, lambda file: file.write(text.encode()))


def _remove(path: Path) -> None:
    """Removes a file if it is there; a folder that is none holds none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()
