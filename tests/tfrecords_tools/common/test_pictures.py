"""Reading, scaling and cutting pictures."""

from __future__ import annotations

import os

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.converting import write_picture
from tfrecords_tools.common.frames import read_frames
from tfrecords_tools.common.jobs import SampleError
from tfrecords_tools.common.pictures import (
    Labels,
    cut_person,
    decode,
    full_body_scale,
    read_picture,
    whole_person,
)

FIELDS = {"filename": "a.jpg", "dataset": "coco"}


def _labels(points, visible=None) -> Labels:
    keypoints = np.zeros((19, 2))
    keypoints[: len(points)] = np.reshape(points, (-1, 2))
    visibility = np.zeros(19, int)
    visibility[: len(points)] = 1 if visible is None else visible
    return Labels(keypoints, visibility, "person 1")


def _texture(height, width) -> np.ndarray:
    noise = np.random.default_rng(1).uniform(-1500, 1500, (height, width, 1))
    grey = np.clip(128 + cv2.GaussianBlur(noise, (0, 0), 3), 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)


@pytest.mark.parametrize("scale", [0.3, 0.77, 1.0])
def test_reduced_windows_are_pixels_of_the_resized_picture(scale):
    image = _texture(180, 220)
    labels = _labels([(60, 50), (150, 120)])
    person = cut_person(image, labels, scale, 40, **FIELDS)
    height, width = int(180 * scale), int(220 * scale)
    x, y = person.crop_origin_px
    expected = cv2.resize(image, (width, height))[y : y + person.height, x : x + person.width]
    stored = cv2.imdecode(np.frombuffer(person.encoded, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(stored.astype(int) - expected).mean() < 2.5  # JPEG of quality 95


def test_enlarged_windows_are_pixels_of_the_enlarged_picture():
    image = _texture(180, 220)
    person = cut_person(image, _labels([(60, 50), (150, 120)]), 2.5, 60, **FIELDS)
    x, y = person.crop_origin_px
    expected = cv2.resize(image, (550, 450))[y : y + person.height, x : x + person.width]
    stored = cv2.imdecode(np.frombuffer(person.encoded, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(stored.astype(int) - expected).mean() < 2.5


def test_the_window_is_cut_off_at_the_border():
    person = cut_person(_texture(200, 300), _labels([(0, 0), (20, 20)]), 1.0, 50, **FIELDS)
    assert (person.width, person.height) == (60, 60)
    np.testing.assert_array_equal(person.crop_origin_px, [0, 0])
    np.testing.assert_array_equal(person.center_px, [10, 10])


@settings(max_examples=50, deadline=None)
@given(
    st.integers(40, 300),
    st.integers(40, 300),
    st.floats(0.2, 3.0),
    st.tuples(*[st.floats(0, 1)] * 4),
)
def test_stored_keypoints_map_back_to_the_picture(height, width, scale, corners):
    points = np.array(corners).reshape(2, 2) * (width - 1, height - 1)
    labels = _labels(points)
    person = cut_person(np.zeros((height, width, 3), np.uint8), labels, scale, 30, **FIELDS)
    back = (person.keypoints2d_px[:2] + person.crop_origin_px) / person.scale_factors[::-1]
    np.testing.assert_allclose(back, points, atol=1e-6)
    assert person.width <= 61 and person.height <= 61


def test_the_camera_moves_with_the_window():
    image, labels = np.zeros((200, 400, 3), np.uint8), _labels([(150, 60), (350, 140)])
    camera = np.array([500.0, 200.0, 100.0])
    person = cut_person(image, labels, 0.5, 40, intrinsics_px=camera, **FIELDS)
    np.testing.assert_array_equal(person.crop_origin_px, [85, 10])
    np.testing.assert_allclose(person.intrinsics_px, [250, 100 - 85, 50 - 10])


def test_unlabelled_keypoints_hold_zeros():
    labels = _labels([(5, 5), (90, 80), (7e5, np.nan)], visible=[1, 1, 0])
    person = cut_person(np.zeros((100, 100, 3), np.uint8), labels, 1.0, 90, **FIELDS)
    np.testing.assert_array_equal(person.keypoints2d_px[2:], np.zeros((17, 2)))


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        ([], "no labelled keypoint"),
        ([(5, 5), (np.inf, 3)], "not finite"),
        ([(5, 5), (5, 5)], "no extent"),
    ],
)
def test_unusable_labels_are_named(points, reason):
    with pytest.raises(SampleError, match=reason):
        full_body_scale(_labels(points))


def test_a_person_outside_the_picture_is_named():
    labels = _labels([(900, 900), (950, 950)])
    with pytest.raises(SampleError, match="outside the picture"):
        cut_person(np.zeros((100, 100, 3), np.uint8), labels, 1.0, 50, **FIELDS)


def test_truncated_pictures_are_refused_and_trailing_bytes_are_not(tmp_path):
    write_picture(tmp_path / "a.jpg", 50, 60)
    data = (tmp_path / "a.jpg").read_bytes()
    assert decode(data + b"\0\0appended", "a.jpg").shape == (50, 60, 3)
    for length in (0, 3, len(data) // 2, len(data) - 2):
        with pytest.raises(SampleError, match="unreadable picture"):
            decode(data[:length], "a.jpg")


def test_a_folder_or_a_pipe_in_place_of_a_picture_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(SampleError, match="unreadable picture"):
            read_picture(path)
        (left_out,) = read_frames(path, [0])
        assert left_out.reason == "unreadable video"


def test_exif_orientation_is_left_alone(tmp_path):
    from PIL import Image

    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(path, exif=exif)
    assert read_picture(path).shape == (40, 60, 3)


def test_other_formats_are_stored_as_jpeg(tmp_path):
    write_picture(tmp_path / "a.png", 50, 60)
    person = whole_person(tmp_path / "a.png", _labels([(5, 5), (40, 40)]), "lsp_ext")
    assert person.encoded.startswith(b"\xff\xd8") and (person.height, person.width) == (50, 60)


def test_grey_pictures_are_read_as_colour(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), np.full((30, 20), 128, np.uint8))
    assert read_picture(tmp_path / "a.jpg").shape == (30, 20, 3)


def test_half_a_jpeg_with_an_end_marker_is_refused(tmp_path):
    write_picture(tmp_path / "a.jpg", 50, 60)
    data = (tmp_path / "a.jpg").read_bytes()
    part = data[: len(data) - 100].rstrip(b"\xff")
    with pytest.raises(SampleError, match="unreadable picture"):
        decode(part + b"\xff\xd9", "a.jpg")
