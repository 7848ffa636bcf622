"""Adds up the time of each stage of a long run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
_END = object()


class Stopwatch:
    """`with watch("read"): ...` adds to `watch.seconds["read"]`."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Times the body of the `with`, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - start

    def each(self, stage: str, items: Iterable[T]) -> Iterator[T]:
        """Yields the items; counts the time to get them, not what is done with them."""
        waiting = iter(items)
        while True:
            with self(stage):
                item = next(waiting, _END)
            if item is _END:
                return
            yield item  # type: ignore[misc]
