"""Leaving a training cleanly: signals and non-finite losses."""

from __future__ import annotations

import math
import signal
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from hmr.errors import UserError


class StopSignal:
    """Turns the first Ctrl-C or SIGTERM into a flag, so that a step is never cut in half.

    A second signal acts as usual. Use as a context manager around the training loop.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        for number in self.SIGNALS:
            self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


def check_finite(step: int, logs: Mapping[str, float], batch: Mapping, folder: Path) -> None:
    """Stops a training whose loss is not a number.

    Args:
        step: the step the losses belong to.
        logs: scalars of that step.
        batch: its inputs; saved to `folder/bad_batch_<step>.npz` when a loss is bad.
        folder: the working directory.
    Raises:
        UserError: naming the step, the losses and the saved batch.
    """
    bad = sorted(name for name, value in logs.items() if not math.isfinite(value))
    if not bad:
        return
    path = folder / f"bad_batch_{step}.npz"
    arrays: dict[str, Any] = {key: np.asarray(value) for key, value in batch.items()}
    np.savez(path, **arrays)
    raise UserError(
        f"step {step}: {', '.join(bad)} is not finite. Inputs saved to {path}; weights of the last "
        "checkpoint are kept. Lower --config.optimizer.encoder_learning_rate, or look at the "
        "batch's records, and run the same command to resume."
    )
