"""Loops over pixels and faces, compiled by numba at their first call and kept for later runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable], Callable]:
    """`numba.njit(**options)`, whose threads leave Python's lock to others.

    What is compiled goes to `__pycache__`, or to the user's cache where that cannot be written;
    where neither can, every process compiles for itself.
    """

    def compile_later(function: Callable) -> Callable:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # numba's for want of a folder to write to
            return numba.njit(nogil=True, **options)(function)

    return compile_later
