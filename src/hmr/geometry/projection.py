"""The weak-perspective camera of the paper (section 3.1)."""

from __future__ import annotations

from keras import ops

from hmr.tensor import Tensor


def project(points3d: Tensor, camera: Tensor) -> Tensor:
    """x = s (X_xy + t): orthographic projection, then translation, then scale.

    Args:
        points3d: (B, N, 3) metres, in the body's frame after the root rotation.
        camera: (B, 3) as [s, tx, ty].
    Returns:
        (B, N, 2) in the crop's normalised coordinates, [-1, 1] inside it, y down.
    """
    scale = ops.reshape(camera[:, 0], (-1, 1, 1))  # (B, 1, 1)
    translation = ops.expand_dims(camera[:, 1:], 1)  # (B, 1, 2)
    return scale * (points3d[..., :2] + translation)
