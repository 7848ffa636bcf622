"""The implicit figure's field."""

import numpy as np
import pytest

from hmr.body.standin.form import body_field, field_gradient, smooth_min


def test_gradient_agrees_with_a_straight_difference():
    points_m = np.array([[0.11, -0.52, 0.07], [0.03, 0.10, 0.11], [0.30, 0.26, -0.03]])
    gradient = field_gradient(points_m)
    along = np.array([0.6, 0.48, 0.64])
    step = 1e-4
    slope = (body_field(points_m + step * along) - body_field(points_m - step * along)) / (2 * step)
    np.testing.assert_allclose(gradient @ along, slope, atol=0.02)


def test_smooth_min_is_a_minimum_away_from_the_seam():
    a, b = np.array([0.0, 0.5, 0.1]), np.array([1.0, 0.2, 0.1])
    blended = smooth_min(a, b, 0.2)
    np.testing.assert_allclose(blended[:2], [0.0, 0.2])
    assert blended[2] == pytest.approx(0.1 - 0.2 / 4)
