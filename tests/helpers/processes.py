"""Modules that run in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np


def run_with_backend(module: str, backend: str, folder: Path) -> dict[str, np.ndarray]:
    """What a module saves under a backend of Keras, which is chosen when Keras is imported.

    Args:
        module: run as `python -m MODULE OUT.npz`.
        backend: tensorflow, jax or torch.
        folder: receives OUT.npz.
    """
    file = folder / f"{backend}.npz"
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", module, str(file)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-2000:]
    with np.load(file) as arrays:
        return dict(arrays)
