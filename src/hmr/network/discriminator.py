"""The factorised adversarial prior (paper section 3.3): K + 2 = 25 discriminators."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from hmr.body.joints import SMPL_JOINTS
from hmr.body.model_file import NUM_BETAS
from hmr.tensor import Tensor

NUM_POSE_JOINTS = len(SMPL_JOINTS) - 1
OUTPUTS = (*SMPL_JOINTS[1:], "all_joints", "shape")


@keras.saving.register_keras_serializable("hmr")
class Discriminator(keras.layers.Layer):
    """Scores bodies: one classifier for each joint's rotation, one for all of them, one for shape.

    The pose classifiers share two 1x1 layers on the 9 entries of each rotation matrix. The root's
    rotation is not an input. `OUTPUTS` names the columns of the output.

    Args:
        hidden_units: width of the all-joints classifier's two layers.
    """

    def __init__(self, hidden_units: int = 1024, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=kwargs.pop("name", "discriminator"), **kwargs)
        self.hidden_units = hidden_units
        self.conv1 = _dense("conv1", 9, 32, "relu")
        self.conv2 = _dense("conv2", 32, 32, "relu")
        self.all_joints_fc1 = _dense("all_joints_fc1", NUM_POSE_JOINTS * 32, hidden_units, "relu")
        self.all_joints_fc2 = _dense("all_joints_fc2", hidden_units, hidden_units, "relu")
        self.all_joints_out = _dense("all_joints_out", hidden_units, 1)
        self.shape_fc1 = _dense("shape_fc1", NUM_BETAS, 10, "relu")
        self.shape_fc2 = _dense("shape_fc2", 10, 5, "relu")
        self.shape_out = _dense("shape_out", 5, 1)
        # Glorot-uniform for each joint's own (32, 1) classifier, whose fans are 32 and 1.
        limit = (6.0 / (32 + 1)) ** 0.5
        per_joint = keras.initializers.RandomUniform(-limit, limit)
        self.joint_kernel = self.add_weight(
            shape=(NUM_POSE_JOINTS, 32), initializer=per_joint, name="joint_kernel"
        )
        self.joint_bias = self.add_weight(
            shape=(NUM_POSE_JOINTS,), initializer="zeros", name="joint_bias"
        )
        self.built = True

    def call(self, rotations: Tensor, beta: Tensor) -> Tensor:
        """Scores (N, 25).

        Args:
            rotations: (N, 23, 3, 3) rotation matrices of joints 1..23.
            beta: (N, 10).
        """
        flat = ops.reshape(rotations, (-1, NUM_POSE_JOINTS, 9))  # (N, 23, 9)
        hidden = self.conv2(self.conv1(flat))  # (N, 23, 32)
        each_joint = ops.sum(hidden * self.joint_kernel, axis=-1) + self.joint_bias  # (N, 23)
        hidden = ops.reshape(hidden, (-1, NUM_POSE_JOINTS * 32))  # (N, 736)
        all_joints = self.all_joints_out(self.all_joints_fc2(self.all_joints_fc1(hidden)))  # (N, 1)
        shape = self.shape_out(self.shape_fc2(self.shape_fc1(beta)))  # (N, 1)
        return ops.concatenate([each_joint, all_joints, shape], axis=1)  # (N, 25)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, from which Keras saves and copies the layer."""
        return super().get_config() | {"hidden_units": self.hidden_units}


def _dense(name: str, inputs: int, units: int, activation: str | None = None) -> layers.Dense:
    layer = layers.Dense(units, activation, name=name)
    layer.build((None, inputs))
    return layer
