"""Runs one of the re-run scripts in a process of its own, which knows nothing of the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hmr.errors import UserError

_LINES_SAID = 5


def run_fresh(script: str | Path, *arguments: str | Path) -> None:
    """Runs a Python file; `-I` keeps the user's own folders and variables out.

    Raises:
        UserError: it ended with an error; the last lines of that are in the message.
    """
    command = [sys.executable, "-I", str(script), *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        last_lines = "\n".join(finished.stderr.strip().splitlines()[-_LINES_SAID:])
        raise UserError(f"the export does not run in a process of its own:\n{last_lines}")
