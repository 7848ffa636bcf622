"""Skinning weights and the turns that pose blend shapes are fitted to."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.standin.rig import (
    axis_angle_matrices,
    keep_strongest,
    sample_turns,
    shares_from_weights,
    weights_from_shares,
)


def test_shares_and_weights_are_inverse():
    rng = np.random.default_rng(0)
    weights = rng.random((50, 24)) ** 6
    weights /= weights.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        weights_from_shares(shares_from_weights(weights)), weights, atol=1e-12
    )


def test_keep_strongest_leaves_the_largest_in_order():
    weights = np.array([[0.4, 0.25, 0.2, 0.1, 0.05, 0.0], [0.3, 0.2, 0.2, 0.1, 0.1, 0.1]])
    kept = keep_strongest(weights)
    assert (kept > 0).sum(axis=1).tolist() == [4, 3]
    np.testing.assert_allclose(kept.sum(axis=1), 1.0)
    np.testing.assert_allclose(kept[0, :4], np.array([0.35, 0.2, 0.15, 0.05]) / 0.75)


@pytest.mark.parametrize("kind", ["knee", "shoulder"])
def test_sampled_turns_are_rotations_within_range(kind):
    axes, angles = sample_turns(kind)
    expected = Rotation.from_rotvec(axes * angles[:, None]).as_matrix()
    np.testing.assert_allclose(axis_angle_matrices(axes, angles), expected, atol=1e-12)
    assert np.rad2deg(angles.max()) < 150
