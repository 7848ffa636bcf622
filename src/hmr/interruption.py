"""Ctrl-C at any moment of a verb, its first one too: one line, exit code 130, no traceback.

Python raises KeyboardInterrupt wherever it is. Inside an import that is a traceback, or lost, or
taken for a broken package by the libraries that catch it. So a verb ends at once while it imports,
has not begun or is done; in between KeyboardInterrupt is raised, for clean-ups.

This module comes before all others, and imports nothing that takes time.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

EXIT_INTERRUPTED = 130
# The packages whose modules are verbs, and the command.
_VERBS = ("src", "hmr", "tfrecords_tools", "benchmarks", "tests")
_IMPORTER = "<frozen importlib._bootstrap>"
_AGAIN_AFTER_S = 0.01

# Where the line is written; another descriptor while libraries are kept from writing to this one.
standard_error = 2
# What is half written and to be removed: imports that it waits for are ended by an exception.
unfinished: list[object] = []


def watch_start() -> None:
    """Ends this process at Ctrl-C, from now on, if it was started as a verb; see `run_verb`."""
    if _starts_verb():
        end_at_once()


def _starts_verb() -> bool:
    """Whether Python is importing what `python -m VERB` names, or runs the command `hmr`."""
    words = [*sys.orig_argv, ""]
    if sys.argv[:1] == ["-m"] and "-m" in words:
        return words[words.index("-m") + 1].partition(".")[0] in _VERBS
    return os.path.basename("".join(sys.argv[:1])) == "hmr"


def end_at_once() -> None:
    """Ctrl-C ends the process, although a script that started it in the background ignores it."""
    signal.signal(signal.SIGINT, _end)


def raise_in_verb() -> None:
    """Ctrl-C raises KeyboardInterrupt, or ends imports at once; where it is dropped, once more."""
    signal.signal(signal.SIGINT, _raise)
    sys.unraisablehook = _raise_again


def _end(*_: object) -> None:
    try:
        sys.stdout.flush()
        os.write(standard_error, b"interrupted\n")
    finally:
        os._exit(EXIT_INTERRUPTED)


def _raise(_: int, frame: FrameType | None) -> None:
    while frame and not unfinished:
        if frame.f_code.co_filename == _IMPORTER:
            _end()
        frame = frame.f_back
    raise KeyboardInterrupt


def _raise_again(ignored: sys.UnraisableHookArgs) -> None:
    """`sys.unraisablehook`: Python drops what is raised in destructors and callbacks."""
    if not issubclass(ignored.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)
        return
    signal.signal(signal.SIGALRM, signal.getsignal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_AFTER_S)
