"""Image encoders by name, and the paper's: ResNet v2 (He et al. 2016) as TF-Slim builds it.

Three details of TF-Slim differ from `keras.applications.ResNet50V2`. Without them the original's
weights do not give the original's features: the 3x3/2 max-pool pads like TensorFlow's "SAME" (right
and bottom first), batch norm's epsilon is 1e-5 and its decay 0.997.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import layers, ops

from hmr.errors import UserError
from hmr.network.adapter import ADAPTER
from hmr.network.movenet import movenet, split_at_adapter
from hmr.settings import CHOICES
from hmr.tensor import Tensor

BATCH_NORM_EPSILON, BATCH_NORM_DECAY = 1e-5, 0.997
BATCH_VARIANCES = CHOICES["train.batch_norm_variance"]
# TF-Slim's variance scaling draws from a truncated normal of variance 1.3 * 2 / fan_in;
# Keras divides by the exact 0.8796 instead of 1 / sqrt(1.3).
_KERAS_TRUNCATION = 0.87962566103423978
_CONV_INIT_SCALE = 2.0 * 1.3 * _KERAS_TRUNCATION**2


def resnet_v2(
    input_size: int, units: tuple[int, ...], width: int, stem: int, expansion: int = 4
) -> keras.Model:
    """A bottleneck ResNet v2 with fresh weights: images (B, S, S, 3) to features (B, F).

    Args:
        input_size: S, pixels.
        units: residual units of each block.
        width: channels of the first block's bottleneck; they double from block to block.
        stem: channels of the 7x7/2 root convolution.
        expansion: output channels of a unit, as a multiple of its bottleneck's channels.
    Returns:
        the model; F = expansion * width * 2^(number of blocks - 1), 2048 for ResNet-50.
    """
    images = keras.Input((input_size, input_size, 3), name="images")
    net = _conv(images, stem, 7, 2, "conv1", use_bias=True)  # (B, S/2, S/2, stem)
    net = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(net)  # (B, S/4, S/4, stem)
    for index, num_units in enumerate(units):  # (B, S/8, ...), (B, S/16, ...), (B, S/32, ...) twice
        last_block = index == len(units) - 1
        for unit in range(1, num_units + 1):
            stride = 2 if unit == num_units and not last_block else 1
            name = f"block{index + 1}_unit_{unit}"
            net = _bottleneck(net, width * 2**index, expansion, stride, name)
    net = _norm_relu(net, "postnorm")
    features = layers.GlobalAveragePooling2D(name="pool5")(net)  # (B, F)
    return keras.Model(images, features, name="encoder")


# Name -> function of the input size S. It builds a model with fresh weights that maps images
# (B, S, S, 3), RGB in [-1, 1], to features (B, F); F is read from the model.
ENCODERS: dict[str, Callable[[int], keras.Model]] = {
    "resnet50_v2": functools.partial(resnet_v2, units=(3, 4, 6, 3), width=64, stem=64),
    # Small, for demos and tests on a CPU, whose kernels are fastest with multiples of 16 channels.
    "resnet14_v2_narrow": functools.partial(
        resnet_v2, units=(1, 1, 1, 1), width=32, stem=16, expansion=2
    ),
    # They know photographs from the weights that Google trained.
    "movenet_lightning": functools.partial(movenet, width=1.0),
    "movenet_thunder": functools.partial(movenet, width=1.75),
    # Of several people it reads the one whom the crop was made for.
    "movenet_thunder_centred": functools.partial(movenet, width=1.75, box_weight=3.0),
    # With a part that learns while the rest is frozen.
    "movenet_thunder_adapter": functools.partial(movenet, width=1.75, box_weight=3.0, adapter=256),
    "movenet_lightning_adapter": functools.partial(movenet, width=1.0, box_weight=3.0, adapter=128),
}


def build_encoder(
    name: str, input_size: int, precision: str = "float32", synchronized_norm: bool = False
) -> keras.Model:
    """The image encoder (paper section 3): images (B, S, S, 3) in [-1, 1] to features phi (B, F).

    Args:
        name: a key of `ENCODERS`; the paper's is "resnet50_v2" with F = 2048.
        input_size: S, pixels.
        precision: Keras dtype policy of every layer.
        synchronized_norm: compute batch statistics over all replicas (TensorFlow only).
    Raises:
        UserError: `name` is not in the table.
        ValueError: the function in the table builds a model with other shapes.
    """
    if name not in ENCODERS:
        raise UserError(f"encoder must be one of {sorted(ENCODERS)}. Received: {name!r}.")
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        encoder = ENCODERS[name](input_size)
    finally:
        keras.config.set_dtype_policy(previous)
    shapes = encoder.input_shape, encoder.output_shape
    if shapes[0] != (None, input_size, input_size, 3) or len(shapes[1]) != 2:
        raise ValueError(f"encoder {name!r} must map (B, S, S, 3) to (B, F). Received: {shapes}.")
    for layer in _batch_norms(encoder):
        layer.synchronized = synchronized_norm
    return encoder


def set_trainable(encoder: keras.Model, freeze: bool) -> None:
    """Lets an encoder learn; with `freeze`, its adapter alone, where it has one."""
    for layer in encoder.layers:
        layer.trainable = not freeze or layer.name == ADAPTER


def split_encoder(encoder: keras.Model) -> tuple[keras.Model, keras.Model]:
    """A frozen encoder in two models: what never changes, and what may learn.

    Returns:
        images (B, S, S, 3) to a dict of tensors; and the list of them to features (B, F). Without
        an adapter they are the `features` alone.
    """
    if any(layer.name == ADAPTER for layer in encoder.layers):
        return split_at_adapter(encoder)
    features = keras.Input(encoder.output_shape[1:])
    learns = keras.Model([features], layers.Identity()(features))
    return keras.Model(encoder.input, {"features": encoder.output}), learns


def set_batch_variance(encoder: keras.Model, batch_variance: str) -> None:
    """Chooses which variance of a batch updates the moving variances of an encoder.

    Args:
        encoder: any encoder; its outputs in training do not change.
        batch_variance: "biased", as in TensorFlow 1.3 and Keras 3; or "corrected", N / (N - 1)
            times that, as in the fused kernel that TF-Slim uses since TensorFlow 1.4.
    Raises:
        ValueError: it is neither.
    """
    if batch_variance not in BATCH_VARIANCES:
        raise ValueError(
            f"batch_variance must be one of {BATCH_VARIANCES}. Received: {batch_variance!r}."
        )
    for layer in _batch_norms(encoder):
        call = type(layer).call if batch_variance == "biased" else _call_and_correct
        layer.call = functools.partial(call, layer)


def _call_and_correct(layer: Any, inputs: Tensor, training: bool = False, **kwargs: Any) -> Tensor:
    """The layer's `call`; then what it added to the moving variance is scaled by N / (N - 1)."""
    before = ops.copy(layer.moving_variance)
    outputs = type(layer).call(layer, inputs, training=training, **kwargs)
    if training and layer.trainable:
        fed = layer.moving_variance - layer.momentum * before
        batch, *sizes = ops.shape(inputs)[:-1]
        count = ops.cast(batch, "float32") * math.prod(sizes)
        layer.moving_variance.assign(layer.moving_variance + fed / (count - 1.0))
    return outputs


def _batch_norms(encoder: keras.Model) -> Iterator[Any]:
    # A private method: Keras has no public way to iterate over nested layers.
    for layer in encoder._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            yield layer


def _bottleneck(inputs: Tensor, depth: int, expansion: int, stride: int, name: str) -> Tensor:
    """Pre-activation unit; as in TF-Slim, the last unit of each block has the stride."""
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
    net = _conv(net, depth, 3, stride, f"{name}_conv2")
    net = _norm_relu(net, f"{name}_conv2_norm")
    net = _conv(net, depth_out, 1, 1, f"{name}_conv3", use_bias=True)
    return layers.Add(name=f"{name}_add")([shortcut, net])


def _norm_relu(inputs: Tensor, name: str) -> Tensor:
    norm = layers.BatchNormalization(
        momentum=BATCH_NORM_DECAY, epsilon=BATCH_NORM_EPSILON, name=name
    )
    return layers.ReLU(name=f"{name}_relu")(norm(inputs))


def _conv(
    inputs: Tensor, filters: int, kernel: int, stride: int, name: str, use_bias: bool = False
) -> Tensor:
    """TF-Slim's `conv2d_same`: a strided convolution pads both sides alike, for any input size."""
    if stride > 1 and kernel > 1:
        inputs = layers.ZeroPadding2D((kernel - 1) // 2, name=f"{name}_pad")(inputs)
    return layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same" if stride == 1 else "valid",
        use_bias=use_bias,
        kernel_initializer=keras.initializers.VarianceScaling(_CONV_INIT_SCALE, "fan_in"),
        name=name,
    )(inputs)
