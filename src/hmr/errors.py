"""Errors a user can mend, and how the command-line verbs report them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class UserError(Exception):
    """Something the user can mend.

    Args:
        message: what happened, where (file, record, key, step), what was expected, what was
            received and which command comes next. It stays one line: line breaks and other
            characters that cannot be printed, of a file's name for instance, appear as \\n, \\x1b.
    """

    def __init__(self, message: str):
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


def run_verb(main: Callable[[], int | None], command: str = "") -> NoReturn:
    """Runs a command-line verb and leaves the process with its exit code.

    Args:
        main: the verb; returns an exit code, or None for success.
        command: what the user typed to run it, for its usage line.

    A `UserError` becomes one message on standard error and exit code 2; Ctrl-C exit code 130.
    Anything else is a defect of the project and keeps its traceback.
    """
    if command:
        sys.argv[0] = command
    try:
        code = main() or 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_USER_ERROR
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    sys.exit(code)
