"""Times two functions alternately, so that both run under the same load of the machine."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hmr.processor import describe

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
        ours_spread_ms, rival_spread_ms: the quartiles of both, ms.
    """

    name: str
    ours_ms: float
    rival: str
    rival_ms: float
    ours_spread_ms: tuple[float, float] | None = None
    rival_spread_ms: tuple[float, float] | None = None

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
    sides = list(zip(*pairs, strict=True))
    ours_ms, rival_ms = map(statistics.median, sides)
    return Row(name, ours_ms, rival, rival_ms, *map(_quartiles, sides))


def _quartiles(times: tuple[float, ...]) -> tuple[float, float]:
    if len(times) == 1:
        return times[0], times[0]
    low, _, high = statistics.quantiles(times, n=4, method="inclusive")
    return low, high


def machine() -> dict[str, str]:
    """The processor, its cores, and the switches that TensorFlow runs with."""
    names = (line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name"))
    return {
        "processor": next(names, platform.processor() or platform.machine()),
        "cores": str(os.cpu_count()),
        "switches": describe(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def report(rows: list[Row], as_json: bool) -> str:
    """What was measured, and on what machine: a table, or one line of JSON for programs."""
    if as_json:
        content = [{**dataclasses.asdict(row), "ratio": row.ratio} for row in rows]
        return json.dumps({"machine": machine(), "rows": content})
    heading = "\n".join(f"{key}: {value}" for key, value in machine().items())
    return f"{heading}\n{table(rows)}"


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
    lines = [
        f"{'what':<44} {'ours':>10} {'quartiles':>15}  {'beside':<36} {'its time':>10} "
        f"{'quartiles':>15} {'ratio':>6}"
    ]
    for row in rows:
        lines.append(
            f"{row.name:<44} {row.ours_ms:>7.1f} ms {_spread(row.ours_spread_ms):>15}  "
            f"{row.rival:<36} {row.rival_ms:>7.1f} ms {_spread(row.rival_spread_ms):>15} "
            f"{row.ratio:>6.2f}"
        )
    return "\n".join(lines)


def _spread(quartiles: tuple[float, float] | None) -> str:
    return "{:.1f} to {:.1f}".format(*quartiles) if quartiles else ""
