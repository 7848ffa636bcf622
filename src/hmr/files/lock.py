"""A lock on a folder, which ends with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from hmr.errors import UserError


class BusyError(UserError):
    """Another process holds the lock."""


@contextlib.contextmanager
def only_one(path: Path, what: str) -> Iterator[None]:
    """Holds `path` as a lock file for the length of the block.

    The system frees the lock when the process ends, however it ends; the file stays. On a network
    file system it holds as well as that file system's `flock` does.

    Args:
        path: the lock file; its folder is made.
        what: what only one process may do, for the message: "training in runs/demo".
    Raises:
        BusyError: another process holds it; the message names host, process and since when.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = " ".join(file.read().split()) or "another process"
            raise BusyError(
                f"{what} is under way already, by {holder}. Wait for it to end, or stop it first."
            ) from error
        file.truncate(0)
        since = datetime.now().isoformat(" ", "seconds")
        file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
        file.flush()
        yield
