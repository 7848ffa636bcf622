"""Keypoints from precomputed small tensors beside keypoints of the whole mesh; drawing."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from benchmarks.timing import Row, compare
from hmr.body.model_file import BodyModel
from hmr.body.smpl import SMPL
from hmr.geometry.camera import WeakCamera
from hmr.rendering.rasterise import load_loops, rasterize
from hmr.rendering.shade import render_mesh

SCENE_PX = 224


def keypoints_row(body: BodyModel, batch_size: int, repeats: int) -> Row:
    """Forward and backward of the 19 keypoints."""
    smpl = SMPL(body)
    rng = np.random.default_rng(0)
    pose = tf.constant(0.3 * rng.standard_normal((batch_size, 72)), tf.float32)
    beta = tf.constant(rng.standard_normal((batch_size, 10)), tf.float32)

    def gradients(path):
        @tf.function
        def run():
            with tf.GradientTape() as tape:
                tape.watch([pose, beta])
                loss = tf.reduce_sum(tf.square(path(pose, beta)["joints3d"]))
            return tape.gradient(loss, [pose, beta])

        return run

    return compare(
        f"keypoints, forward + backward, batch {batch_size}",
        gradients(smpl.keypoints),
        "the same by way of 6890 vertices",
        gradients(smpl),
        repeats,
    )


def drawing_row(body: BodyModel, repeats: int) -> Row:
    """A shaded, antialiased body over a picture, beside finding the visible triangles alone."""
    camera = WeakCamera(SCENE_PX / 2.2, np.array([SCENE_PX / 2, SCENE_PX / 2]))
    vertices_m = body.v_template * np.array([1, -1, -1], np.float32)
    vertices_px = camera.project(vertices_m)
    picture = np.zeros((SCENE_PX, SCENE_PX, 3), np.uint8)
    load_loops()
    return compare(
        f"body over a picture of {SCENE_PX} px",
        lambda: render_mesh(vertices_px, body.faces, image=picture),
        "bare z-buffer of its 13,776 triangles",
        lambda: rasterize(vertices_px, body.faces, SCENE_PX, SCENE_PX),
        repeats,
    )
