"""Adam's kernel moves variables as Keras's own operations do, eagerly and in a graph."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hmr.training.adam import Adam

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
