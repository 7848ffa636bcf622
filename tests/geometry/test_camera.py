"""The crop's camera and the whole picture's cameras put the same body on the same pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmr.errors import UserError
from hmr.geometry.camera import ordinary_focal_px, pinhole, weak_perspective_px
from hmr.geometry.crop import CropBox, from_normalized

PICTURES = st.tuples(st.integers(100, 4000), st.integers(100, 4000))
SCALES, SHIFTS = st.floats(0.3, 2.0), st.floats(-0.5, 0.5)


def body_points(rng, count=200):
    """Points that fill a person lying or standing: up to 1 m from the origin, 0.5 m deep."""
    return rng.uniform([-0.9, -1.1, -0.5], [0.9, 0.7, 0.5], (count, 3))


def through_the_crop(points, camera, box):
    normalized = camera[0] * (points[:, :2] + camera[1:])
    return box.to_image(from_normalized(normalized))


def person_box(height, width, where, part):
    """A crop of a person whose 150 px are `part` of the picture's longer side."""
    return CropBox(np.array(where) * [width, height], 150 / (part * max(height, width)))


@given(PICTURES, SCALES, SHIFTS, SHIFTS, st.tuples(*[st.floats(0, 1)] * 2), st.floats(0.02, 1))
def test_all_cameras_of_the_picture_agree_with_the_crop(size, s, tx, ty, where, part):
    points = body_points(np.random.default_rng(0))
    camera, box = np.array([s, tx, ty]), person_box(*size, where, part)
    expected = through_the_crop(points, camera, box)
    weak = weak_perspective_px(camera, box).project(points)
    np.testing.assert_allclose(weak[:, :2], expected, atol=1e-6)
    visible = ((expected >= 0) & (expected < size[::-1])).all(axis=1)
    error = pinhole(camera, box, *size).project(points) - expected
    assert np.abs(error[visible]).max(initial=0) < 0.5


@given(SCALES, SHIFTS, SHIFTS, st.floats(200, 5000))
def test_known_lens_agrees_in_the_plane_through_the_origin(s, tx, ty, focal):
    points = body_points(np.random.default_rng(1)) * [1, 1, 0]
    camera, box = np.array([s, tx, ty]), CropBox([700, 300], 0.4)
    found = pinhole(camera, box, 720, 1280, focal, [650, 340]).project(points)
    np.testing.assert_allclose(found, through_the_crop(points, camera, box), atol=1e-6)


def test_distance_is_that_of_the_lens():
    box = CropBox([320, 240], 1.0)
    camera = pinhole([0.9, 0, 0], box, 480, 640, 500.0, [320, 240])
    np.testing.assert_allclose(camera.translation_m, [0, 0, 2 * 500 / (224 * 0.9)])


def test_ordinary_lens_puts_a_person_in_the_room():
    box = CropBox([320, 240], 150 / 400)
    camera = pinhole([0.9, 0, 0], box, 480, 640, ordinary_focal_px(480, 640))
    assert 1.5 < camera.translation_m[2] < 6


def test_weak_camera_keeps_depth_in_pixels():
    weak = weak_perspective_px(np.array([0.9, 0.1, -0.2]), CropBox([50, 60], 0.5))
    near, far = weak.project(np.array([[0, 0, 0], [0, 0, 1.0]]))
    assert far[2] - near[2] == pytest.approx(weak.scale_px_per_m)


@pytest.mark.parametrize("camera", [[0, 0, 0], [-1, 0, 0], [np.nan, 0, 0]])
def test_camera_that_shows_nothing_is_refused(camera):
    with pytest.raises(UserError, match="shows no body"):
        weak_perspective_px(np.array(camera), CropBox([0, 0], 1))


@pytest.mark.parametrize("focal", [0, -5, float("nan")])
def test_focal_length_must_be_positive(focal):
    with pytest.raises(UserError, match="focal length"):
        pinhole(np.array([1, 0, 0]), CropBox([0, 0], 1), 10, 10, focal)
