"""ResNet v2 (He et al. 2016, "Identity mappings") as TF-Slim builds it.

Three details differ from `keras.applications.ResNet50V2` and decide whether the original's weights
give the original's features: the 3x3/2 max-pool pads like TensorFlow's "SAME" (right and bottom
first), BatchNorm's epsilon is 1e-5 and its decay 0.997.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers, ops

from hmr.tensor import Tensor

BATCH_NORM_EPSILON, BATCH_NORM_DECAY = 1e-5, 0.997
# TF-Slim's variance scaling draws from a truncated normal of variance 1.3 * 2 / fan_in;
# Keras divides by the exact 0.8796 instead of 1 / sqrt(1.3).
_KERAS_TRUNCATION = 0.87962566103423978
_CONV_INIT_SCALE = 2.0 * 1.3 * _KERAS_TRUNCATION**2


@dataclass(frozen=True)
class ResNetSpec:
    """A bottleneck ResNet v2.

    Attributes:
        units: residual units of the four blocks.
        width: channels of the first block's bottleneck; they double from block to block.
        stem: channels of the 7x7/2 root convolution.
        expansion: output channels of a unit, in multiples of its bottleneck's.
    """

    units: tuple[int, ...]
    width: int
    stem: int
    expansion: int = 4

    @property
    def num_features(self) -> int:
        """Length of the feature vector phi."""
        return self.expansion * self.width * 2 ** (len(self.units) - 1)


ENCODERS = {
    "resnet50_v2": ResNetSpec(units=(3, 4, 6, 3), width=64, stem=64),
    # Small ones for demos and tests on a CPU: channels in multiples of 16, which its kernels like.
    "resnet14_v2_narrow": ResNetSpec(units=(1, 1, 1, 1), width=32, stem=16, expansion=2),
}


BATCH_VARIANCES = ("biased", "corrected")


class BatchNormalization(layers.BatchNormalization):
    """Batch norm of TF-Slim's ResNet, under Keras's own name, as weight files have it.

    Attributes:
        batch_variance: which variance of a batch the moving average is fed: "biased", that of
            TF 1.3 and Keras 3, or "corrected", N / (N - 1) of it, that of the fused kernel which
            TF-Slim uses from TF 1.4 on. Outputs in training are the same.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(momentum=BATCH_NORM_DECAY, epsilon=BATCH_NORM_EPSILON, **kwargs)
        self.batch_variance = BATCH_VARIANCES[0]

    def call(self, inputs: Tensor, training: bool | None = None, mask: Tensor = None) -> Tensor:
        """As Keras's layer."""
        if self.batch_variance == "biased" or not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        before = ops.copy(self.moving_variance)
        outputs = super().call(inputs, training=training, mask=mask)
        fed = self.moving_variance - self.momentum * before
        batch, *sizes = ops.shape(inputs)[:-1]
        count = ops.cast(batch, "float32") * math.prod(sizes)
        self.moving_variance.assign(self.moving_variance + fed / (count - 1.0))
        return outputs


def set_batch_variance(encoder: keras.Model, batch_variance: str) -> None:
    """Chooses what the moving variances of an encoder are fed, see `BatchNormalization`.

    Raises:
        ValueError: it is not one of `BATCH_VARIANCES`.
    """
    if batch_variance not in BATCH_VARIANCES:
        raise ValueError(
            f"batch_variance must be one of {BATCH_VARIANCES}. Received: {batch_variance!r}."
        )
    for layer in encoder.layers:
        if isinstance(layer, BatchNormalization):
            layer.batch_variance = batch_variance


def build_encoder(
    name: str, input_size: int, precision: str = "float32", synchronized_norm: bool = False
) -> keras.Model:
    """The image encoder (paper section 3): images (B, S, S, 3) in [-1, 1] to features phi (B, F).

    Args:
        name: a key of `ENCODERS`; the paper's is "resnet50_v2" with F = 2048.
        input_size: S, pixels.
        precision: Keras's dtype policy of every layer.
        synchronized_norm: take batch statistics over all replicas (TensorFlow only).
    Raises:
        ValueError: `name` is not in the table.
    """
    if name not in ENCODERS:
        raise ValueError(f"encoder must be one of {sorted(ENCODERS)}. Received: {name!r}.")
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        encoder = _resnet(ENCODERS[name], input_size)
    finally:
        keras.config.set_dtype_policy(previous)
    for layer in encoder.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.synchronized = synchronized_norm
    return encoder


def _resnet(spec: ResNetSpec, input_size: int) -> keras.Model:
    images = keras.Input((input_size, input_size, 3), name="images")
    net = _conv_same(images, spec.stem, 7, 2, "conv1", use_bias=True)
    net = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(net)
    for index, num_units in enumerate(spec.units):
        depth = spec.width * 2**index
        last_block = index == len(spec.units) - 1
        for unit in range(1, num_units + 1):
            stride = 2 if unit == num_units and not last_block else 1
            net = _bottleneck(net, depth, spec.expansion, stride, f"block{index + 1}_unit_{unit}")
    net = _norm_relu(net, "postnorm")
    features = layers.GlobalAveragePooling2D(name="pool5")(net)
    return keras.Model(images, features, name="encoder")


def _bottleneck(inputs: Tensor, depth: int, expansion: int, stride: int, name: str) -> Tensor:
    """Pre-activation unit; as in TF-Slim the stride sits in each block's last unit."""
    depth_out = expansion * depth
    preact = _norm_relu(inputs, f"{name}_preact")
    if inputs.shape[-1] != depth_out:
        shortcut = _conv(preact, depth_out, 1, stride, f"{name}_shortcut", use_bias=True)
    elif stride > 1:
        shortcut = layers.MaxPooling2D(1, stride, name=f"{name}_subsample")(inputs)
    else:
        shortcut = inputs
    net = _conv(preact, depth, 1, 1, f"{name}_conv1")
    net = _norm_relu(net, f"{name}_conv1_norm")
    net = _conv_same(net, depth, 3, stride, f"{name}_conv2")
    net = _norm_relu(net, f"{name}_conv2_norm")
    net = _conv(net, depth_out, 1, 1, f"{name}_conv3", use_bias=True)
    return layers.Add(name=f"{name}_add")([shortcut, net])


def _norm_relu(inputs: Tensor, name: str) -> Tensor:
    norm = BatchNormalization(name=name)(inputs)
    return layers.ReLU(name=f"{name}_relu")(norm)


def _conv(
    inputs: Tensor,
    filters: int,
    kernel: int,
    stride: int,
    name: str,
    use_bias: bool = False,
    padding: str = "same",
) -> Tensor:
    initializer = keras.initializers.VarianceScaling(_CONV_INIT_SCALE, "fan_in")
    return layers.Conv2D(
        filters,
        kernel,
        stride,
        padding=padding,
        use_bias=use_bias,
        kernel_initializer=initializer,
        name=name,
    )(inputs)


def _conv_same(
    inputs: Tensor, filters: int, kernel: int, stride: int, name: str, use_bias: bool = False
) -> Tensor:
    """Strided convolutions pad both sides alike, whatever the input's size (TF-Slim)."""
    if stride == 1:
        return _conv(inputs, filters, kernel, stride, name, use_bias)
    padded = layers.ZeroPadding2D((kernel - 1) // 2, name=f"{name}_pad")(inputs)
    return _conv(padded, filters, kernel, stride, name, use_bias, padding="valid")
