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
    Threads stay as TensorFlow has them, one for each core that this process may use.
    """
    if _set_by_user() is None and _trains_with_onednn():
        os.environ[ONEDNN] = "1"


def _set_by_user() -> bool | None:
    """oneDNN on or off; None where nothing is set that TensorFlow understands, who then chooses."""
    return {"1": True, "true": True, "0": False, "false": False}.get(
        os.environ.get(ONEDNN, "").lower()
    )


def _trains_with_onednn() -> bool:
    return {"avx2", "fma"} <= features() and "avx512f" not in features()


def emulates_bfloat16() -> bool:
    """Whether this is an x86 processor that computes bfloat16 by way of float32, which is slow."""
    return bool(features()) and not features() & {"avx512_bf16", "amx_bf16"}


def describe() -> str:
    """The choices and their reasons, for reports."""
    known = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in features()]
    chosen = _set_by_user()
    if chosen is not None:
        onednn = f"{'on' if chosen else 'off'}, since {ONEDNN}={os.environ[ONEDNN]}"
    elif "avx512f" in features():
        onednn = "on, as TensorFlow chooses with AVX-512"
    elif _trains_with_onednn():
        onednn = (
            "on in training, where it is faster with AVX2 alone; off in prediction, where it is "
            "slower"
        )
    else:
        onednn = "as TensorFlow chooses"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    named = " ".join(known) or "features unknown"
    return f"{named}; oneDNN {onednn}; {cores} threads, one for each core"
