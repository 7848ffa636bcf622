"""SMPL (Loper et al. 2015) as a Keras layer in `keras.ops`.

Letters: B batch, V = 6890 vertices, J = 24 joints, K = 19 keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import keras
import numpy as np
from keras import ops

from src.body.model_file import NUM_BETAS, NUM_JOINTS, NUM_VERTICES, BodyModel
from src.body.rotations import rodrigues
from src.body.tensor import Tensor


class SMPL(keras.layers.Layer):
    """Bodies from pose and shape.

    Keypoints are linear in the posed vertices, and each posed vertex is linear, per joint
    transform, in (1, beta, pose features). Their product is a small tensor, computed once, that
    gives the 19 keypoints exactly without the 6890 vertices: training uses `keypoints`, pictures
    and export the full mesh.

    Args:
        body: the model's arrays.
    """

    def __init__(self, body: BodyModel, **kwargs: Any) -> None:
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.body = body
        self.parents = [int(parent) for parent in body.parents]
        self._v_template = _constant(body.v_template.reshape(1, -1))
        self._blend_shapes = _constant(_blend_shapes(body).reshape(NUM_VERTICES * 3, -1).T)
        self._lbs_weights = _constant(body.lbs_weights)
        self._cocoplus_regressor = _constant(body.cocoplus_regressor)
        regressed = np.einsum("jv,vck->jck", body.joint_regressor, _shape_basis(body))
        self._joint_basis = _constant(regressed.reshape(NUM_JOINTS * 3, -1).T)
        self._keypoint_basis, self._keypoint_weights = _keypoint_tensors(body)

    def call(self, pose: Tensor, beta: Tensor) -> dict[str, Tensor]:
        """Posed bodies.

        Args:
            pose: (B, 72) axis-angles, radians, root first.
            beta: (B, 10) shape.
        Returns:
            dict of `vertices` (B, V, 3), `joints3d` (B, K, 3) cocoplus keypoints, `smpl_joints`
            (B, J, 3), all in metres in the body's frame, and `rotations` (B, J, 3, 3).
        """
        state = self._articulate(pose, beta)
        features = state.pop("features")
        offsets = ops.matmul(features[:, 1:], self._blend_shapes)
        rest = ops.reshape(self._v_template + offsets, (-1, NUM_VERTICES, 3))
        transforms = ops.reshape(state.pop("transforms"), (-1, NUM_JOINTS, 12))
        blended = ops.reshape(ops.matmul(self._lbs_weights, transforms), (-1, NUM_VERTICES, 3, 4))
        vertices = _apply(blended, rest)
        joints3d = ops.matmul(self._cocoplus_regressor, vertices)
        return {"vertices": vertices, "joints3d": joints3d, **state}

    def keypoints(self, pose: Tensor, beta: Tensor) -> dict[str, Tensor]:
        """As `call`, without `vertices`: the same keypoints at a small part of the cost."""
        state = self._articulate(pose, beta)
        transforms, features = state.pop("transforms"), state.pop("features")
        points = ops.matmul(features, self._keypoint_basis)
        points = ops.reshape(points, (-1, self._keypoint_weights.shape[0], NUM_JOINTS, 3))
        # sum over joints j of R_j p_kj + w_kj t_j
        rotated = ops.einsum("bjcd,bkjd->bkc", transforms[..., :3], points)
        shifted = ops.einsum("bjc,kj->bkc", transforms[..., 3], self._keypoint_weights)
        return {"joints3d": rotated + shifted, **state}

    def _articulate(self, pose: Tensor, beta: Tensor) -> dict[str, Tensor]:
        rotations = rodrigues(ops.reshape(pose, (-1, NUM_JOINTS, 3)))
        pose_features = rotations[:, 1:] - ops.eye(3, dtype=rotations.dtype)
        shape_features = ops.concatenate([ops.ones_like(beta[:, :1]), beta], axis=1)
        joints = ops.reshape(ops.matmul(shape_features, self._joint_basis), (-1, NUM_JOINTS, 3))
        smpl_joints, transforms = forward_kinematics(rotations, joints, self.parents)
        flat = ops.reshape(pose_features, (-1, (NUM_JOINTS - 1) * 9))
        return {
            "rotations": rotations,
            "smpl_joints": smpl_joints,
            "transforms": transforms,
            "features": ops.concatenate([shape_features, flat], axis=1),
        }

    def get_config(self) -> NoReturn:
        """A body is data, not configuration: models are rebuilt from their body file."""
        raise TypeError("SMPL is rebuilt from its body file: src.network.checkpoint.load_model.")


def forward_kinematics(
    rotations: Tensor, joints: Tensor, parents: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Carries local rotations down the kinematic tree.

    Args:
        rotations: (B, J, 3, 3) local rotations.
        joints: (B, J, 3) rest joints, metres.
        parents: J parent indices; the root comes first.
    Returns:
        posed joints (B, J, 3) and transforms (B, J, 3, 4) from rest to posed space.
    """
    world_rotations, world_joints = [rotations[:, 0]], [joints[:, 0]]
    for joint in range(1, len(parents)):
        parent = parents[joint]
        bone = joints[:, joint] - joints[:, parent]
        world_joints.append(
            world_joints[parent] + ops.einsum("bcd,bd->bc", world_rotations[parent], bone)
        )
        world_rotations.append(ops.matmul(world_rotations[parent], rotations[:, joint]))
    stacked = ops.stack(world_rotations, axis=1)
    posed = ops.stack(world_joints, axis=1)
    translation = posed - ops.einsum("bjcd,bjd->bjc", stacked, joints)
    return posed, ops.concatenate([stacked, translation[..., None]], axis=-1)


def _apply(transforms: Tensor, points: Tensor) -> Tensor:
    """Affine transforms (B, V, 3, 4) on points (B, V, 3)."""
    rotated = ops.sum(transforms[..., :3] * points[:, :, None, :], axis=-1)
    return rotated + transforms[..., 3]


def _constant(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))


def _shape_basis(body: BodyModel) -> np.ndarray:
    """(V, 3, 1 + 10): template, then shape directions."""
    return np.concatenate([body.v_template[..., None], body.shapedirs], axis=-1, dtype=np.float64)


def _blend_shapes(body: BodyModel) -> np.ndarray:
    """(V, 3, 10 + 207): shape, then pose directions."""
    return np.concatenate([body.shapedirs, body.posedirs], axis=-1)


def _keypoint_tensors(body: BodyModel) -> tuple[Tensor, Tensor]:
    """The basis (1 + 10 + 207, K*J*3) and the summed weights (K, J) behind `keypoints`."""
    basis = np.concatenate([_shape_basis(body), body.posedirs], axis=-1)
    used = np.flatnonzero(body.cocoplus_regressor.any(axis=0))
    weighted = np.einsum(
        "kv,vj->kjv", body.cocoplus_regressor[:, used], body.lbs_weights[used], dtype=np.float64
    )
    num_keypoints = weighted.shape[0]
    tensor = weighted.reshape(num_keypoints * NUM_JOINTS, -1) @ basis[used].reshape(len(used), -1)
    tensor = tensor.reshape(num_keypoints * NUM_JOINTS * 3, -1)
    assert tensor.shape[-1] == 1 + NUM_BETAS + body.posedirs.shape[-1]
    return _constant(tensor.T), _constant(weighted.sum(axis=-1))
