import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.errors import UserError
from hmr.evaluation import baselines, metrics


def _turned_copies(seed=0, count=40):
    rng = np.random.default_rng(seed)
    body = rng.normal(size=(14, 3))
    turns = Rotation.random(count, random_state=rng).as_matrix()
    scales = rng.uniform(0.8, 1.2, (count, 1, 1))
    return body, scales * (body @ turns.transpose(0, 2, 1)) + rng.normal(size=(count, 1, 3))


def test_arithmetic_mean_is_of_centred_joints():
    _, joints = _turned_copies()
    answer = baselines.constant_baseline(joints)
    np.testing.assert_allclose(answer.arithmetic, metrics.centre(joints).mean(0))
    np.testing.assert_allclose(answer.arithmetic[2] + answer.arithmetic[3], 0, atol=1e-12)


def test_procrustes_mean_finds_the_one_body_behind_turned_copies():
    body, joints = _turned_copies()
    mean = baselines.generalised_procrustes_mean(joints)
    assert metrics.pa_mpjpe(mean[None], body[None])[0] < 1e-9


def test_procrustes_mean_has_the_mean_size_of_the_samples():
    _, joints = _turned_copies()
    mean = baselines.generalised_procrustes_mean(joints)
    spread = np.sum((joints - joints.mean(1, keepdims=True)) ** 2, axis=(1, 2))
    assert np.sum(mean**2) == pytest.approx(spread.mean())


def test_mean_keypoints_skip_what_is_not_visible():
    keypoints = np.array([[[0.0, 0], [10, 10], [9, 9]], [[2, 4], [99, 99], [9, 9]]])
    visible = np.array([[1, 1, 0], [1, 0, 0]])
    means = baselines.mean_keypoints(keypoints, visible)
    np.testing.assert_allclose(means, [[1, 2], [10, 10], [4, 14 / 3]])


def test_no_training_sample_is_refused():
    with pytest.raises(UserError, match="0 samples"):
        baselines.constant_baseline(np.zeros((0, 14, 3)))
    with pytest.raises(UserError, match="none"):
        baselines.mean_keypoints(np.zeros((2, 3, 2)), np.zeros((2, 3)))
