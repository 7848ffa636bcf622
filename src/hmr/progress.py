"""Progress bars: redrawn in a terminal; in a log file a line every ten seconds."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from tqdm import tqdm

LOG_EVERY_S = 10.0


def progress_bar(*arguments: Any, **options: Any) -> tqdm:
    """`tqdm.tqdm` of these arguments, on standard error."""
    if sys.stderr.isatty():
        return tqdm(*arguments, **options)
    lines = _Lines(sys.stderr)
    return tqdm(*arguments, file=lines, mininterval=LOG_EVERY_S, miniters=1, **options)


class _Lines:
    """A file in which each state of a bar is a line of its own."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> None:
        """Writes a line without what moves a cursor; nothing if nothing else is left."""
        state = text.strip()
        if state:
            self._file.write(f"{state}\n")

    def flush(self) -> None:
        """Hands what was written to the system."""
        self._file.flush()
