"""Finds the people of a picture inside a TensorFlow graph: the first look of `finder`, alone.

One pass over the whole picture, its longer side made 512 px: at most six people, and none who are
far smaller than a sixth of it. `hmr.finding.finder` also looks at quarters, and closer at each.
"""

from __future__ import annotations

import tensorflow as tf

from hmr.finding.finder import INPUT_MULTIPLE, LOOK_PX, MIN_SCORE
from hmr.finding.movenet import MoveNet

MOST_PEOPLE = 6
NUM_KEYPOINTS = 17


def find_in_graph(network: MoveNet, image: tf.Tensor) -> dict[str, tf.Tensor]:
    """The people of one picture, the surest first; rows of nobody are zero.

    Args:
        network: looks for `MOST_PEOPLE`.
        image: (H, W, 3) uint8 RGB.

    Returns:
        there (6,) bool; scores (6,); keypoints_px (6, 17, 3) x, y in pixels of the picture, score;
        boxes (6, 4) left, top, width, height of the keypoints that count, the picture's for nobody.
    """
    shape = tf.cast(tf.shape(image)[:2], tf.float32)
    scale = LOOK_PX / tf.reduce_max(shape)
    size = tf.maximum(tf.cast(tf.round(shape * scale), tf.int32), 1)
    # Antialiased, as the area average that OpenCV makes smaller pictures with.
    small = tf.image.resize(image, size, antialias=True)
    beyond = tf.math.floormod(-size, INPUT_MULTIPLE)
    canvas = tf.pad(small, [[0, beyond[0]], [0, beyond[1]], [0, 0]])
    canvas = tf.saturate_cast(tf.round(tf.ensure_shape(canvas, (None, None, 3))), tf.uint8)
    keypoints, _, scores = (value[0] for value in network.look(canvas[None]))

    scores, order = tf.math.top_k(scores, MOST_PEOPLE)
    points = tf.gather(keypoints[..., :2], order) / scale  # (6, 17, 2)
    confidence = tf.gather(keypoints[..., 2:], order)  # (6, 17, 1)
    counted = confidence > MIN_SCORE
    low = tf.reduce_min(tf.where(counted, points, tf.float32.max), axis=1)  # (6, 2)
    high = tf.reduce_max(tf.where(counted, points, tf.float32.min), axis=1)
    there = (scores > MIN_SCORE) & tf.reduce_all(high > low, axis=1)
    whole = tf.concat([tf.zeros(2), shape[::-1]], axis=0)
    found = tf.concat([points, confidence], axis=2)
    return {
        "there": there,
        "scores": tf.where(there, scores, 0.0),
        "keypoints_px": tf.where(there[:, None, None], found, 0.0),
        "boxes": tf.where(there[:, None], tf.concat([low, high - low], axis=1), whole),
    }
