"""The body beside `smplx` on PyTorch, with as many threads (pip install -e .[oracles])."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.timing import Row, compare
from hmr.body.model_file import BodyModel
from hmr.body.smpl import SMPL


def smplx_rows(body: BodyModel, batch_size: int, repeats: int) -> list[Row]:
    """Keypoints forward and backward, and the whole mesh forward."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    pose = (0.3 * rng.standard_normal((batch_size, 72))).astype(np.float32)
    beta = rng.standard_normal((batch_size, 10)).astype(np.float32)
    smpl, theirs = SMPL(body), Smplx(body, pose, beta)
    inputs = [tf.constant(pose), tf.constant(beta)]

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(tf.square(smpl.keypoints(*inputs)["joints3d"]))
        return tape.gradient(loss, inputs)

    mesh = tf.function(lambda: smpl(*inputs)["vertices"])
    return [
        compare(
            f"keypoints, forward + backward, batch {batch_size}",
            lambda: [gradient.numpy() for gradient in gradients()],
            "smplx on PyTorch",
            theirs.keypoint_gradients,
            repeats,
        ),
        compare(
            f"mesh, forward, batch {batch_size}",
            lambda: mesh().numpy(),
            "smplx on PyTorch",
            theirs.mesh,
            repeats,
        ),
    ]


class Smplx:
    """The same bodies by `smplx.lbs`.

    Args:
        body: the model's arrays.
        pose: (B, 72).
        beta: (B, 10).
        device: PyTorch's.
    """

    def __init__(
        self, body: BodyModel, pose: np.ndarray, beta: np.ndarray, device: str = "cpu"
    ) -> None:
        import torch
        from smplx.lbs import lbs

        self._torch = torch
        self._pose, self._beta = (
            torch.tensor(part, requires_grad=True, device=device) for part in (pose, beta)
        )
        self._regressor = torch.tensor(body.cocoplus_regressor, device=device)
        fixed = {
            "v_template": torch.tensor(body.v_template[None]),
            "shapedirs": torch.tensor(body.shapedirs),
            "posedirs": torch.tensor(body.posedirs.reshape(-1, body.posedirs.shape[-1]).T.copy()),
            "J_regressor": torch.tensor(body.joint_regressor),
            "parents": torch.tensor(body.parents.astype(np.int64)),
            "lbs_weights": torch.tensor(body.lbs_weights),
        }
        fixed = {name: value.to(device) for name, value in fixed.items()}
        self._vertices: Callable = lambda: lbs(self._beta, self._pose, **fixed)[0]

    def keypoint_gradients(self) -> list:
        """Gradients of the sum of squared keypoints with respect to pose and beta."""
        keypoints = self._torch.einsum("kv,bvc->bkc", self._regressor, self._vertices())
        loss = keypoints.square().sum()
        return [each.cpu() for each in self._torch.autograd.grad(loss, [self._pose, self._beta])]

    def mesh(self) -> np.ndarray:
        """(B, 6890, 3) vertices."""
        with self._torch.no_grad():
            return self._vertices().cpu().numpy()
