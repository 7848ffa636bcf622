"""A whole training step and a whole prediction beside the bare encoder's."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from benchmarks.batches import made_batch
from benchmarks.timing import Row, compare
from hmr.network.build import build_model
from hmr.network.encoders import build_encoder
from hmr.network.hmr import HMR
from hmr.processor import emulates_bfloat16
from hmr.settings import ModelSpec
from hmr.training.adam import Adam
from hmr.training.losses import Criterion


def training_rows(spec: ModelSpec, batch_size: int, repeats: int) -> list[Row]:
    """All losses, both networks and both Adams: beside the encoder with one Adam, and beside the
    same in mixed_bfloat16 where the processor has it.
    """
    batch = _tensors(made_batch(spec, batch_size))
    whole = model_step(spec, batch, "float32")
    beside_encoder = compare(
        f"training step, {spec.encoder}, {spec.input_size} px, batch {batch_size}",
        whole,
        "bare encoder: forward, backward, Adam",
        encoder_step(spec, batch["images"]),
        repeats,
    )
    if emulates_bfloat16():
        print("no bfloat16 in this processor: its row is left out")
        return [beside_encoder]
    beside_float32 = compare(
        f"training step in mixed_bfloat16, batch {batch_size}",
        model_step(spec, batch, "mixed_bfloat16"),
        "the same in float32",
        whole,
        repeats,
    )
    return [beside_encoder, beside_float32]


def _tensors(batch: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {key: tf.constant(value) for key, value in batch.items()}


def model_step(spec: ModelSpec, batch: dict[str, tf.Tensor], precision: str):
    """A function that takes one training step of the whole model."""
    model = build_model(spec, with_discriminator=True, precision=precision)
    model.compile(Adam(1e-5), Adam(1e-4), Criterion())
    step = tf.function(model.train_step)
    return lambda: float(step(batch)["loss"])


def encoder_step(spec: ModelSpec, images: tf.Tensor):
    """A function that takes one training step of the encoder alone."""
    encoder = build_encoder(spec.encoder, spec.input_size)
    optimizer = keras.optimizers.Adam(1e-5)
    optimizer.build(encoder.trainable_variables)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(encoder(images, training=True)))
        gradients = tape.gradient(loss, encoder.trainable_variables)
        optimizer.apply(gradients, encoder.trainable_variables)
        return loss

    return lambda: float(step())


def prediction_row(spec: ModelSpec, batch_size: int, repeats: int) -> Row:
    """Crops to every output but the mesh, beside the encoder's features."""
    model: HMR = build_model(replace(spec, dropout=0.0))
    images = tf.constant(made_batch(spec, batch_size)["images"])
    whole, bare = tf.function(model), tf.function(model.encoder)
    return compare(
        f"prediction, {spec.encoder}, {spec.input_size} px, batch {batch_size}",
        lambda: whole(images)["joints3d"].numpy(),
        "bare encoder, forward",
        lambda: bare(images).numpy(),
        repeats,
    )
