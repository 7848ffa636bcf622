"""How TensorFlow and Keras are loaded: without the lines that hide ours, and in less time."""

from __future__ import annotations

import contextlib
import gc
import importlib.abc
import importlib.util
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from hmr import interruption

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_left_out: set[str] = set()


def prepare() -> None:
    """To be called before TensorFlow and Keras are imported by anybody.

    What TensorFlow's libraries write while they are loaded is silenced, unless the user sets
    `LEVEL` to 0: they write before any setting of theirs is read, straight to the descriptor of
    standard error. Garbage collection is off meanwhile, and what was loaded is frozen: with it on,
    a prediction of one picture takes a fifth longer.
    """
    os.environ.setdefault(LEVEL, "3")
    sys.meta_path.insert(0, _Finder())


def leave_out(packages: Iterable[str]) -> None:
    """Makes TensorFlow and Keras load as if these were not installed.

    TensorFlow imports jax and scipy, and Keras pandas and IPython, in case somebody hands them
    their arrays or works in a notebook: where all are installed, they take a quarter of the time.
    """
    _left_out.update(packages)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self._waiting = {"tensorflow", "keras"}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._waiting:
            return None
        self._waiting.remove(name)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            load: Any = spec.loader.exec_module

            def load_well(module: ModuleType) -> None:
                silent = name == "tensorflow" and os.environ.get(LEVEL) != "0"
                quiet = without_standard_error() if silent else contextlib.nullcontext()
                with _without(_left_out), _uncollected(), quiet:
                    load(module)

            spec.loader.exec_module = load_well  # type: ignore[method-assign]
        return spec


@contextlib.contextmanager
def _without(packages: Iterable[str]) -> Iterator[None]:
    hidden = [name for name in packages if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.freeze()
            gc.enable()


@contextlib.contextmanager
def without_standard_error() -> Iterator[None]:
    """Drops what this process writes to the descriptor of standard error, as C libraries do."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    interruption.standard_error = kept
    try:
        yield
    finally:
        os.dup2(kept, 2)
        interruption.standard_error = 2
        os.close(kept)
        os.close(nowhere)
