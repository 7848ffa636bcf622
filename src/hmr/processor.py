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
    """Sets what TensorFlow reads at its start for a training, unless the user has set it.

    TensorFlow uses oneDNN's convolutions by itself where there is AVX-512. With AVX2 alone it takes
    Eigen's, which need 1.5 to 1.7 times as long for a training step of `from_scratch`. To predict
    single pictures they are faster (docs/training.md): prediction leaves the choice to TensorFlow.
    """
    if _trains_with_onednn():
        os.environ.setdefault(ONEDNN, "1")


def _trains_with_onednn() -> bool:
    return {"avx2", "fma"} <= features() and "avx512f" not in features()


def emulates_bfloat16() -> bool:
    """Whether this is an x86 processor that computes bfloat16 by way of float32, which is slow."""
    return bool(features()) and not features() & {"avx512_bf16", "amx_bf16"}


def describe() -> str:
    """The choice, for reports."""
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in features()]
    switch = os.environ.get(ONEDNN)
    if switch is None:
        onednn = "as TensorFlow chooses" + (", on in training" if _trains_with_onednn() else "")
    else:
        onednn = "off" if switch == "0" else "on"
    return (
        f"{' '.join(known) or 'features unknown'}; oneDNN {onednn} ({ONEDNN}={switch or 'unset'})"
    )
