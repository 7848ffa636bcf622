"""A training step under Keras's JAX backend changes every variable as TensorFlow's step does."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
]


def _run(backend, folder):
    """A process of its own: Keras chooses its backend when it is first imported."""
    file = folder / f"{backend}.npz"
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.helpers.training_run", str(file)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-2000:]
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    return _run("tensorflow", folder), _run("jax", folder)


def test_three_steps_are_the_same(runs):
    """Weights, moving averages, both Adams' moments, losses and norms of gradients."""
    expected, results = runs
    assert expected.keys() == results.keys()
    for name, value in results.items():
        scale = max(np.linalg.norm(expected[name]), 1e-6)
        tolerance = 3e-5 if "gradient_norm" in name else 1e-5
        assert np.linalg.norm(value - expected[name]) <= tolerance * scale, name


def test_the_steps_do_something(runs):
    """Losses fall from step to step, and the discriminators' too."""
    for run in runs:
        assert (np.diff(run["log loss"]) < 0).all()
        assert (np.diff(run["log discriminator.loss"]) < 0).all()
