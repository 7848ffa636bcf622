"""A training step under Keras's JAX backend changes every variable as TensorFlow's step does."""

import importlib.util

import numpy as np
import pytest

from tests.helpers.processes import run_with_backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed"),
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    module = "tests.helpers.training_run"
    return tuple(run_with_backend(module, each, folder) for each in ("tensorflow", "jax"))


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
