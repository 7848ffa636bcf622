"""What the processor can do, and the switches of TensorFlow that follow; read before it starts."""

from __future__ import annotations

import functools
import os
from pathlib import Path

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
_CPUINFO = Path("/proc/cpuinfo")


@functools.cache
def features() -> frozenset[str]:
    """The x86 instruction sets that Linux names, such as avx2 or avx512_bf16; empty elsewhere."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    flags = (line.partition(":")[2] for line in lines if line.startswith("flags"))
    return frozenset(next(flags, "").split())


def choose_switches() -> None:
    """Sets what TensorFlow reads at its start, unless the user has set it.

    TensorFlow uses oneDNN's convolutions by itself where there is AVX-512. With AVX2 alone it takes
    Eigen's, which need 1.5 times as long for a training step of the demo (131 to 150 ms instead of
    86 to 94, two AMD cores).
    """
    if {"avx2", "fma"} <= features() and "avx512f" not in features():
        os.environ.setdefault(ONEDNN, "1")


def emulates_bfloat16() -> bool:
    """Whether this is an x86 processor that computes bfloat16 by way of float32, which is slow."""
    return bool(features()) and not features() & {"avx512_bf16", "amx_bf16"}


def describe() -> str:
    """The choice, for reports."""
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in features()]
    switch = os.environ.get(ONEDNN)
    onednn = "as TensorFlow chooses" if switch is None else ("off" if switch == "0" else "on")
    return (
        f"{' '.join(known) or 'features unknown'}; oneDNN {onednn} ({ONEDNN}={switch or 'unset'})"
    )
