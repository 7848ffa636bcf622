"""Every supervised loss by its row; tests/fidelity holds the paper's to the original's figures."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from hmr.settings import LossWeights
from hmr.training.losses import SUPERVISED, Criterion, keypoint_loss

OUTPUTS = {
    "camera": (3,), "pose": (72,), "beta": (10,), "rotations": (24, 3, 3),
    "smpl_joints": (24, 3), "joints3d": (19, 3), "keypoints2d": (19, 2),
}  # fmt: skip
LABELS = {"keypoints2d": (19, 2), "joints3d_lsp_m": (14, 3), "pose": (72,), "beta": (10,)}
SUPERVISION = {"visibility": (19,), "has_joints3d": (), "has_smpl": ()}


def _random(rng, shapes, batch_size=2):
    shapes = {name: (batch_size, *shape) for name, shape in shapes.items()}
    return {n: tf.constant(rng.standard_normal(s), tf.float32) for n, s in shapes.items()}


def test_every_loss_has_a_weight():
    fields = {field.name for field in dataclasses.fields(LossWeights)}
    assert fields == {*SUPERVISED, "adversarial"}


@pytest.mark.parametrize("name", SUPERVISED)
def test_without_labels_a_loss_and_its_gradients_are_zero(name, rng):
    outputs, batch = _random(rng, OUTPUTS), _random(rng, LABELS)
    batch |= {key: tf.zeros((2, *shape)) for key, shape in SUPERVISION.items()}
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss, count = Criterion().supervised(outputs, batch)[name]
    gradients = tape.gradient(loss, outputs, unconnected_gradients="zero")
    assert float(loss) == 0 and float(count) == 0
    assert all(not np.any(gradient) for gradient in gradients.values())


def test_the_keypoint_loss_by_hand():
    predicted = tf.constant([[[1.0, 2.0], [0.0, 0.0], [5.0, 5.0]]])
    target, visibility = tf.zeros((1, 3, 2)), tf.constant([[1.0, 1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(predicted)
        loss = keypoint_loss(predicted, target, visibility)
    assert float(loss) == pytest.approx(3 / 4)  # |1| + |2| over two visible points of two numbers
    np.testing.assert_allclose(tape.gradient(loss, predicted)[0, ::2], [[0.25, 0.25], [0, 0]])
