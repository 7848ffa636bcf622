"""Losses, camera and discriminators against the original's figures."""

import numpy as np
import pytest
import tensorflow as tf

from hmr.geometry.projection import project
from hmr.network.discriminator import Discriminator
from hmr.original.tf1_names import map_discriminator
from hmr.training import losses
from tests.helpers.golden_inputs import golden, made_weight

LOSSES = golden("losses")
SCORES = golden("discriminator")


def _value_and_gradient(function, inputs):
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = function(inputs)
    return value, tape.gradient(value, inputs)


def test_camera():
    figures = golden("projection")
    projected = project(figures["joints3d"], figures["camera"])
    np.testing.assert_allclose(projected, figures["keypoints2d"], atol=1e-6)


@pytest.mark.parametrize(
    "case", ["all_visible", "partly", "one_item_empty", "none", "non_binary_vis"]
)
def test_keypoint_loss(case):
    target = LOSSES[f"kp_gt.{case}"]
    value, gradient = _value_and_gradient(
        lambda p: losses.keypoint_loss(p, target[..., :2], target[..., 2]), LOSSES["kp_pred"]
    )
    np.testing.assert_allclose(value, LOSSES[f"kp_loss.{case}"], rtol=1e-6)
    np.testing.assert_allclose(gradient, LOSSES[f"kp_grad.{case}"], atol=1e-7)


@pytest.mark.parametrize("case", ["all", "mix", "one", "none", "nonbinary"])
@pytest.mark.parametrize("size", [226, 42])
def test_3d_losses(size, case):
    target, weights = LOSSES[f"p3d_gt.{size}"], LOSSES[f"p3d_has.{case}"]
    value, gradient = _value_and_gradient(
        lambda p: losses.weighted_squared_loss(p, target, weights), LOSSES[f"p3d_pred.{size}"]
    )
    np.testing.assert_allclose(value, LOSSES[f"p3d_loss.{size}.{case}"], rtol=1e-6)
    np.testing.assert_allclose(gradient, LOSSES[f"p3d_grad.{size}.{case}"], atol=1e-7)


def test_centring_on_the_hips():
    centred = losses.centre_on_hips(LOSSES["pelvis_in"])
    np.testing.assert_allclose(centred, LOSSES["pelvis_out"], atol=1e-7)


@pytest.fixture(scope="module")
def discriminator():
    layer = Discriminator()
    for source in map_discriminator(layer):
        tensors = {name: made_weight(name, source.shape) for name in source.names}
        source.variable.assign(source.value(tensors))
    return layer


def _scores(discriminator, poses, shapes):
    return discriminator(tf.reshape(poses, (-1, 23, 3, 3)), shapes)


def test_the_25_scores(discriminator):
    scores = _scores(discriminator, SCORES["poses"], SCORES["shapes"])
    np.testing.assert_allclose(scores, SCORES["d_out"], rtol=1e-5, atol=2e-6)


def test_adversarial_losses_and_their_gradient_by_the_body(discriminator):
    poses, shapes = tf.constant(SCORES["poses"]), tf.constant(SCORES["shapes"])
    with tf.GradientTape() as tape:
        tape.watch([poses, shapes])
        scores = _scores(discriminator, poses, shapes)
        fooled = losses.adversarial_encoder_loss(scores[6:])
    real, fake = losses.adversarial_discriminator_losses(scores[:6], scores[6:])
    np.testing.assert_allclose(real, SCORES["d_loss_real"], rtol=1e-5)
    np.testing.assert_allclose(fake, SCORES["d_loss_fake"], rtol=1e-5)
    np.testing.assert_allclose(fooled, SCORES["e_loss_disc"], rtol=1e-5)
    by_pose, by_shape = tape.gradient(fooled, [poses, shapes])
    np.testing.assert_allclose(by_pose, SCORES["grad_eloss_poses"], atol=2e-6)
    np.testing.assert_allclose(by_shape, SCORES["grad_eloss_shapes"], atol=2e-6)


def test_gradients_of_every_discriminator_weight(discriminator):
    with tf.GradientTape() as tape:
        scores = _scores(discriminator, SCORES["poses"], SCORES["shapes"])
        total = sum(losses.adversarial_discriminator_losses(scores[:6], scores[6:]))
    sources = map_discriminator(discriminator)
    gradients = tape.gradient(total, [source.variable.value for source in sources])
    for source, gradient in zip(sources, gradients, strict=True):
        _check_gradient(source, gradient.numpy())


def _check_gradient(source, gradient):
    """Stored gradients are compared in full; of the two largest weights only the norm is kept."""
    parts = gradient.reshape(len(source.names), *source.shape)
    for name, part in zip(source.names, parts, strict=True):
        key = name.replace("/", ".")
        norm = SCORES[f"grad_dloss_norm.{key}"]
        assert np.linalg.norm(part.astype(np.float64)) == pytest.approx(norm, rel=1e-5)
        if f"grad_dloss.{key}" in SCORES:
            np.testing.assert_allclose(part, SCORES[f"grad_dloss.{key}"], atol=1e-5 * norm)
