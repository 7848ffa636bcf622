"""An encoder of one convolution and one norm: quick to trace where the encoder does not matter."""

from __future__ import annotations

import keras
from keras import layers

from hmr.network.encoders import ENCODERS

TINY = "tiny"


def tiny_encoder(input_size: int) -> keras.Model:
    """Images (B, S, S, 3) to features (B, 32)."""
    images = keras.Input((input_size, input_size, 3), name="images")
    net = layers.Conv2D(32, 7, 4, use_bias=False, name="conv")(images)
    net = layers.ReLU(name="relu")(layers.BatchNormalization(name="norm")(net))
    features = layers.GlobalAveragePooling2D(name="pool")(net)  # (B, 32)
    return keras.Model(images, features, name="encoder")


def register_tiny_encoder() -> str:
    """Puts it into this process's table of encoders, and returns its name there."""
    ENCODERS[TINY] = tiny_encoder
    return TINY
