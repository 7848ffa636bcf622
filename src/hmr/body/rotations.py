"""Rotations in `keras.ops`: axis-angle to matrices, as HMR computes them."""

from __future__ import annotations

from keras import ops

from hmr.tensor import Tensor

# The original adds this to every component before the norm, so that gradients are finite at zero.
ANGLE_EPSILON = 1e-8


def rodrigues(axis_angle: Tensor) -> Tensor:
    """Rotation matrices of axis-angle vectors (Loper et al. 2015, equation 1).

    Args:
        axis_angle: (..., 3) radians.
    Returns:
        (..., 3, 3). The angle is the norm of (axis_angle + 1e-8), the axis is axis_angle divided by
        it, so that a zero input gives exactly the identity, with finite gradients.
    """
    angle = ops.sqrt(ops.sum(ops.square(axis_angle + ANGLE_EPSILON), axis=-1, keepdims=True))
    axis = axis_angle / angle  # (..., 3) over (..., 1)
    cosine = ops.cos(angle)[..., None]  # (..., 1, 1)
    sine = ops.sin(angle)[..., None]  # (..., 1, 1)
    outer = axis[..., :, None] * axis[..., None, :]  # (..., 3, 3)
    identity = ops.eye(3, dtype=axis_angle.dtype)
    return cosine * identity + (1.0 - cosine) * outer + sine * skew(axis)


def skew(vector: Tensor) -> Tensor:
    """Cross-product matrices (..., 3, 3) of vectors (..., 3)."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    zero = ops.zeros_like(x)
    rows = ops.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1)  # (..., 9)
    return ops.reshape(rows, (*ops.shape(x), 3, 3))  # (..., 3, 3)
