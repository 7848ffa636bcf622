"""Once this is imported its process may start no program and run no code but that of files.

Processes apart that fuzzing starts import it, after all other modules that they need.
"""

from __future__ import annotations

import os
import sys
import typing
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from tests.helpers.fuzz import NOTE

_STARTS = ("os.system", "os.exec", "os.posix_spawn", "os.spawn", "subprocess.Popen")


class CodeRunError(BaseException):
    """Reading a file started a program or ran code."""


def _forbid(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _STARTS or (event == "socket.connect" and arguments[1] != _own_server()):
        _refuse(f"{event} {arguments}")
    # Modules that are imported late run code, too: of files.
    if event == "exec" and sys._getframe(1).f_code.co_filename != typing.__file__:
        source = arguments[0].co_filename
        if not source.startswith("<frozen") and not Path(source).is_file():
            _refuse(f"code of {source}")


def _own_server() -> object:
    """The address at which processes apart are asked for."""
    return forkserver._forkserver._forkserver_address  # type: ignore[attr-defined]


def _refuse(what: str) -> None:
    """Notes it in a file, too, because whoever reads the damaged file may catch the error."""
    with open(os.environ[NOTE], "a") as file:
        file.write(what + "\n")
    raise CodeRunError(what)


sys.addaudithook(_forbid)
