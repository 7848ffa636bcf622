"""ImageNet weights from `keras.applications`, as a substitute for TF-Slim's checkpoint.

`keras.applications.ResNet50V2` has the same layers as TF-Slim's and was also trained on images in
[-1, 1]; `DIFFERENCE` names the two details that differ.
"""

from __future__ import annotations

import re
import sys

import keras

from hmr.errors import UserError
from hmr.original.release import DOWNLOAD, check_weights

DIFFERENCE = (
    "Keras's own ImageNet weights: its first pool pads on every side and its batch norms add "
    "1.001e-5 instead of 1e-5, so features differ from the original's start until training "
    "has adapted them."
)
_OUTSIDE_UNITS = {"conv1": "conv1_conv", "postnorm": "post_bn"}
_PARTS = {
    "preact": "preact_bn",
    "shortcut": "0_conv",
    "conv1": "1_conv",
    "conv1_norm": "1_bn",
    "conv2": "2_conv",
    "conv2_norm": "2_bn",
    "conv3": "3_conv",
}


def applications_name(layer: str) -> str:
    """The layer of `keras.applications.ResNet50V2` that corresponds to one of our encoder's."""
    if layer in _OUTSIDE_UNITS:
        return _OUTSIDE_UNITS[layer]
    unit = re.fullmatch(r"block(\d)_unit_(\d)_(\w+)", layer)
    if unit is None:
        raise ValueError(f"no layer of ResNet-50 v2 has this name. Received: {layer!r}")
    block, index, part = unit.groups()
    return f"conv{int(block) + 1}_block{index}_{_PARTS[part]}"


def copy_applications_weights(theirs: keras.Model, encoder: keras.Model) -> None:
    """Copies every weight, layer by layer, by name."""
    for layer in encoder.layers:
        if layer.weights:
            layer.set_weights(theirs.get_layer(applications_name(layer.name)).get_weights())


def load_applications(source: str) -> keras.Model:
    """`ResNet50V2` with ImageNet weights.

    Args:
        source: "keras" to let Keras download the weights, or the path of its weight file
            (resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5).

    Raises:
        UserError: the file is missing or damaged, or the download fails.
    """
    weights = "imagenet" if source == DOWNLOAD else source
    if source != DOWNLOAD:
        check_weights(source)
    if not sys.stdout.isatty():
        keras.config.disable_interactive_logging()  # the download's bar, twenty lines a second
    try:
        return keras.applications.ResNet50V2(
            include_top=False, weights=weights, input_shape=(224, 224, 3)
        )
    except Exception as error:  # Keras wraps the errors of urllib and h5py in bare exceptions
        raise UserError(
            f"Keras's ImageNet weights could not be loaded ({error}). Download "
            "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5 and give its path as --input."
        ) from error
