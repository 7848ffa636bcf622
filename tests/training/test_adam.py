"""Adam's kernel moves variables as Keras's own operations do, eagerly and in a graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hmr.errors import UserError
from hmr.settings import read_experiment
from hmr.training.adam import Adam, build_adam

RATE = keras.optimizers.schedules.ExponentialDecay(1e-2, 2, 0.5)


def _gradients():
    rng = np.random.default_rng(0)
    scale = 10.0 ** rng.uniform(-6, 2, (7, 5))
    return [tf.constant(rng.normal(size=(7, 5)) * scale, tf.float32) for _ in range(5)]


def _moved(optimizer, in_graph=False):
    variable = keras.Variable(np.ones((7, 5), np.float32))
    optimizer.build([variable])

    def step(gradient):
        optimizer.apply([gradient], [variable])

    take_step = tf.function(step) if in_graph else step
    for gradient in _gradients():
        take_step(gradient)
    assert int(optimizer.iterations) == 5
    return np.asarray(variable)


@pytest.mark.parametrize("in_graph", [False, True])
def test_the_kernel_moves_as_keras_does(in_graph):
    expected = _moved(keras.optimizers.Adam(RATE, epsilon=1e-8))
    moved = _moved(Adam(RATE, epsilon=1e-8), in_graph)
    np.testing.assert_allclose(moved, expected, rtol=2e-5, atol=1e-7)


def test_settings_survive_a_config():
    adam = Adam.from_config(Adam(1e-4, beta_1=0.5, epsilon=1e-8).get_config())
    assert (float(adam.learning_rate.numpy()), adam.beta_1) == (pytest.approx(1e-4), 0.5)


def test_amsgrad_is_refused():
    with pytest.raises(ValueError, match=r"use keras\.optimizers\.Adam"):
        Adam(amsgrad=True).build([keras.Variable([1.0])])


@pytest.mark.parametrize(("clip_norm", "second"), [(0.0, [300.0, 400.0]), (5.0, [3.0, 4.0])])
def test_a_gradient_is_shortened_to_the_limit_of_its_norm(clip_norm, second):
    variables = [keras.Variable([0.0]) for _ in range(4)]
    clipping = build_adam("constant", 0, clip_norm, 10, 0.1)
    plain = build_adam("constant", 0, 0.0, 10, 0.1)
    # Adam's first step does not depend on the gradient's length, so only a second one tells.
    for given, expected in [([0.6, 0.8], [0.6, 0.8]), ([300.0, 400.0], second)]:
        clipping.apply([tf.constant([each]) for each in given], variables[:2])
        plain.apply([tf.constant([each]) for each in expected], variables[2:])
    np.testing.assert_allclose(variables[:2], variables[2:], rtol=1e-6)


@pytest.mark.parametrize(
    ("strategy", "clip_norm", "message"),
    [("mirrored", 1.0, "needs config.strategy=none"), ("none", -1.0, "must be at least 0")],
)
def test_a_limit_that_cannot_hold_is_refused(strategy, clip_norm, message):
    with pytest.raises(UserError, match=message):
        read_experiment({"strategy": strategy, "optimizer": {"clip_norm": clip_norm}})
