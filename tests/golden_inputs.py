"""The figures in tests/golden, and the made inputs that belong to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "golden"


def golden(name: str) -> dict[str, np.ndarray]:
    """All arrays of tests/golden/NAME.npz."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as figures:
        return dict(figures)
