"""The whole network and its optimisers against the original's formulas, restated in numpy."""

import keras
import numpy as np
import pytest

from hmr.body.smpl import SMPL
from hmr.geometry.projection import project
from hmr.network.encoders import build_encoder
from hmr.network.hmr import HMR
from hmr.network.regressor import Regressor, initial_theta
from hmr.original.tf1_names import map_encoder, map_regressor
from hmr.training.adam import ADAM_EPSILON, Adam
from tests.helpers.golden_inputs import golden, made_body, made_weight


@pytest.fixture(scope="module")
def weights():
    """TF1 name -> value of the regression module and the mean parameters."""
    regressor = Regressor(2048, np.zeros(85))
    return {s.names[0]: made_weight(s.names[0], s.shape) for s in map_regressor(regressor)}


def _regress(features, weights, iterations=3):
    """Iterative error feedback, paper section 3.2, in float64."""
    theta = np.repeat(weights["mean_param"], len(features), axis=0).astype(np.float64)
    estimates = []
    for _ in range(iterations):
        state = np.concatenate([features, theta], axis=1)
        for layer in ("fc1", "fc2"):
            state = np.maximum(_dense(state, weights, layer), 0.0)
        theta = theta + _dense(state, weights, "fc3")
        estimates.append(theta)
    return np.stack(estimates, axis=1)


def _dense(inputs, weights, layer):
    return inputs @ weights[f"3D_module/{layer}/weights"] + weights[f"3D_module/{layer}/biases"]


def test_the_three_thetas(weights):
    features = np.random.default_rng(4).normal(size=(5, 2048)).astype(np.float32)
    regressor = Regressor(2048, np.zeros(85))
    for source in map_regressor(regressor):
        source.variable.assign(weights[source.names[0]])
    np.testing.assert_allclose(regressor(features), _regress(features, weights), atol=1e-5)


def test_theta_0_faces_the_camera_upright():
    theta = initial_theta(np.arange(72.0), np.full(10, 0.5))
    np.testing.assert_allclose(theta[:7], [0.9, 0, 0, np.pi, 0, 0, 3.0])
    np.testing.assert_allclose(theta[75:], 0.5)


def test_the_model_is_encoder_regressor_body_and_camera(weights):
    regressor = Regressor(2048, np.zeros(85))
    for source in map_regressor(regressor):
        source.variable.assign(weights[source.names[0]])
    features = np.random.default_rng(5).normal(size=(2, 2048)).astype(np.float32)
    inputs = keras.Input((2048,))
    smpl = SMPL(made_body())
    outputs = HMR(keras.Model(inputs, keras.layers.Identity()(inputs)), regressor, smpl)(features)
    theta = _regress(features, weights)[:, -1].astype(np.float32)
    body = smpl(theta[:, 3:75], theta[:, 75:])
    np.testing.assert_allclose(outputs["joints3d"], body["joints3d"], atol=2e-5)
    projected = project(body["joints3d"], theta[:, :3])
    np.testing.assert_allclose(outputs["keypoints2d"], projected, atol=2e-5)


@pytest.mark.slow
def test_the_whole_network_gives_the_originals_figures():
    """The authors' RunModel with the same weights, 2 images."""
    encoder, regressor = build_encoder("resnet50_v2", 224), Regressor(2048, np.zeros(85))
    for source in [*map_encoder(encoder), *map_regressor(regressor)]:
        source.variable.assign(made_weight(source.names[0], source.shape))
    rng, figures = np.random.default_rng(0), golden("network")
    images = np.array([rng.uniform(-1, 1, (224, 224, 3)) for _ in range(2)], np.float32)
    outputs = HMR(encoder, regressor, SMPL(made_body()))(images, vertices=True)
    outputs["vertices"] = outputs["vertices"][:, ::41]
    for name, expected in figures.items():
        bound = 2e-5 if name in ("vertices", "features") else 1e-5
        np.testing.assert_allclose(outputs[name], expected, atol=bound, err_msg=name)


def test_adam_moves_as_tf1s():
    """lr sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + 1e-8), gradients of many sizes."""
    rng = np.random.default_rng(6)
    gradients = rng.normal(size=(6, 50)) * 10.0 ** rng.uniform(-9, 1, 50)
    variable = keras.Variable(np.zeros(50, np.float32))
    adam = Adam(1e-3, epsilon=ADAM_EPSILON)
    position, m, v = np.zeros(50), np.zeros(50), np.zeros(50)
    for step, gradient in enumerate(gradients, start=1):
        adam.apply([keras.ops.convert_to_tensor(gradient.astype(np.float32))], [variable])
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        rate = 1e-3 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        position -= rate * m / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(variable, position, rtol=2e-4, atol=1e-7)
