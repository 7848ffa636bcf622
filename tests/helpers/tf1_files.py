"""Writes TF1 checkpoints with the original's names and made values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from hmr.original import tf1_names
from hmr.original.convert import NetworkParts, expected_variables
from hmr.original.tf1_checkpoint import INFERENCE, TRAINING
from tests.helpers.golden_inputs import made_body, made_weight


def inference_values() -> dict[str, np.ndarray]:
    """The 283 variables of the inference graph."""
    network = NetworkParts.of(INFERENCE)
    shapes = expected_variables(network, INFERENCE, with_body=False)
    return {name: made_weight(name, shape) for name, shape in shapes.items()} | body_values()


def training_values(step: int = 0) -> dict[str, np.ndarray]:
    """The 832 variables of the training graph; Adam's moments are constants of each variable."""
    values = inference_values()
    shapes = expected_variables(NetworkParts.of(TRAINING), TRAINING, with_body=False)
    for index, (name, shape) in enumerate(shapes.items()):
        if name.endswith(tf1_names.VELOCITY_SLOT):
            values[name] = np.full(shape, 1e-6 * (index + 1), np.float32)
        elif name.endswith(tf1_names.MOMENTUM_SLOT):
            values[name] = np.full(shape, 1e-3 * (index + 1), np.float32)
        elif "power" in name:
            beta = 0.9 if "beta1" in name else 0.999
            values[name] = np.float32(beta ** (step + 1))
        elif name == tf1_names.STEP:
            values[name] = np.int32(step)
        elif name not in values:
            values[name] = made_weight(name, shape)
    return values


def body_values() -> dict[str, np.ndarray]:
    """The six SMPL tensors as the original keeps them."""
    body = made_body()
    return {
        "v_template": body.v_template,
        "shapedirs": body.shapedirs.reshape(-1, 10).T,
        "posedirs": body.posedirs.reshape(-1, 207).T,
        "J_regressor": body.joint_regressor.T,
        "lbs_weights": body.lbs_weights,
        "cocoplus_regressor": body.cocoplus_regressor.T,
    }


def write_checkpoint(prefix: Path, values: dict[str, np.ndarray]) -> Path:
    """Writes a checkpoint in TF1's format."""
    names = sorted(values)
    tensors = [tf.constant(np.array(values[name], order="C")) for name in names]
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=tensors,
    )
    return prefix
