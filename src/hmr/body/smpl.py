"""SMPL (Loper et al. 2015) as a Keras layer in `keras.ops`.

Letters: B batch, V = 6890 vertices, J = 24 joints, K = 19 keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hmr.body.model_file import NUM_BETAS, NUM_JOINTS, NUM_VERTICES, BodyModel, open_body
from hmr.body.rotations import rodrigues
from hmr.tensor import Tensor

# The last row of a homogeneous transform.
_LAST_ROW = np.array([0.0, 0.0, 0.0, 1.0], np.float32)


@keras.saving.register_keras_serializable("hmr")
class SMPL(keras.layers.Layer):
    """Bodies from pose and shape.

    `call` makes the full mesh, for pictures and export. `keypoints` makes the 19 keypoints alone,
    for training: 4.7 instead of 16.2 ms, forward and backward (batch 32, 2 CPU cores), where a
    training step of `from_scratch` takes 35 ms.

    Args:
        body: the model's arrays.
        body_path: the file they come from. Keras saves the layer by it: a body is data, and most
            may not be passed on.
    """

    def __init__(self, body: BodyModel, body_path: str | None = None, **kwargs: Any) -> None:
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.body = body
        self.body_path = body_path
        self._vertex_basis = _constant(_vertex_basis(body).T.reshape(-1, 3 * NUM_VERTICES))
        self._lbs_weights = _constant(body.lbs_weights.T)
        self._cocoplus_regressor = _constant(body.cocoplus_regressor.T)
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
        rest = ops.matmul(state.pop("features"), self._vertex_basis)
        rest = ops.reshape(rest, (-1, 3, NUM_VERTICES))  # (B, 3, V)
        vertices = self._skin(state.pop("transforms"), rest)  # (B, 3, V)
        joints3d = ops.matmul(vertices, self._cocoplus_regressor)  # (B, 3, K)
        return {
            "vertices": ops.transpose(vertices, (0, 2, 1)),  # (B, V, 3)
            "joints3d": ops.transpose(joints3d, (0, 2, 1)),  # (B, K, 3)
            **state,
        }

    def _skin(self, transforms: Tensor, rest: Tensor) -> Tensor:
        """Linear blend skinning (equation 7): transforms (B, J, 3, 4) move points (B, 3, V).

        Vertices come last, so that every operation runs along long rows.
        """
        columns = ops.transpose(transforms, (3, 0, 2, 1))  # (4, B, 3, J)
        columns = ops.reshape(columns, (4, -1, NUM_JOINTS))  # (4, B * 3, J)
        blended = ops.matmul(columns, self._lbs_weights)  # (4, B * 3, V)
        blended = ops.reshape(blended, (4, -1, 3, NUM_VERTICES))
        along_x, along_y, along_z, shift = ops.unstack(blended)  # (B, 3, V) each
        x, y, z = ops.split(rest, 3, axis=1)  # (B, 1, V) each
        return along_x * x + along_y * y + along_z * z + shift

    def keypoints(self, pose: Tensor, beta: Tensor) -> dict[str, Tensor]:
        """As `call`, without `vertices`: the same keypoints at a small part of the cost.

        A keypoint k is a weighted sum of vertices, and a vertex is, joint by joint, a transform of
        a sum that is linear in (1, beta, pose features). So the vertices can be summed up
        beforehand: k is the sum over the joints j of R_j p_kj + w_kj t_j, where p_kj is linear in
        the features and w_kj is a constant.
        """
        state = self._articulate(pose, beta)
        transforms, features = state.pop("transforms"), state.pop("features")
        points = ops.matmul(features, self._keypoint_basis)
        points = ops.reshape(points, (-1, self._keypoint_weights.shape[0], NUM_JOINTS, 3))
        rotated = ops.einsum("bjcd,bkjd->bkc", transforms[..., :3], points)  # (B, K, 3)
        shifted = ops.einsum("bjc,kj->bkc", transforms[..., 3], self._keypoint_weights)
        return {"joints3d": rotated + shifted, **state}

    def _articulate(self, pose: Tensor, beta: Tensor) -> dict[str, Tensor]:
        """Rotations, posed joints, their transforms, and (1, beta, pose features): (B, 218)."""
        rotations = rodrigues(ops.reshape(pose, (-1, NUM_JOINTS, 3)))  # (B, J, 3, 3)
        pose_features = rotations[:, 1:] - ops.eye(3, dtype=rotations.dtype)  # (B, J - 1, 3, 3)
        shape_features = ops.concatenate([ops.ones_like(beta[:, :1]), beta], axis=1)  # (B, 1 + 10)
        joints = ops.matmul(shape_features, self._joint_basis)
        joints = ops.reshape(joints, (-1, NUM_JOINTS, 3))
        smpl_joints, transforms = forward_kinematics(rotations, joints, self.body.parents.tolist())
        pose_features = ops.reshape(pose_features, (-1, (NUM_JOINTS - 1) * 9))  # (B, 207)
        return {
            "rotations": rotations,
            "smpl_joints": smpl_joints,
            "transforms": transforms,
            "features": ops.concatenate([shape_features, pose_features], axis=1),
        }

    def get_config(self) -> dict[str, Any]:
        """The layer by its body's path, from the working directory.

        Raises:
            TypeError: it was made from arrays alone.
        """
        if self.body_path is None:
            raise TypeError("this SMPL has no path: build it as SMPL(open_body(path), path).")
        return {"name": self.name, "body_path": str(self.body_path)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SMPL:
        """Opens the body again.

        Raises:
            UserError: the body cannot be opened.
        """
        return cls(open_body(config["body_path"]), **config)


def forward_kinematics(
    rotations: Tensor, joints: Tensor, parents: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Carries local rotations down the kinematic tree (Loper et al. 2015, equations 3 and 4).

    Args:
        rotations: (B, J, 3, 3) local rotations.
        joints: (B, J, 3) rest joints, metres.
        parents: J parent indices, -1 at the root; the root comes first, no child before its parent.
    Returns:
        posed joints (B, J, 3) and transforms (B, J, 3, 4) from rest to posed space.
    """
    bones = joints[:, 1:] - ops.take(joints, parents[1:], axis=1)
    bones = ops.concatenate([joints[:, :1], bones], axis=1)
    local = ops.concatenate([rotations, bones[..., None]], axis=-1)  # (B, J, 3, 4)
    last_row = ops.broadcast_to(_LAST_ROW, (*ops.shape(local)[:2], 1, 4))
    local = ops.unstack(ops.concatenate([local, last_row], axis=-2), axis=1)  # J of (B, 4, 4)
    world = local[:1]
    for own, parent in zip(local[1:], parents[1:], strict=True):
        world.append(ops.matmul(world[parent], own))
    posed = ops.stack(world, axis=1)[:, :, :3]  # (B, J, 3, 4)
    turned, posed_joints = posed[..., :3], posed[..., 3]
    shift = posed_joints - ops.sum(turned * joints[:, :, None], axis=-1)
    return posed_joints, ops.concatenate([turned, shift[..., None]], axis=-1)


def _constant(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))


def _shape_basis(body: BodyModel) -> np.ndarray:
    """(V, 3, 1 + 10): template, then shape directions."""
    return np.concatenate([body.v_template[..., None], body.shapedirs], axis=-1, dtype=np.float64)


def _vertex_basis(body: BodyModel) -> np.ndarray:
    """(V, 3, 1 + 10 + 207): template, shape directions, pose directions."""
    return np.concatenate([_shape_basis(body), body.posedirs], axis=-1)


def _keypoint_tensors(body: BodyModel) -> tuple[Tensor, Tensor]:
    """The basis (1 + 10 + 207, K*J*3) and the summed weights (K, J) behind `keypoints`."""
    basis = _vertex_basis(body)
    used = np.flatnonzero(body.cocoplus_regressor.any(axis=0))
    weighted = np.einsum(
        "kv,vj->kjv", body.cocoplus_regressor[:, used], body.lbs_weights[used], dtype=np.float64
    )
    num_keypoints = weighted.shape[0]
    tensor = weighted.reshape(num_keypoints * NUM_JOINTS, -1) @ basis[used].reshape(len(used), -1)
    tensor = tensor.reshape(num_keypoints * NUM_JOINTS * 3, -1)
    assert tensor.shape[-1] == 1 + NUM_BETAS + body.posedirs.shape[-1]
    return _constant(tensor.T), _constant(weighted.sum(axis=-1))
