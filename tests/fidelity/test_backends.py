"""Body and network give the same numbers under every backend of Keras that is installed."""

import importlib.util

import numpy as np
import pytest

from tests.helpers.processes import run_with_backend

ABSOLUTE, RELATIVE = 1e-5, 1e-5


def _run(backend, folder):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    return run_with_backend("tests.helpers.backend_run", backend, folder)


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
