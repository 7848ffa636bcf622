"""The factorised adversarial prior (paper section 3.3): K + 2 = 25 discriminators."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from hmr.body.joints import SMPL_JOINTS
from hmr.tensor import Tensor

NUM_POSE_JOINTS = len(SMPL_JOINTS) - 1
OUTPUTS = (*SMPL_JOINTS[1:], "all_joints", "shape")


@keras.saving.register_keras_serializable("hmr")
class Discriminator(keras.layers.Layer):
    """Scores bodies: one classifier for each joint's rotation, one for all of them, one for shape.

    The pose classifiers share two 1x1 layers on the 9 numbers of each rotation matrix. The root's
    rotation is not shown. Columns of the output are named by `OUTPUTS`.

    Args:
        hidden_units: width of the all-joints classifier's two layers.
    """

    def __init__(self, hidden_units: int = 1024, **kwargs: Any) -> None:
        kwargs.setdefault("dtype", "float32")
        super().__init__(name=kwargs.pop("name", "discriminator"), **kwargs)
        self.hidden_units = hidden_units
        self.conv1 = layers.Dense(32, "relu", name="conv1")
        self.conv2 = layers.Dense(32, "relu", name="conv2")
        self.all_joints_fc1 = layers.Dense(hidden_units, "relu", name="all_joints_fc1")
        self.all_joints_fc2 = layers.Dense(hidden_units, "relu", name="all_joints_fc2")
        self.all_joints_out = layers.Dense(1, name="all_joints_out")
        self.shape_fc1 = layers.Dense(10, "relu", name="shape_fc1")
        self.shape_fc2 = layers.Dense(5, "relu", name="shape_fc2")
        self.shape_out = layers.Dense(1, name="shape_out")
        # Each joint's (32, 1) classifier is drawn as Glorot and Bengio's, with fans of 32 and 1.
        limit = (6.0 / (32 + 1)) ** 0.5
        per_joint = keras.initializers.RandomUniform(-limit, limit)
        self.joint_kernel = self.add_weight(
            shape=(NUM_POSE_JOINTS, 32), initializer=per_joint, name="joint_kernel"
        )
        self.joint_bias = self.add_weight(
            shape=(NUM_POSE_JOINTS,), initializer="zeros", name="joint_bias"
        )
        self._build_layers(hidden_units)

    def _build_layers(self, hidden_units: int) -> None:
        widths = {
            self.conv1: 9,
            self.conv2: 32,
            self.all_joints_fc1: NUM_POSE_JOINTS * 32,
            self.all_joints_fc2: hidden_units,
            self.all_joints_out: hidden_units,
            self.shape_fc1: 10,
            self.shape_fc2: 10,
            self.shape_out: 5,
        }
        for layer, width in widths.items():
            layer.build((None, width))
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
        """The constructor's arguments, of which Keras saves and copies the layer."""
        return super().get_config() | {"hidden_units": self.hidden_units}
