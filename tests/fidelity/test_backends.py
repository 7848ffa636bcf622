"""Body and network give the same numbers under every backend of Keras that is installed."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

ABSOLUTE, RELATIVE = 1e-5, 1e-5


def _run(backend, folder):
    """A process of its own: Keras chooses its backend when it is first imported."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    file = folder / f"{backend}.npz"
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-m", "tests.helpers.backend_run", str(file)]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr[-2000:]
    with np.load(file) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return _run("tensorflow", tmp_path_factory.mktemp("backend"))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_same_numbers(backend, reference, tmp_path):
    results = _run(backend, tmp_path)
    assert not results.pop("imported")[0], "hmr.body or hmr.network imported tensorflow"
    for name, value in results.items():
        np.testing.assert_allclose(
            value, reference[name], rtol=RELATIVE, atol=ABSOLUTE, err_msg=name
        )
