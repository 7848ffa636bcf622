"""mixed_bfloat16: narrow layers, float32 weights, Theta, body and losses."""

import keras
import numpy as np
import pytest

from hmr.errors import UserError
from hmr.network.build import build_model
from hmr.settings import ModelSpec


@pytest.fixture(scope="module")
def spec(body_path):
    return ModelSpec("resnet14_v2_narrow", 32, hidden_units=32, dropout=0.0, body=str(body_path))


def test_only_encoder_and_regressor_are_narrow(spec):
    model = build_model(spec, with_discriminator=True, precision="mixed_bfloat16")
    assert model.encoder.get_layer("conv1").compute_dtype == "bfloat16"
    assert model.regressor.fc1.compute_dtype == "bfloat16"
    assert model.discriminator.compute_dtype == model.smpl.compute_dtype == "float32"
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    outputs = model(np.zeros((2, 32, 32, 3), np.float32))
    assert {keras.backend.standardize_dtype(value.dtype) for value in outputs.values()} == {
        "float32"
    }
    assert keras.config.dtype_policy().name == "float32"  # of everything else


def test_theta_is_close_to_float32s_and_starts_from_the_exact_mean(spec):
    theta0 = np.linspace(-1, 1, 85).astype(np.float32)
    wide, narrow = (
        build_model(spec, theta0, seed=3, precision=name) for name in ("float32", "mixed_bfloat16")
    )
    narrow.regressor.fc3.set_weights([np.zeros((32, 85)), np.zeros(85)])
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(narrow(images)["theta"])[0, 0], theta0)
    narrow.set_weights(wide.get_weights())
    np.testing.assert_allclose(narrow(images)["theta"], wide(images)["theta"], atol=2e-2)


def test_an_unknown_precision_is_refused(spec):
    with pytest.raises(UserError, match=r"precision must be one of .*Received: 'float16'"):
        build_model(spec, precision="float16")
