"""MoveNet MultiPose in plain TensorFlow: boxes, 17 COCO keypoints and scores of people.

Google's network (model card "MoveNet.MultiPose Lightning"): MobileNetV2 (Sandler et al., CVPR 2018)
of width 1.5, a feature pyramid from stride 32 up to stride 4, and the heads of CenterNet (Zhou et
al., "Objects as Points", 2019), one small convolution network each:

| head | channels | |
|---|---|---|
| center | 1 | how likely the middle of a person lies in this cell |
| box_size, box_offset | 2 | height and width; from the cell to the box's middle |
| regression | 34 | from the cell to the 17 keypoints, roughly |
| heatmap, offset | 17, 34 | how likely a keypoint lies in this cell; from the cell to it |

A cell is 4 x 4 pixels of the input; every pair is (y, x) in cells. A keypoint is the best cell of
its heatmap near the place where the person's centre expects it.

`hmr.network.movenet` is the network for one person, made of Keras layers that can be trained. Its
backbone is the same but for the width; a finder made of such layers would be ready later, though:
3 to 4 seconds after TensorFlow is imported instead of one (two busy cores).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

CELL_PX = 4
HEADS = ("center", "box_size", "box_offset", "regression", "heatmap", "offset")
NUM_BLOCKS = 17
HALVING_BLOCKS = (1, 3, 6, 13)
# The blocks whose output the pyramid takes up, by stride.
LATERAL_BLOCKS = {4: 2, 8: 5, 16: 9}
# The published graph holds these in half precision.
_PIXEL_SCALE = float(np.float16(2 / 255))
_SAME_AS_PEAK = 1.0133e-6
_SPREAD = float(np.float16(0.3))
_MIN_KEYPOINT = float(np.float16(0.127))


@dataclass(frozen=True)
class Candidates:
    """What one pass sees in a batch of B pictures: N centres each, the likeliest first.

    Attributes:
        keypoints_px: (B, N, 17, 3) x, y in pixels of the input, score 0 to 1; COCO's order.
        corners_px: (B, N, 4) left, top, right, bottom in pixels of the input.
        scores: (B, N) the centre's score times the mean score of the keypoints that are seen.
    """

    keypoints_px: np.ndarray
    corners_px: np.ndarray
    scores: np.ndarray


class MoveNet:
    """The network with its weights.

    Args:
        weights: `<layer>/kernel` and `<layer>/bias` by the names that `_features` and `_head` use;
            kernels (rows, columns, in, out), of depthwise layers (rows, columns, in, 1).
        people: how many centres a pass looks at; 6 in the published graph.
    """

    def __init__(self, weights: Mapping[str, np.ndarray], people: int = 6):
        self._weights = {name: tf.constant(w, tf.float32) for name, w in weights.items()}
        self._people = people
        pictures = tf.TensorSpec((None, None, None, 3), tf.uint8)
        # Nothing here needs AutoGraph, without which tracing takes half the time.
        self._run = tf.function(self.look, input_signature=[pictures], autograph=False)

    def __call__(self, images: np.ndarray) -> Candidates:
        """Looks at pictures.

        Args:
            images: (B, H, W, 3) uint8 RGB, H and W multiples of 32.
        """
        return Candidates(*(value.numpy() for value in self._run(images)))

    def look(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Inside a graph: (B, H, W, 3) uint8 to the three arrays of `Candidates`."""
        features = self._features(images)
        return _decode({name: self._head(features, name) for name in HEADS}, self._people)

    def _features(self, images: tf.Tensor) -> tf.Tensor:
        """(B, H, W, 3) uint8 -> (B, H / 4, W / 4, 24)."""
        x = tf.cast(images, tf.float32) * _PIXEL_SCALE - 1.0
        x = self._layer(x, "stem", tf.nn.relu6, stride=2)
        outputs = []
        for index in range(NUM_BLOCKS):
            x = self._block(x, f"block_{index}", 2 if index in HALVING_BLOCKS else 1)
            outputs.append(x)
        x = self._layer(self._layer(x, "top", tf.nn.relu6), "lateral_32")
        for stride in (16, 8, 4):
            side = self._layer(outputs[LATERAL_BLOCKS[stride]], f"lateral_{stride}")
            x = tf.image.resize(x, tf.shape(x)[1:3] * 2) + side
            x = self._layer(x, f"merge_{stride}/depthwise")
            x = self._layer(x, f"merge_{stride}/pointwise", tf.nn.relu)
        return x

    def _block(self, x: tf.Tensor, name: str, stride: int) -> tf.Tensor:
        """MobileNetV2's inverted residual; the first block does not expand."""
        y = x
        if f"{name}/expand/kernel" in self._weights:
            y = self._layer(y, f"{name}/expand", tf.nn.relu6)
        y = self._layer(y, f"{name}/depthwise", tf.nn.relu6, stride)
        y = self._layer(y, f"{name}/project")
        return x + y if stride == 1 and x.shape[-1] == y.shape[-1] else y

    def _head(self, x: tf.Tensor, name: str) -> tf.Tensor:
        x = self._layer(x, f"{name}/depthwise")
        return self._layer(self._layer(x, f"{name}/pointwise", tf.nn.relu), f"{name}/output")

    def _layer(
        self,
        x: tf.Tensor,
        name: str,
        activation: Callable[[tf.Tensor], tf.Tensor] | None = None,
        stride: int = 1,
    ) -> tf.Tensor:
        kernel, bias = self._weights[f"{name}/kernel"], self._weights.get(f"{name}/bias")
        convolve = tf.nn.depthwise_conv2d if name.endswith("depthwise") else tf.nn.conv2d
        x = convolve(x, kernel, [1, stride, stride, 1], "SAME")
        # Joined with the convolution by TensorFlow, which a plain sum is not.
        x = x if bias is None else tf.nn.bias_add(x, bias)
        return x if activation is None else activation(x)


def _decode(heads: Mapping[str, tf.Tensor], people: int) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The heads' (B, H, W, C) -> the arrays of `Candidates`, N = `people`."""
    rows, columns = tf.unstack(tf.shape(heads["center"])[1:3])
    size = tf.cast(tf.stack([rows, columns]), tf.float32)
    flat = {  # (B, H * W, C)
        name: tf.reshape(value, (-1, rows * columns, value.shape[-1]))
        for name, value in heads.items()
    }
    center_scores, cells = tf.math.top_k(_peaks(heads["center"]), people)  # (B, N)

    def at_center(name: str) -> tf.Tensor:
        return tf.gather(flat[name], cells, batch_dims=1)  # (B, N, C)

    center = tf.cast(tf.stack([cells // columns, cells % columns], axis=-1), tf.float32)
    middle, half = center + at_center("box_offset"), tf.nn.relu(at_center("box_size")) / 2
    low = tf.clip_by_value(middle - half, 0.0, size)  # (B, N, 2)
    high = tf.clip_by_value(middle + half, 0.0, size)
    offsets = tf.reshape(at_center("regression"), (-1, people, 17, 2))
    expected = center[:, :, None] + offsets  # (B, N, 17, 2)

    weights = [  # (B, N, 17, H) and (B, N, 17, W)
        _near(expected[..., axis], low[..., axis], high[..., axis], size, axis) for axis in (0, 1)
    ]
    heatmaps = tf.transpose(tf.sigmoid(heads["heatmap"]), (0, 3, 1, 2))[:, None]  # (B, 1, 17, H, W)
    weighted = heatmaps * weights[0][..., :, None] * weights[1][..., None, :]
    weighted = tf.reshape(weighted, (-1, people, 17, rows * columns))
    best = tf.argmax(weighted, axis=-1, output_type=tf.int32)  # (B, N, 17)
    # As published, a cell's score is the highest that it has for any of the people.
    scores = tf.gather(
        tf.reduce_max(weighted, axis=1), tf.transpose(best, (0, 2, 1)), batch_dims=2
    )  # (B, 17, N)
    scores = tf.transpose(scores, (0, 2, 1))

    by_joint = tf.reshape(flat["offset"], (-1, rows * columns, 17, 2))
    by_joint = tf.transpose(by_joint, (0, 2, 1, 3))  # (B, 17, H * W, 2)
    shift = tf.gather(by_joint, tf.transpose(best, (0, 2, 1)), batch_dims=2)  # (B, 17, N, 2)
    cell = tf.cast(tf.stack([best // columns, best % columns], axis=-1), tf.float32)
    place = (cell + tf.transpose(shift, (0, 2, 1, 3))) * CELL_PX  # (B, N, 17, 2) y, x
    keypoints = tf.concat([place[..., ::-1], scores[..., None]], axis=-1)
    corners = tf.concat([low[..., ::-1], high[..., ::-1]], axis=-1) * CELL_PX
    return keypoints, corners, center_scores * _mean_seen(scores)


def _peaks(center: tf.Tensor) -> tf.Tensor:
    """(B, H, W, 1) -> (B, H * W): the score where it is the largest within two cells, else 0."""
    score = tf.sigmoid(center)
    largest = tf.nn.max_pool2d(score, 5, 1, "SAME")
    peaks = tf.where(largest - score < _SAME_AS_PEAK, score, 0.0)
    return tf.reshape(peaks, (tf.shape(center)[0], -1))


def _near(
    expected: tf.Tensor, low: tf.Tensor, high: tf.Tensor, size: tf.Tensor, axis: int
) -> tf.Tensor:
    """How much each row (or column) counts: a Gaussian about a keypoint, nothing outside the box.

    Args:
        expected: (B, N, 17) where the person's centre expects the keypoint.
        low, high: (B, N) the person's box.
        size: (2,) rows and columns of the whole input, all in cells.
    """
    line = tf.range(size[axis])
    inside = (line >= low[..., None, None]) & (line < high[..., None, None])
    gaussian = tf.exp(-((line - expected[..., None]) ** 2) / (_SPREAD * tf.reduce_min(size)))
    return tf.where(inside, gaussian, 0.0)


def _mean_seen(scores: tf.Tensor) -> tf.Tensor:
    """(B, N, 17) -> (B, N): the mean of the scores that are not close to nothing."""
    seen = tf.cast(scores > _MIN_KEYPOINT, tf.float32)
    return tf.reduce_sum(seen * scores, -1) / tf.maximum(tf.reduce_sum(seen, -1), 1.0)
