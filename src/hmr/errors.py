"""Errors that the user can fix, and how the command-line verbs report them."""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from hmr.interruption import EXIT_INTERRUPTED, end_at_once, raise_in_verb

EXIT_PARTLY, EXIT_USER_ERROR = 1, 2
# What each exit code means, of every verb.
EXIT_CODES = {
    0: "all that was asked for is done; so are --help and --list",
    EXIT_PARTLY: "done, but for what the lines name: a picture, a person, a dataset, a set-up",
    EXIT_USER_ERROR: "nothing is done: a flag, a file or a package is missing or wrong",
    EXIT_INTERRUPTED: "interrupted (Ctrl-C, SIGTERM); the same command goes on",
}


_OWN_PACKAGES = ("hmr", "tfrecords_tools")


def to_install(extra: str = "") -> str:
    """The command that installs the project, or an extra of it, in a checkout or elsewhere."""
    if (Path(__file__).parents[2] / "Makefile").is_file():
        return "make install" + (f" EXTRAS={extra}" if extra else "")
    return f'pip install "hmr-tf2[{extra}]"' if extra else "pip install hmr-tf2"


def printable(text: str) -> str:
    """The text on one line: what cannot be printed, such as a line break, is escaped, as \\n."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class UserError(Exception):
    """An error that the user can fix.

    Args:
        message: what happened, where (file, record, key, step), what was expected, what was
            received and which command comes next. It is kept `printable`.
    """

    def __init__(self, message: str):
        super().__init__(printable(message))


class VerbParser(argparse.ArgumentParser):
    """Reads the flags of a verb: its errors are one line, its --help keeps the line breaks."""

    def __init__(self, **options: Any):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        """Raises a UserError."""
        raise UserError(f"{message}. See {self.prog} --help")


def run_verb(main: Callable[[], int | None], command: str = "") -> NoReturn:
    """Runs a command-line verb and ends the process with its exit code.

    A `UserError`, what the system refuses (a file without permission, a full disk) or a package
    that is not installed is printed on standard error as one line, with exit code 2; Ctrl-C gives
    exit code 130. Any other exception is a defect of the project and keeps its traceback.

    Args:
        main: the verb; returns an exit code, or None for success.
        command: the command that the usage line shows.
    """
    if command:
        sys.argv[0] = command
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file's name need not be text: it is printed as standard error prints it.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            raise_in_verb()
            code = main() or 0
        finally:
            end_at_once()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_USER_ERROR
    except OSError as error:
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        print(f"error: {printable(str(error))}", file=sys.stderr)
        code = EXIT_USER_ERROR
    except ModuleNotFoundError as error:
        if not _names_package(error):
            raise
        code = EXIT_USER_ERROR
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        # Where it came through an `exec` of text, Python notes that and ends by the signal instead.
        exec("")
        code = EXIT_INTERRUPTED
    gc.freeze()  # a last search for cycles would take a tenth of a second
    sys.exit(code)


def _names_package(error: ModuleNotFoundError) -> bool:
    """Prints which package is not installed; returns False if it is a module of the project."""
    package = (error.name or _OWN_PACKAGES[0]).partition(".")[0]
    if package in _OWN_PACKAGES:
        return False
    where = f"the package {package} is not installed in {sys.executable}"
    print(f"error: {where}: {to_install()}", file=sys.stderr, flush=True)
    return True


def end_without_package(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """`sys.excepthook` of verbs whose module imports packages before `run_verb` is called."""
    if isinstance(error, ModuleNotFoundError) and _names_package(error):
        os._exit(EXIT_USER_ERROR)
    sys.__excepthook__(kind, error, trace)
