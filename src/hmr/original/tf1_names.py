"""Maps the variables of the original's TF1 checkpoints to ours, by name.

The rules below give every name and shape of the released `model.ckpt-667589` and of its inference
and training variants; no variable is matched by position or by shape.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from hmr.body.model_file import (
    NUM_BETAS,
    NUM_JOINTS,
    NUM_KEYPOINTS,
    NUM_POSE_FEATURES,
    NUM_VERTICES,
)
from hmr.network.discriminator import NUM_POSE_JOINTS, Discriminator
from hmr.network.regressor import Regressor

ENCODER_SCOPE, REGRESSOR_SCOPE, DISCRIMINATOR_SCOPE = "resnet_v2_50/", "3D_module/", "D/"
MEAN_THETA = "mean_param"

# The SMPL tensors, which the original keeps as variables, so that its checkpoints hold them.
BODY_SHAPES: dict[str, tuple[int, ...]] = {
    "v_template": (NUM_VERTICES, 3),
    "shapedirs": (NUM_BETAS, NUM_VERTICES * 3),
    "posedirs": (NUM_POSE_FEATURES, NUM_VERTICES * 3),
    "J_regressor": (NUM_VERTICES, NUM_JOINTS),
    "lbs_weights": (NUM_VERTICES, NUM_JOINTS),
    "cocoplus_regressor": (NUM_VERTICES, NUM_KEYPOINTS),
}

ENCODER_POWERS = ("beta1_power", "beta2_power")
DISCRIMINATOR_POWERS = ("beta1_power_1", "beta2_power_1")
MOMENTUM_SLOT, VELOCITY_SLOT = "/Adam", "/Adam_1"
STEP = "global_step"

# Scalars of the authors' run (rates and loss weights) in the release; they are not used.
RUN_SETTINGS = frozenset((
    "e_lr", "e_wd", "e_loss_weight", "e_3d_weight", "e_cam_weight",
    "d_lr", "d_wd", "d_loss_weight",
))  # fmt: skip

# What TF-Slim's ImageNet checkpoint holds besides the encoder.
IMAGENET_EXTRAS = frozenset(
    {f"{ENCODER_SCOPE}logits/weights", f"{ENCODER_SCOPE}logits/biases", STEP}
    | {f"{ENCODER_SCOPE}mean_rgb", "mean_rgb"}
)

_TF1_NAMES = {"kernel": "weights", "bias": "biases"}
_DISCRIMINATOR = {
    "conv1": "D/D_conv1",
    "conv2": "D/D_conv2",
    "all_joints_fc1": "D/D_alljoints_fc1",
    "all_joints_fc2": "D/D_alljoints_fc2",
    "all_joints_out": "D/D_alljoints_out",
    "shape_fc1": "D/shape_fc1/shape_fc1_1",
    "shape_fc2": "D/shape_fc1/shape_fc1_2",
    "shape_out": "D/shape_final",
}
_JOINT_CLASSIFIERS = {"joint_kernel": ("weights", (32, 1)), "joint_bias": ("biases", (1,))}
_UNIT_LAYER = re.compile(r"block(\d)_unit_(\d)_(preact|shortcut|conv\d)(_norm)?")


@dataclass(frozen=True)
class Tf1Mapping:
    """One variable of ours and the TF1 variables that hold its value.

    Attributes:
        variable: our `keras.Variable`.
        names: names of the TF1 variables; several are stacked along the first axis.
        shape: shape of each of them in TF1.
    """

    variable: Any
    names: tuple[str, ...]
    shape: tuple[int, ...]

    def shapes(self, slot: str = "") -> dict[str, tuple[int, ...]]:
        """TF1 name -> shape, of the variable itself or of one of its Adam slots."""
        return {name + slot: self.shape for name in self.names}

    def value(self, tensors: Mapping[str, np.ndarray], slot: str = "") -> np.ndarray:
        """The value of our variable or of its Adam slot, from TF1 tensors by name."""
        stacked = np.stack([tensors[name + slot] for name in self.names])
        return stacked.reshape(self.variable.shape)


def map_encoder(encoder: keras.Model) -> list[Tf1Mapping]:
    """The ResNet-50 v2, including batch-norm statistics: 270 variables."""
    return [
        _single(variable, f"{_encoder_scope(layer.name)}/{_tf1_name(variable)}")
        for layer in encoder.layers
        for variable in layer.weights
    ]


def map_regressor(regressor: Regressor) -> list[Tf1Mapping]:
    """The three dense layers and the mean theta: 7 variables."""
    return [_single(variable, _regressor_name(variable)) for variable in regressor.weights]


def map_discriminator(discriminator: Discriminator | None) -> list[Tf1Mapping]:
    """All discriminators: 62 TF1 variables, 46 of them classifiers of single joints."""
    variables = discriminator.weights if discriminator else []
    return [_map_discriminator_variable(variable) for variable in variables]


def body_arrays(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The SMPL tensors in the layout and under the names of `hmr.body.model_file`."""
    return {
        "v_template": tensors["v_template"],
        # (10, V * 3) -> (V, 3, 10) and (207, V * 3) -> (V, 3, 207)
        "shapedirs": tensors["shapedirs"].T.reshape(NUM_VERTICES, 3, NUM_BETAS),
        "posedirs": tensors["posedirs"].T.reshape(NUM_VERTICES, 3, NUM_POSE_FEATURES),
        "joint_regressor": tensors["J_regressor"].T,
        "lbs_weights": tensors["lbs_weights"],
        "cocoplus_regressor": tensors["cocoplus_regressor"].T,
    }


def expected_shapes(mappings: Iterable[Tf1Mapping], with_adam: bool) -> dict[str, tuple[int, ...]]:
    """TF1 name -> shape of all variables that `mappings` read.

    Args:
        mappings: from the functions above.
        with_adam: include both Adam slots of every trainable variable.
    """
    expected: dict[str, tuple[int, ...]] = {}
    for mapping in mappings:
        expected |= mapping.shapes()
        if with_adam and mapping.variable.trainable:
            expected |= mapping.shapes(MOMENTUM_SLOT) | mapping.shapes(VELOCITY_SLOT)
    return expected


def _encoder_scope(layer: str) -> str:
    unit = _UNIT_LAYER.fullmatch(layer)
    if unit is None:
        return ENCODER_SCOPE + layer
    block, index, part, norm = unit.groups()
    inner = "/BatchNorm" if norm else ""
    return f"{ENCODER_SCOPE}block{block}/unit_{index}/bottleneck_v2/{part}{inner}"


def _regressor_name(variable: Any) -> str:
    if variable.name == "mean_theta":
        return MEAN_THETA
    return f"{REGRESSOR_SCOPE}{_layer(variable)}/{_tf1_name(variable)}"


def _map_discriminator_variable(variable: Any) -> Tf1Mapping:
    if variable.name in _JOINT_CLASSIFIERS:
        name, shape = _JOINT_CLASSIFIERS[variable.name]
        names = tuple(f"D/pose_out_j{joint}/{name}" for joint in range(NUM_POSE_JOINTS))
        return Tf1Mapping(variable, names, shape)
    layer = _layer(variable)
    mapping = _single(variable, f"{_DISCRIMINATOR[layer]}/{_tf1_name(variable)}")
    if layer.startswith("conv") and variable.name == "kernel":  # 1x1 convolutions in TF1
        return Tf1Mapping(variable, mapping.names, (1, 1, *mapping.shape))
    return mapping


def _single(variable: Any, name: str) -> Tf1Mapping:
    return Tf1Mapping(variable, (name,), tuple(variable.shape))


def _layer(variable: Any) -> str:
    return variable.path.split("/")[-2]


def _tf1_name(variable: Any) -> str:
    return _TF1_NAMES.get(variable.name, variable.name)
