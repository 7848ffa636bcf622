"""Times two functions alternately, so that both run under the same load of the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

WARM_UP_CALLS = 2
BLOCK_S, PAUSE_S = 0.1, 0.3


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        ours_ms: median time of one call, ms.
        rival: what it is compared with.
        rival_ms: median time of one call of the rival, ms.
    """

    name: str
    ours_ms: float
    rival: str
    rival_ms: float

    @property
    def ratio(self) -> float:
        """Our time over the rival's; below 1 is faster."""
        return self.ours_ms / self.rival_ms


def compare(
    name: str, ours: Callable[[], object], rival: str, other: Callable[[], object], repeats: int
) -> Row:
    """Calls both alternately, `repeats` times after a warm-up, and takes medians."""
    for _ in range(WARM_UP_CALLS):
        ours(), other()
    pairs = [(_milliseconds(ours), _milliseconds(other)) for _ in range(repeats)]
    ours_ms, rival_ms = (statistics.median(times) for times in zip(*pairs, strict=True))
    return Row(name, ours_ms, rival, rival_ms)


def _milliseconds(call: Callable[[], object]) -> float:
    """Mean time of one call, over as many calls as fill `BLOCK_S`."""
    # Threads of the other function may still be spinning, as OpenMP's do.
    time.sleep(PAUSE_S)
    started, calls = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < BLOCK_S or not calls:
        call()
        calls += 1
    return 1000.0 * passed / calls


def table(rows: list[Row]) -> str:
    """Rows under a heading, columns aligned."""
    lines = [f"{'what':<44} {'ours':>10}  {'beside':<36} {'its time':>10} {'ratio':>6}"]
    for row in rows:
        lines.append(
            f"{row.name:<44} {row.ours_ms:>7.1f} ms  {row.rival:<36} {row.rival_ms:>7.1f} ms "
            f"{row.ratio:>6.2f}"
        )
    return "\n".join(lines)
