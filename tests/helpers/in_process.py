"""Runs shell text by bash, whose `python` and `hmr` run in this process.

Each start of Python with TensorFlow takes seconds of processor time, and here it has started. Text
that pipes or redirects is run by programs of its own, as their output goes elsewhere.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import runpy
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from absl import flags

import hmr.cli

ROOT = Path(__file__).parents[2]
# Both hand their words over one pipe, behind their number, and read the exit code from another.
_PRELUDE = r"""
python() { printf '%s\0' "$#" "$@" >&"$CALLS"; read -r code <&"$CODES"; return "$code"; }
hmr() { python -m hmr.cli "$@"; }
"""


def run_shell(text: str, folder: Path) -> int:
    """The exit code of bash, which stops at the first command that fails.

    Args:
        text: what bash runs.
        folder: its working directory, and that of its Python.
    """
    calls_read, calls_write = os.pipe()
    codes_read, codes_write = os.pipe()
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
        "CALLS": str(calls_write),
        "CODES": str(codes_read),
    }
    shell = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", ("" if re.search("[|<>`]", text) else _PRELUDE) + text],
        cwd=folder,
        env={**os.environ, **environment},
        pass_fds=(calls_write, codes_read),
    )
    os.close(calls_write)
    os.close(codes_read)
    with shell, open(calls_read, "rb") as calls, open(codes_write, "w") as codes:
        while number := _word(calls):
            words = [_word(calls) for _ in range(int(number))]
            print(run_python(words, folder), file=codes, flush=True)
    return shell.returncode


def _word(calls) -> str:
    """The next word, without the zero byte behind it; "" at the end."""
    return b"".join(iter(lambda: calls.read(1) or b"\0", b"\0")).decode()


def run_python(words: Sequence[str], folder: Path) -> int:
    """The exit code of `python -m MODULE ...` or `python -c CODE ...`, run in this process."""
    option, what, *rest = words
    _forget_training_flags()
    with pytest.MonkeyPatch.context() as patch, _logging_kept():
        patch.chdir(folder)
        patch.setattr(sys, "argv", [what if option == "-m" else option, *rest])
        if option == "-m":
            return _exit_code(lambda: runpy.run_module(what, run_name="__main__", alter_sys=True))
        assert option == "-c", words
        return _exit_code(lambda: exec(compile(what, "<string>", "exec"), {"__name__": "__main__"}))


@contextlib.contextmanager
def _logging_kept() -> Iterator[None]:
    """`hmr train` hands all of Python's log to absl, and sets its level."""
    root, absl = logging.getLogger(), logging.getLogger("absl")
    handlers, levels = root.handlers[:], (root.level, absl.level)
    try:
        yield
    finally:
        root.handlers[:] = handlers
        for logger, level in zip((root, absl), levels, strict=True):
            logger.setLevel(level)


def _forget_training_flags() -> None:
    """The flags of `hmr train`, and the overrides that they were given, are global in absl."""
    sys.modules.pop("hmr.cli.train", None)
    vars(hmr.cli).pop("train", None)
    for name in list(flags.FLAGS):
        if name.partition(".")[0] in ("config", "workdir"):
            delattr(flags.FLAGS, name)


def _exit_code(work: Callable[[], object]) -> int:
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc()
        return 1
    return 0
