import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.model_file import load_body
from tests.helpers.small_predictor import bare_body, image, model_folder, predictor

__all__ = ["bare_body", "image", "model_folder", "predictor"]


@pytest.fixture(scope="session")
def body(body_path):
    return load_body(body_path)


@pytest.fixture
def posed(body, rng):
    """Two bent bodies as the body layer poses them: inputs and numpy outputs."""
    from hmr.body.smpl import SMPL

    pose = 0.5 * rng.standard_normal((2, 72)).astype(np.float32)
    pose[:, :3] = np.array([[np.pi, 0, 0], [2.5, 0.4, -0.6]])
    beta = rng.standard_normal((2, 10)).astype(np.float32)
    outputs = {key: np.asarray(value) for key, value in SMPL(body)(pose, beta).items()}
    rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix().reshape(2, 24, 3, 3)
    return {**outputs, "pose": pose, "beta": beta, "rotations": rotations}
