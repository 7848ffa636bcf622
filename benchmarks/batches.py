"""Training batches of noise, for measurements."""

from __future__ import annotations

import numpy as np

from hmr.settings import ModelSpec


def made_batch(spec: ModelSpec, batch_size: int) -> dict[str, np.ndarray]:
    """A training batch of noise with every kind of label."""
    rng = np.random.default_rng(0)
    bodies = batch_size * spec.iterations
    shapes = {
        "images": (batch_size, spec.input_size, spec.input_size, 3),
        "keypoints2d": (batch_size, 19, 2),
        "joints3d_lsp_m": (batch_size, 14, 3),
        "pose": (batch_size, 72),
        "beta": (batch_size, 10),
        "real_pose": (bodies, 72),
        "real_beta": (bodies, 10),
    }
    batch = {key: 0.3 * rng.standard_normal(shape) for key, shape in shapes.items()}
    batch["visibility"] = np.ones((batch_size, 19))
    batch["has_joints3d"] = batch["has_smpl"] = np.arange(batch_size) % 2
    return {key: np.asarray(value, np.float32) for key, value in batch.items()}
