"""An adapter: what learns beside a frozen MoveNet (Houlsby et al., ICML 2019).

MoveNet says where limbs are in the picture, and little of their depth. A small network looks at its
features again, knowing where the keypoints are: at the whole person, and at each keypoint by
itself. So what MoveNet knows of photographs is not lost on made people.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from hmr.tensor import Tensor

# The name of the layer that learns while the rest of its encoder is frozen.
ADAPTER = "adapter"
# Standard deviation of a keypoint's spot, cells.
_SPOT = 1.5
# Where a keypoint's details are read: x, y of each place, cells from it.
_AROUND = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], "float32")


def adapt(maps: Tensor, details: Tensor, keypoints: Tensor, channels: int) -> Tensor:
    """Features beside those of a frozen network.

    Args:
        maps: (B, N, N, C) of the frozen network.
        details: (B, K, P, D), what finer maps of it show around each keypoint.
        keypoints: (B, K, 3), x, y in [-1, 1] and confidence.
        channels: F, how many features say something of the whole person.
    Returns:
        (B, F + F / 2): those, then what is seen at the keypoints.
    """
    spots = KeypointSpots(maps.shape[1], name="keypoint_spots", dtype="float32")(keypoints)
    inputs = [keras.Input(each.shape[1:]) for each in (maps, spots, details)]
    net = layers.Concatenate(name="seen")(inputs[:2])
    net = _norm_relu(_convolve(net, "first", channels // 4, 1), "first")  # (B, N, N, F / 4)
    net = _residual(net, "near_0", channels // 4)
    near = _residual(net, "near_1", channels // 4)
    net = _residual(near, "far", channels // 2, stride=2)  # (B, N / 2, N / 2, F / 2)
    net = _norm_relu(_convolve(net, "person", channels, 1), "person")
    person = layers.GlobalAveragePooling2D(name="person_pool")(net)  # (B, F)
    net = _norm_relu(_convolve(near, "limbs", channels // 8, 1), "limbs")
    coarse = PoolAtSpots(name="limbs_pool")([net, inputs[1]])  # (B, K, F / 8)
    net = layers.Reshape((details.shape[1], -1), name="details_flat")(inputs[2])
    fine = _norm_relu(_dense(net, "details", channels // 8), "details")  # (B, K, F / 8)
    net = layers.Flatten(name="limbs_flat")(layers.Concatenate(name="both")([coarse, fine]))
    limbs = _norm_relu(_dense(net, "all_limbs", channels // 2), "all_limbs")  # (B, F / 2)
    features = layers.Concatenate(name="features")([person, limbs])
    return keras.Model(inputs, features, name=ADAPTER)([maps, spots, details])


def _residual(inputs: Tensor, name: str, channels: int, stride: int = 1) -> Tensor:
    net = _norm(_convolve(inputs, name, channels, 3, stride), name)
    if inputs.shape == net.shape:
        net = layers.Add(name=f"{name}_add")([inputs, net])
    return layers.Activation("relu", name=f"{name}_relu")(net)


def _convolve(inputs: Tensor, name: str, channels: int, kernel: int, stride: int = 1) -> Tensor:
    layer = layers.Conv2D(channels, kernel, stride, "same", use_bias=False, name=name)
    return layer(inputs)


def _dense(inputs: Tensor, name: str, channels: int) -> Tensor:
    return layers.Dense(channels, use_bias=False, name=name)(inputs)


def _norm_relu(inputs: Tensor, name: str) -> Tensor:
    return layers.Activation("relu", name=f"{name}_relu")(_norm(inputs, name))


def _norm(inputs: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(name=f"{name}_norm")(inputs)


@keras.saving.register_keras_serializable("hmr")
class KeypointSpots(keras.layers.Layer):
    """Draws each keypoint as a spot, a Gaussian as high as its confidence.

    Args:
        size: N, cells of a map's side.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size

    def call(self, keypoints: Tensor) -> Tensor:
        """Keypoints (B, K, 3), x, y in [-1, 1] and confidence, to maps (B, N, N, K)."""
        cells = (np.arange(self.size, dtype="float32") + 0.5) * 2 / self.size - 1  # (N,)
        off = (cells[:, None, None] - keypoints[:, None]) * (self.size / 2 / _SPOT)  # (B, N, K, 3)
        spot = ops.exp(-0.5 * off**2)
        return keypoints[:, None, None, :, 2] * spot[:, :, None, :, 1] * spot[:, None, :, :, 0]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, from which Keras saves and copies the layer."""
        return super().get_config() | {"size": self.size}


@keras.saving.register_keras_serializable("hmr")
class PoolAtSpots(keras.layers.Layer):
    """Averages maps at each of several spots, whatever their height."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Maps (B, N, N, C) and spots (B, N, N, K) to averages (B, K, C)."""
        maps, spots = inputs
        weights = spots / (ops.sum(spots, axis=(1, 2), keepdims=True) + 1e-3)
        return ops.einsum("bijk,bijc->bkc", weights, maps)


@keras.saving.register_keras_serializable("hmr")
class SampleAround(keras.layers.Layer):
    """Reads maps at each of several keypoints and a cell to its sides, between cells linearly."""

    def call(self, inputs: list[Tensor]) -> Tensor:
        """Maps (B, N, N, D) and keypoints (B, K, 3), x, y in [-1, 1], to samples (B, K, 5, D)."""
        maps, keypoints = inputs
        size, count = maps.shape[1], keypoints.shape[1]
        places = (keypoints[:, :, None, :2] + 1) * (size / 2) - 0.5 + _AROUND  # (B, K, 5, 2) cells
        places = ops.reshape(ops.clip(places, 0, size - 1), (-1, count * len(_AROUND), 2))
        cells = np.arange(size, dtype="float32")
        share = ops.relu(1 - ops.abs(places[..., None] - cells))  # (B, 5 K, 2, N) of x and of y
        rows = ops.einsum("bpy,byxd->bpxd", share[:, :, 1], maps)
        samples = ops.einsum("bpx,bpxd->bpd", share[:, :, 0], rows)
        return ops.reshape(samples, (-1, count, len(_AROUND), maps.shape[-1]))
