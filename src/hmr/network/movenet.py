"""MoveNet as an image encoder: what a network that has seen many photographs knows of a person.

Google's network for one person in the middle of a picture (model cards "MoveNet.SinglePose
Lightning" and "Thunder"): MobileNetV2 (Sandler et al., CVPR 2018), a feature pyramid from stride 32
up to stride 4, and four heads of a small convolution network each. A cell is 4 x 4 pixels:

| head | channels | |
|---|---|---|
| center | 1 | how likely the middle of a person lies in this cell |
| regression | 34 | from the cell to the 17 keypoints of COCO (y, x), roughly, in cells |
| heatmap, offset | 17, 34 | how likely a keypoint lies in this cell; from the cell to it |

As published, the person is the best cell of `center`, and a keypoint the best cell of its heatmap
near the place where that cell expects it. Here both choices are softmax averages over the cells, so
that gradients pass. Batch norms are folded into the convolutions, as published.

Where people overlap, the published graph prefers the person whose middle is nearest to that of the
picture. HMR's crop says more: the box around its person's keypoints has a known centre and diagonal
(`hmr.geometry.crop`). With a `box_weight`, a cell also counts by how well the box around the
keypoints that it expects agrees with that one.

An adapter (`hmr.network.adapter`) may learn beside it, while it stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from hmr.errors import UserError
from hmr.geometry.crop import CROP_SIZE, PERSON_DIAGONAL_PX
from hmr.network.adapter import SampleAround, adapt
from hmr.tensor import Tensor

NUM_KEYPOINTS = 17
# Output channels, first stride and number of each group of inverted residuals, for width 1.
_GROUPS = ((16, 1, 1), (24, 2, 2), (32, 2, 3), (64, 2, 4), (96, 1, 3), (160, 2, 3), (320, 1, 1))
_EXPANSION, _TOP_CHANNELS = 6, 1280
# The blocks whose outputs the pyramid takes up: stride -> index of the block.
_LATERAL_BLOCKS = {4: 2, 8: 5, 16: 9}
_LATERAL_CHANNELS = {32: 64, 16: 64, 8: 32, 4: 24}
_MERGED_CHANNELS = {16: 32, 8: 24, 4: 24}
_HEADS = {"center": 1, "regression": 34, "heatmap": 17, "offset": 34}
_HEAD_CHANNELS = 96
# Fresh heads see nothing anywhere, so that averages over all cells have gradients.
_FLAT = keras.initializers.RandomNormal(stddev=1e-3)
# An adapter sees the deepest features of strides 16 and 8, the outputs of these blocks, and those
# of stride 4 from which the heads read the keypoints.
_ADAPTED_BLOCK, _DETAILED_BLOCK = 12, 5
# Beside an adapter's features a regressor learns sooner what keypoints say if their numbers are
# larger (docs/results.md), and learns more without the pooled features than with them.
_KEYPOINT_SCALE = 4.0
# The published graph holds these in half precision.
_PIXEL_SCALE = float(np.float16(2 / 255)) * 127.5
_NEAR_CELLS = float(np.float16(1.8))
# Softmax averages weigh a cell by its score to this power. On 256 stand-in people the keypoints are
# as exact as with the best cell alone (7.43 and 7.45 px off), and neighbours still have gradients.
_SHARPNESS = 20.0
# Half-widths of the crop's agreement with a box: the shift (of the crop's side) and the scale (a
# logarithm) that training draws at random. Beyond the cap a box is simply another person's.
_SHIFT, _SCALE, _MISFIT_CAP = 0.1, 0.25, 20.0


def movenet(
    input_size: int, width: float, box_weight: float = 0.0, adapter: int = 0
) -> keras.Model:
    """A MoveNet encoder with fresh weights: images (B, S, S, 3) in [-1, 1] to features (B, F).

    The features are the pooled output of MobileNetV2 (1280), then x, y and confidence of each of
    COCO's 17 keypoints: places in the crop's normalised coordinates ([-1, 1], y down) and the
    heatmap's value, 0 to 1, there: F = 1331. With an adapter they are the keypoints, scaled, and
    what the adapter says: F = 51 + 1.5 * `adapter`.

    Args:
        input_size: S, a multiple of 32; the published graphs use 192 (Lightning), 256 (Thunder).
        width: multiple of MobileNetV2's channels: 1 in Lightning, 1.75 in Thunder.
        box_weight: of `SoftKeypoints`.
        adapter: F of an adapter; 0 for none, as published.
    Raises:
        UserError: `input_size` is no multiple of 32.
    """
    if input_size % 32:
        raise UserError(
            f"model.input_size must be a multiple of 32 for MoveNet. Received: {input_size}."
        )
    images = keras.Input((input_size, input_size, 3), name="images")
    # The published scale of a byte is 2 / 255 rounded to half precision.
    net = layers.Rescaling(_PIXEL_SCALE, offset=_PIXEL_SCALE - 1.0, name="pixels")(images)
    net = _convolve(net, "stem", _scaled(32, width), 3, 2, "relu6")  # (B, S / 2, S / 2, C)
    outputs = []
    for index, (channels, stride) in enumerate(_blocks()):
        net = _inverted_residual(net, f"block_{index}", _scaled(channels, width), stride)
        outputs.append(net)
    top = _convolve(net, "top", _TOP_CHANNELS, activation="relu6")  # (B, S / 32, S / 32, 1280)
    net = _convolve(top, "lateral_32", _LATERAL_CHANNELS[32])
    for stride in (16, 8, 4):
        net = layers.UpSampling2D(2, interpolation="bilinear", name=f"larger_{stride}")(net)
        channels = _LATERAL_CHANNELS[stride]
        side = _convolve(outputs[_LATERAL_BLOCKS[stride]], f"lateral_{stride}", channels)
        net = layers.Add(name=f"sum_{stride}")([net, side])
        net = _separable(net, f"merge_{stride}", _MERGED_CHANNELS[stride])
    merged = net  # (B, S / 4, S / 4, 24)
    heads = {  # (B, S / 4, S / 4, C)
        name: layers.Conv2D(channels, 1, kernel_initializer=_FLAT, name=f"{name}_output")(
            _separable(merged, name, _HEAD_CHANNELS)
        )
        for name, channels in _HEADS.items()
    }
    read_keypoints = SoftKeypoints(box_weight=box_weight, name="keypoints", dtype="float32")
    keypoints = read_keypoints(heads)  # (B, 17, 3)
    flat = layers.Flatten(name="keypoint_features", dtype="float32")(keypoints)  # (B, 51)
    if adapter:
        flat = layers.Rescaling(_KEYPOINT_SCALE, name="scaled_keypoints", dtype="float32")(flat)
        samples = [
            SampleAround(name=f"samples_{stride}", dtype="float32")([maps, keypoints])
            for stride, maps in ((8, outputs[_DETAILED_BLOCK]), (4, merged))
        ]
        details = layers.Concatenate(name="details", dtype="float32")(samples)
        parts = [flat, adapt(outputs[_ADAPTED_BLOCK], details, keypoints, adapter)]
    else:
        parts = [layers.GlobalAveragePooling2D(name="pool")(top), flat]  # (B, 1280), (B, 51)
    features = layers.Concatenate(name="features", dtype="float32")(parts)
    return keras.Model(images, features, name="encoder")


def split_at_adapter(encoder: keras.Model) -> tuple[keras.Model, keras.Model]:
    """An encoder with an adapter in two models: what stays as it is, and what learns.

    Returns:
        images (B, S, S, 3) to the dict that the adapter works on: `encoder_details` (B, 17, 5, D),
        `encoder_keypoints` (B, 17, 3) and `encoder_maps` (B, N, N, C), see `hmr.network.adapter`;
        and the list of these to the encoder's features (B, F).
    """
    layer_of = {
        "details": "details",
        "keypoints": "keypoints",
        "maps": f"block_{_ADAPTED_BLOCK}_add",
    }
    seen = {f"encoder_{name}": encoder.get_layer(at).output for name, at in layer_of.items()}
    return keras.Model(encoder.input, seen), keras.Model(list(seen.values()), encoder.output)


@keras.saving.register_keras_serializable("hmr")
class SoftKeypoints(keras.layers.Layer):
    """Reads the 17 keypoints of the person in the middle off MoveNet's heads, differentiably.

    Args:
        sharpness: a cell counts by its score to this power; the published graph's choice of the
            best cell is the limit of large values.
        box_weight: how much a person's box must agree with HMR's crop; 0 for the published choice.
    """

    def __init__(
        self, sharpness: float = _SHARPNESS, box_weight: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sharpness, self.box_weight = sharpness, box_weight

    def call(self, heads: dict[str, Tensor]) -> Tensor:
        """The heads, (B, H, W, C) each, to (B, 17, 3): x, y in [-1, 1], confidence in 0..1."""
        _, rows, columns, _ = heads["center"].shape
        cells = np.moveaxis(np.mgrid[:rows, :columns], 0, -1).reshape(-1, 2)  # (N, 2) y, x
        cells = cells.astype(self.compute_dtype)
        size = np.array([rows, columns], self.compute_dtype)
        middle = size // 2
        flat = {  # (B, N, C)
            name: ops.reshape(value, (-1, rows * columns, value.shape[-1]))
            for name, value in heads.items()
        }
        to_middle = np.linalg.norm(cells - middle, axis=-1)[:, None]  # (N, 1)
        regression = ops.reshape(flat["regression"], (-1, rows * columns, NUM_KEYPOINTS, 2))
        people = cells[:, None] + regression  # (B, N, 17, 2)
        misfit = 0.0
        if self.box_weight:
            misfit = self.box_weight * _misfit_to_crop(people, size)
        weight = self._weights(flat["center"], to_middle, misfit)  # (B, N, 1)
        expected = ops.sum(weight[..., None] * people, axis=1, keepdims=True)  # (B, 1, 17, 2)
        # The square root's gradient is infinite at 0.
        squared = ops.sum((cells[:, None] - expected) ** 2, axis=-1)  # (B, N, 17)
        weight = self._weights(flat["heatmap"], ops.sqrt(squared + 1e-6))  # (B, N, 17)
        offset = ops.reshape(flat["offset"], (-1, rows * columns, NUM_KEYPOINTS, 2))
        places = ops.sum(weight[..., None] * (cells[:, None] + offset), axis=1)  # (B, 17, 2) y, x
        confidence = ops.sum(weight * ops.sigmoid(flat["heatmap"]), axis=1)  # (B, 17)
        normalised = 2.0 * places / size - 1.0
        return ops.concatenate([normalised[..., ::-1], confidence[..., None]], axis=-1)

    def _weights(self, logits: Tensor, distance: Tensor, misfit: Tensor | float = 0.0) -> Tensor:
        """How much each cell counts, (B, N, C), sum 1: by its score over the distance."""
        score = ops.log_sigmoid(logits) - ops.log(distance + _NEAR_CELLS) - misfit
        return ops.softmax(self.sharpness * score, axis=1)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, from which Keras saves and copies the layer."""
        own = {"sharpness": self.sharpness, "box_weight": self.box_weight}
        return super().get_config() | own


def _misfit_to_crop(people: Tensor, size: np.ndarray) -> Tensor:
    """How far the box of each person's keypoints, (B, N, 17, 2) cells, is from the crop's person.

    Returns:
        (B, N, 1): 0 for the box that the crop was made for; 1 for each half-width off.
    """
    low, high = ops.min(people, axis=2), ops.max(people, axis=2)  # (B, N, 2)
    shift = ((low + high) / 2 - size / 2) / (_SHIFT * size)
    diagonal = ops.sqrt(ops.sum((high - low) ** 2, axis=-1, keepdims=True) + 1e-6)
    expected = PERSON_DIAGONAL_PX / CROP_SIZE * size[0]
    scale = ops.log(diagonal / expected) / _SCALE
    misfit = ops.sum(shift**2, axis=-1, keepdims=True) + scale**2
    return ops.minimum(misfit, _MISFIT_CAP)


def _blocks() -> Iterator[tuple[int, int]]:
    """Channels for width 1 and stride of each of the 17 inverted residuals."""
    for channels, first_stride, count in _GROUPS:
        for index in range(count):
            yield channels, first_stride if index == 0 else 1


def _scaled(channels: int, width: float) -> int:
    """MobileNet's rounding to a multiple of 8 that loses no more than a tenth."""
    rounded = max(8, math.floor(channels * width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels * width else rounded + 8


def _inverted_residual(inputs: Tensor, name: str, channels: int, stride: int) -> Tensor:
    """MobileNetV2's block; the first does not expand."""
    net = inputs
    if name != "block_0":
        net = _convolve(net, f"{name}_expand", _EXPANSION * inputs.shape[-1], activation="relu6")
    net = _depthwise(net, f"{name}_depthwise", stride, use_bias=True)
    net = layers.Activation("relu6", name=f"{name}_depthwise_relu6")(net)
    net = _convolve(net, f"{name}_project", channels)
    if stride > 1 or inputs.shape[-1] != channels:
        return net
    return layers.Add(name=f"{name}_add")([inputs, net])


def _separable(inputs: Tensor, name: str, channels: int) -> Tensor:
    net = _depthwise(inputs, f"{name}_depthwise")
    return _convolve(net, f"{name}_pointwise", channels, activation="relu")


def _convolve(
    inputs: Tensor,
    name: str,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    activation: str | None = None,
) -> Tensor:
    layer = layers.Conv2D(
        channels,
        kernel,
        stride,
        "same",
        activation=activation,
        kernel_initializer="he_uniform",  # a fifth faster to load than with "he_normal"
        name=name,
    )
    return layer(inputs)


def _depthwise(inputs: Tensor, name: str, stride: int = 1, use_bias: bool = False) -> Tensor:
    layer = layers.DepthwiseConv2D(
        3,
        stride,
        "same",
        use_bias=use_bias,
        # Keras's own initialisers count the inputs of all channels, not of one.
        depthwise_initializer=keras.initializers.RandomNormal(stddev=math.sqrt(2 / 9)),
        name=name,
    )
    return layer(inputs)
