"""SMPL (Loper et al. 2015) as a Keras layer in `keras.ops`.

Letters: B batch, V = 6890 vertices, J = 24 joints, K = 19 keypoints.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import keras
import numpy as np
from keras import ops

from hmr.body.model_file import NUM_BETAS, NUM_JOINTS, NUM_VERTICES, BodyModel
from hmr.body.rotations import rodrigues
from hmr.tensor import Tensor

_LAST_ROW = np.array([0.0, 0.0, 0.0, 1.0])


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
        self._vertex_basis = _constant(_basis(body).T.reshape(-1, 3 * NUM_VERTICES))
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
        vertices = self._skin(state.pop("transforms"), ops.reshape(rest, (-1, 3, NUM_VERTICES)))
        joints3d = ops.matmul(vertices, self._cocoplus_regressor)
        return {
            "vertices": ops.transpose(vertices, (0, 2, 1)),
            "joints3d": ops.transpose(joints3d, (0, 2, 1)),
            **state,
        }

    def _skin(self, transforms: Tensor, rest: Tensor) -> Tensor:
        """Linear blend skinning: transforms (B, J, 3, 4) move points (B, 3, V).

        Vertices come last, so that every operation runs along long rows.
        """
        columns = ops.reshape(ops.transpose(transforms, (3, 0, 2, 1)), (4, -1, NUM_JOINTS))
        blended = ops.reshape(ops.matmul(columns, self._lbs_weights), (4, -1, 3, NUM_VERTICES))
        along_x, along_y, along_z, shift = ops.unstack(blended)
        x, y, z = ops.split(rest, 3, axis=1)
        return along_x * x + along_y * y + along_z * z + shift

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
        raise TypeError("SMPL is rebuilt from its body file: hmr.network.checkpoint.load_model.")


def forward_kinematics(
    rotations: Tensor, joints: Tensor, parents: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Carries local rotations down the kinematic tree, all joints of a depth at once.

    Args:
        rotations: (B, J, 3, 3) local rotations.
        joints: (B, J, 3) rest joints, metres.
        parents: J parent indices; the root comes first, and no joint before a less deep one.
    Returns:
        posed joints (B, J, 3) and transforms (B, J, 3, 4) from rest to posed space.
    """
    starts = _level_starts(parents)
    bones = ops.concatenate(
        [joints[:, :1], joints[:, 1:] - ops.take(joints, parents[1:], axis=1)], axis=1
    )
    local = ops.concatenate([rotations, bones[..., None]], axis=-1)
    last_row = ops.broadcast_to(_constant(_LAST_ROW), (*ops.shape(local)[:2], 1, 4))
    levels = ops.split(ops.concatenate([local, last_row], axis=-2), starts[1:], axis=1)
    world = levels[:1]
    for above, start, level in zip(starts, starts[1:], levels[1:]):
        places = [parent - above for parent in parents[start : start + level.shape[1]]]
        world.append(ops.matmul(ops.take(world[-1], places, axis=1), level))
    posed = ops.concatenate(world, axis=1)[:, :, :3]
    turned, posed_joints = posed[..., :3], posed[..., 3]
    shift = posed_joints - ops.sum(turned * joints[:, :, None], axis=-1)
    return posed_joints, ops.concatenate([turned, shift[..., None]], axis=-1)


def _level_starts(parents: Sequence[int]) -> list[int]:
    """The first joint of each depth."""
    depths = [0]
    for parent in parents[1:]:
        depths.append(depths[parent] + 1)
    if depths != sorted(depths):
        raise ValueError(f"joints must be in the order of their depth. Received depths: {depths}.")
    return [depths.index(depth) for depth in range(depths[-1] + 1)]


def _constant(array: np.ndarray) -> Tensor:
    return ops.convert_to_tensor(np.ascontiguousarray(array, np.float32))


def _shape_basis(body: BodyModel) -> np.ndarray:
    """(V, 3, 1 + 10): template, then shape directions."""
    return np.concatenate([body.v_template[..., None], body.shapedirs], axis=-1, dtype=np.float64)


def _basis(body: BodyModel) -> np.ndarray:
    """(V, 3, 1 + 10 + 207): template, shape directions, pose directions."""
    return np.concatenate([_shape_basis(body), body.posedirs], axis=-1)


def _keypoint_tensors(body: BodyModel) -> tuple[Tensor, Tensor]:
    """The basis (1 + 10 + 207, K*J*3) and the summed weights (K, J) behind `keypoints`."""
    basis = _basis(body)
    used = np.flatnonzero(body.cocoplus_regressor.any(axis=0))
    weighted = np.einsum(
        "kv,vj->kjv", body.cocoplus_regressor[:, used], body.lbs_weights[used], dtype=np.float64
    )
    num_keypoints = weighted.shape[0]
    tensor = weighted.reshape(num_keypoints * NUM_JOINTS, -1) @ basis[used].reshape(len(used), -1)
    tensor = tensor.reshape(num_keypoints * NUM_JOINTS * 3, -1)
    assert tensor.shape[-1] == 1 + NUM_BETAS + body.posedirs.shape[-1]
    return _constant(tensor.T), _constant(weighted.sum(axis=-1))
