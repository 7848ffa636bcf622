"""The crop rule against its own inverse, and bad boxes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr.errors import UserError
from hmr.geometry import crop


def test_returned_box_says_where_the_pixels_came_from():
    rows, columns = np.mgrid[:300, :400]
    image = np.stack([columns // 2, rows // 2, np.zeros_like(rows)], -1).astype(np.uint8)
    found, cut_box = crop.crop_image(image, crop.CropBox([201.3, 148.9], 0.61))
    inner = np.stack(np.meshgrid(np.arange(60, 160), np.arange(60, 160)), -1)
    source = cut_box.to_image(inner)
    error = found[60:160, 60:160, :2] * 2.0 - source
    # A byte counts 2 px here, and the whole-pixel size stretches the picture by up to 1 in 183.
    assert abs(error.mean(axis=(0, 1)) + 0.5).max() < 0.3
    assert abs(error).max() < 3


def test_tiny_person_in_a_large_picture_costs_no_more_than_the_crop():
    image = np.zeros((3000, 4000, 3), np.uint8)
    image[1499:1502, 1999:2002] = 255
    found, _ = crop.crop_image(image, crop.box_from_xywh(1999, 1499, 3, 3))
    assert found.shape == (224, 224, 3)
    assert found[112, 112, 0] == 255 and found[0, 0, 0] == 0


def test_centre_far_outside_repeats_the_border():
    image = np.zeros((50, 60, 3), np.uint8)
    image[-1, -1] = 77
    found, _ = crop.crop_image(image, crop.CropBox([5000, 5000], 1.0))
    assert (found == 77).all()


def test_keypoint_diagonal_becomes_150_px():
    keypoints = np.array([[10, 20], [40, 60], [900, 900]], np.float64)
    box = crop.box_from_keypoints(keypoints, [1, 1, 0])
    assert box.scale == pytest.approx(150 / 50)
    np.testing.assert_allclose(box.center_px, [25, 40])
    span = np.ptp(box.to_crop(keypoints[:2]), axis=0)
    assert np.linalg.norm(span) == pytest.approx(150)


def test_plain_box_and_keypoint_box_agree():
    corners = np.array([[10, 20], [40, 60]])
    plain = crop.box_from_xywh(10, 20, 30, 40)
    seen = crop.box_from_keypoints(corners, [1, 1])
    np.testing.assert_allclose(plain.center_px, seen.center_px)
    assert plain.scale == seen.scale


def test_whole_image_fills_the_crop():
    box = crop.box_from_image(480, 640)
    assert box.scale == pytest.approx(0.35)
    np.testing.assert_array_equal(box.center_px, [320, 240])


@given(
    st.tuples(*[st.floats(-1e4, 1e4)] * 2),
    st.floats(1e-3, 1e3),
    st.tuples(*[st.floats(-1e4, 1e4)] * 2),
)
def test_to_image_undoes_to_crop(center, scale, point):
    box = crop.CropBox(center, scale)
    np.testing.assert_allclose(box.to_image(box.to_crop(point)), point, atol=1e-6, rtol=1e-9)


def test_normalized_coordinates_span_the_crop():
    np.testing.assert_allclose(crop.to_normalized(np.array([0, 112, 224])), [-1, 0, 1])
    np.testing.assert_allclose(
        crop.from_normalized(crop.to_normalized(np.array([3.5, 200]))), [3.5, 200]
    )


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (0, 0, 5, -1), (float("nan"), 0, 5, 5), (0, 0, float("inf"), 5)]
)
def test_unusable_box_is_refused(box):
    with pytest.raises(UserError, match="box"):
        crop.box_from_xywh(*box)


def test_keypoints_without_extent_are_refused():
    with pytest.raises(UserError, match="no visible keypoint"):
        crop.box_from_keypoints(np.ones((3, 2)), [0, 0, 0])
    with pytest.raises(UserError, match="spans no area"):
        crop.box_from_keypoints(np.ones((3, 2)), [1, 1, 1])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 50), st.floats(-99, 99))
def test_crop_never_fails_on_a_usable_box(height, width, scale, offset):
    image = np.full((height, width, 3), 9, np.uint8)
    found, cut_box = crop.crop_image(image, crop.CropBox([offset, -offset], scale), 32)
    assert found.shape == (32, 32, 3) and (found == 9).all()
    assert cut_box.scale == pytest.approx(scale)


def test_network_input_spans_minus_one_to_one_and_averages_down():
    checker = (np.indices((224, 224)).sum(axis=0) % 2 * 255).astype(np.uint8)
    crop_rgb = np.repeat(checker[..., None], 3, axis=-1)
    full = crop.network_input(crop_rgb)
    assert full.dtype == np.float32 and full.min() == -1 and full.max() == 1
    small = crop.network_input(crop_rgb, 56)
    assert small.shape == (56, 56, 3) and abs(small).max() < 0.01
