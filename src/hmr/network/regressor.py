"""Iterative error feedback (paper section 3.2): from features to Theta in T iterations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from hmr.tensor import Tensor

CAMERA, POSE, BETA = slice(0, 3), slice(3, 75), slice(75, 85)
NUM_THETA = 85
MEAN_CAMERA = (0.9, 0.0, 0.0)
ROOT_ROTATION = (np.pi, 0.0, 0.0)


def initial_theta(pose: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Theta_0 of the original: a mean body, rotated by pi about x to the camera's axes (y down).

    Args:
        pose: (72,) mean axis-angles in rad; the root's are replaced by [pi, 0, 0].
        beta: (10,) mean shape.
    Returns:
        (85,) float32 [camera 0.9, 0, 0 | pose | beta].
    """
    turned = np.concatenate([ROOT_ROTATION, np.asarray(pose)[3:]])
    return np.concatenate([MEAN_CAMERA, turned, beta]).astype(np.float32)


@keras.saving.register_keras_serializable("hmr")
class Regressor(keras.layers.Layer):
    """[phi, Theta_t] -> FC -> FC -> delta; Theta_{t+1} = Theta_t + delta, weights shared.

    The contribution of phi to the first layer is the same in every iteration. Computing it once is
    not faster: 34.5 instead of 34.3 ms for a training step of `from_scratch` (batch 32, CPU).

    Args:
        num_features: length F of phi.
        theta0: (85,) start of the iteration; a trainable variable, as in the original.
        iterations: T.
        hidden_units: width of the two hidden layers.
        dropout: dropout rate after each of them; every iteration draws a new mask.
        seed: seed of the dropout masks.
        dtype: dtype policy of the layers; Theta itself is always float32.
    """

    def __init__(
        self,
        num_features: int,
        theta0: np.ndarray | Sequence[float],
        iterations: int = 3,
        hidden_units: int = 1024,
        dropout: float = 0.5,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=kwargs.pop("name", "regressor"), **kwargs)
        policy = self.dtype_policy
        self.iterations = iterations
        self.fc1 = layers.Dense(hidden_units, "relu", name="fc1", dtype=policy)
        self.fc2 = layers.Dense(hidden_units, "relu", name="fc2", dtype=policy)
        small = keras.initializers.VarianceScaling(0.01, "fan_avg", "uniform")
        self.fc3 = layers.Dense(NUM_THETA, kernel_initializer=small, name="fc3", dtype=policy)
        self.dropout1 = layers.Dropout(dropout, seed=seed, dtype=policy)
        self.dropout2 = layers.Dropout(
            dropout, seed=None if seed is None else seed + 1, dtype=policy
        )
        start = np.asarray(theta0, np.float32).reshape(1, NUM_THETA)
        self._arguments = {
            "num_features": num_features,
            "theta0": start[0].tolist(),
            "iterations": iterations,
            "hidden_units": hidden_units,
            "dropout": dropout,
            "seed": seed,
        }
        self.mean_theta = self.add_weight(
            shape=(1, NUM_THETA),
            initializer=lambda shape, dtype=None: ops.cast(start, dtype or "float32"),
            name="mean_theta",
            dtype="float32",
            autocast=False,
        )
        self.fc1.build((None, num_features + NUM_THETA))
        self.fc2.build((None, hidden_units))
        self.fc3.build((None, hidden_units))
        self.built = True

    @property
    def random_states(self) -> list:
        """The states of the dropout generators, which a resumed training must restore."""
        dropouts = [layer for layer in (self.dropout1, self.dropout2) if layer.rate > 0]
        return [layer.seed_generator.state for layer in dropouts]

    def call(self, features: Tensor, training: bool = False) -> Tensor:
        """Features (B, F) to the estimates of every iteration, (B, T, 85) float32."""
        theta = ops.tile(ops.convert_to_tensor(self.mean_theta), (ops.shape(features)[0], 1))
        estimates = []
        for _ in range(self.iterations):
            theta = theta + self._delta(features, theta, training)  # (B, 85)
            estimates.append(theta)
        return ops.stack(estimates, axis=1)  # (B, T, 85)

    def _delta(self, features: Tensor, theta: Tensor, training: bool) -> Tensor:
        state = ops.concatenate([features, ops.cast(theta, features.dtype)], axis=-1)  # (B, F + 85)
        hidden = self.dropout1(self.fc1(state), training=training)
        hidden = self.dropout2(self.fc2(hidden), training=training)
        return ops.cast(self.fc3(hidden), "float32")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, from which Keras saves and copies the layer."""
        return super().get_config() | self._arguments
