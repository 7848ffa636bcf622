"""Compiles loops over pixels and faces with numba, at their first call, and caches the result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable], Callable]:
    """`numba.njit(**options)` for a function that releases the GIL and is cached on disk.

    The cache is `__pycache__`, or the user's cache folder if `__pycache__` is not writable. If
    neither is, every process compiles the function again.
    """

    def compile_later(function: Callable) -> Callable:
        try:
            return numba.njit(nogil=True, cache=True, **options)(function)
        except RuntimeError:  # raised by numba where no cache folder is writable
            return numba.njit(nogil=True, **options)(function)

    return compile_later
