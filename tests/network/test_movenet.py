"""The MoveNet encoders against what the published graphs answered, and their gradients."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from hmr.errors import UserError
from hmr.files.safe_npz import load_npz
from hmr.network.checkpoint import load_model
from hmr.network.encoders import build_encoder, split_encoder
from hmr.network.movenet import SoftKeypoints, movenet

ROOT = Path(__file__).parents[2]
LIGHTNING = ROOT / "models" / "encoders" / "movenet_lightning.weights.h5"
# The published graph of Lightning multiplies its cells by 1 / 48 rounded to half precision.
TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def lightning():
    encoder = build_encoder("movenet_lightning", 192)
    encoder.load_weights(LIGHTNING)
    return encoder


@pytest.fixture(scope="module")
def thunder(body_path):
    """The encoder of the shipped weights for photographs, which their training left as it was."""
    return load_model(ROOT / "models" / "people_free", body=str(body_path)).encoder


def published(name):
    """Picture (1, S, S, 3) in [-1, 1], pooled features (1280,), keypoints (17, 3) y, x, score."""
    golden = load_npz(ROOT / "tests" / "golden" / f"movenet_{name}.npz")
    return golden["image"][None] / np.float32(127.5) - 1, golden["pooled"], golden["output"]


@pytest.mark.parametrize("name", ["lightning", "thunder"])
def test_published_graph_is_matched(name, request):
    encoder = request.getfixturevalue(name)
    image, pooled, keypoints = published(name)
    sharp = keras.models.clone_model(encoder)
    sharp.set_weights(encoder.get_weights())
    keypoint_layer = sharp.get_layer("keypoints")
    keypoint_layer.sharpness = 3000.0  # as good as the best cell alone
    keypoint_layer.box_weight = 0.0
    layers = [sharp.get_layer(name).output for name in ("top", "keypoints")]
    top, seen = (np.asarray(value)[0] for value in keras.Model(sharp.input, layers)(image))
    np.testing.assert_allclose(top.mean(axis=(0, 1)), pooled, atol=TOLERANCE)
    expected = np.stack([2 * keypoints[:, 1] - 1, 2 * keypoints[:, 0] - 1, keypoints[:, 2]], -1)
    np.testing.assert_allclose(seen, expected, atol=TOLERANCE)


def test_the_demos_encoder_starts_with_the_published_weights(lightning):
    encoder = build_encoder("movenet_lightning_adapter", 192)
    split_encoder(encoder)[0].load_weights(LIGHTNING)
    for layer in (each for each in lightning.layers if each.weights):
        pairs = zip(layer.get_weights(), encoder.get_layer(layer.name).get_weights(), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs), layer.name


def test_averages_stay_close_to_the_best_cell(lightning):
    image, _, keypoints = published("lightning")
    seen = np.asarray(lightning(image))[0, 1280:].reshape(17, 3)
    error_px = 96 * np.abs(seen[:, 1::-1] - (2 * keypoints[:, :2] - 1))
    assert np.median(error_px) < 0.5


def heads(seed, size=12):
    draw = np.random.default_rng(seed).normal
    channels = {"center": 1, "regression": 34, "heatmap": 17, "offset": 34}
    return {
        name: draw(size=(2, size, size, number)).astype(np.float32)
        for name, number in channels.items()
    }


def test_a_keypoint_is_where_its_only_peak_says():
    """Row 3, column 8 of 12 x 12 cells, 0.25 cells below and 0.5 right of it."""
    made = {name: np.full_like(value, 0.0) for name, value in heads(0).items()}
    made["center"][:, 6, 6] = 12.0
    made["regression"][:, 6, 6] = np.tile([-3.0, 2.0], 17)
    made["heatmap"] -= 9.0
    made["heatmap"][:, 3, 8] = 4.0
    made["offset"][:, 3, 8] = np.tile([0.25, 0.5], 17)
    seen = np.asarray(SoftKeypoints()({name: tf.constant(value) for name, value in made.items()}))
    expected = [2 * 8.5 / 12 - 1, 2 * 3.25 / 12 - 1, 1 / (1 + np.exp(-4.0))]
    np.testing.assert_allclose(seen, np.broadcast_to(expected, (2, 17, 3)), atol=1e-4)


@pytest.mark.parametrize(("box_weight", "taken"), [(0.0, (4, 4)), (3.0, (8, 8))])
def test_of_two_people_the_crops_own_is_taken(box_weight, taken):
    """Cell (4, 4) is likelier and nearer, but the box of (8, 8) is the one of the crop."""
    made = {name: np.full_like(value, 0.0) for name, value in heads(0).items()}
    made["center"] -= 9.0
    made["center"][:, [4, 8], [4, 8], 0] = [5.0, 4.0]
    diagonal = np.linspace(-0.5, 0.5, 17)[:, None] * 150 / 224 * 12 / np.sqrt(2)
    made["regression"][:, 8, 8] = (
        diagonal + [-2.0, -2.0]
    ).ravel()  # its middle is that of the crop
    made["regression"][:, 4, 4] = (0.3 * diagonal - [2.0, 2.0]).ravel()
    made["heatmap"] -= 9.0
    made["heatmap"][:, [2, 6], [2, 6]] = 4.0
    layer = SoftKeypoints(box_weight=box_weight)
    seen = np.asarray(layer({name: tf.constant(value) for name, value in made.items()}))
    cell = np.array(taken) - 2
    np.testing.assert_allclose(seen[:, 8, :2], np.broadcast_to(2 * cell / 12 - 1, (2, 2)), atol=0.1)


@pytest.mark.parametrize("box_weight", [0.0, 0.3])
@pytest.mark.parametrize("head", ["center", "regression", "heatmap", "offset"])
def test_gradients_are_those_of_finite_differences(head, box_weight):
    made = {name: tf.constant(value, tf.float64) for name, value in heads(1, 5).items()}
    layer = SoftKeypoints(sharpness=3.0, box_weight=box_weight, dtype="float64")
    weights = tf.constant(np.random.default_rng(2).normal(size=(2, 17, 3)))

    @tf.function  # it is called thousands of times
    def value(changed):
        return tf.reduce_sum(weights * tf.cast(layer({**made, head: changed}), tf.float64))

    analytic, numeric = tf.test.compute_gradient(value, [made[head]], delta=1e-4)
    np.testing.assert_allclose(analytic[0], numeric[0], atol=2e-3)
    assert np.abs(numeric[0]).max() > 0.01


def test_sizes_that_do_not_halve_five_times_are_refused():
    with pytest.raises(UserError, match=r"multiple of 32 .*Received: 100"):
        movenet(100, 1.0)
