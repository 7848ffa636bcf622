import cv2
import numpy as np
import pytest
import tensorflow as tf

from hmr.files.images import read_image
from hmr.geometry import crop_graph
from hmr.geometry.crop import box_from_xywh, crop_image, network_input

BOXES = [
    (30.0, 20.0, 90.0, 200.0),
    (-60.5, 100.25, 300.0, 210.0),  # beyond the border
    (150.0, 10.0, 12.0, 30.0),  # magnified
    (400.0, 500.0, 80.0, 40.0),  # outside altogether
]


def picture(seed=0, height=260, width=311):
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def encoded(image, suffix=".jpg"):
    return cv2.imencode(suffix, image[..., ::-1])[1].tobytes()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_decoding_gives_the_bytes_that_prediction_sees(suffix):
    file = encoded(picture(), suffix)
    np.testing.assert_array_equal(crop_graph.decode(file), read_image(file))


def test_a_batch_of_both_kinds_of_file():
    files = [encoded(picture(1)), encoded(picture(2), ".png")]
    boxes = np.array(BOXES[:2], np.float32)
    batch = crop_graph.decode_and_crop(tf.constant(files), tf.constant(boxes), 96)
    for index, file in enumerate(files):
        crop, cut_box = crop_image(read_image(file), box_from_xywh(*boxes[index]))
        np.testing.assert_allclose(batch["center_px"][index], cut_box.center_px, rtol=1e-6)
        np.testing.assert_allclose(batch["crops"][index], network_input(crop, 96), atol=0.008)


@pytest.mark.parametrize("file", [b"", b"GIF89a", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\nxx"])
def test_other_bytes_are_refused(file):
    with pytest.raises(tf.errors.InvalidArgumentError):
        crop_graph.decode_and_crop(tf.constant([file]), tf.constant([BOXES[0]]), 96)


def test_a_huge_picture_is_refused_before_it_is_decoded():
    file = bytearray(encoded(picture(), ".png"))
    file[16:24] = (40_000).to_bytes(4, "big") * 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="120000000"):
        crop_graph.decode(bytes(file))


@pytest.mark.parametrize("box", [(0, 0, 0, 10), (0, 0, 10, -1), (0, np.nan, 5, 5)])
def test_boxes_without_area_are_refused(box):
    with pytest.raises(tf.errors.InvalidArgumentError, match="positive width and height"):
        crop_graph.crop_box(picture(), np.array(box, np.float32))


def test_one_box_for_each_picture():
    with pytest.raises(tf.errors.InvalidArgumentError, match="one box for each picture"):
        crop_graph.decode_and_crop(tf.constant([encoded(picture())]), tf.zeros((2, 4)), 96)


@pytest.mark.parametrize("options", [{}, {cv2.IMWRITE_JPEG_PROGRESSIVE: 1}])
@pytest.mark.parametrize("side", [200, 1100])
def test_half_a_jpeg_with_an_end_marker_is_refused(side, options):
    flat = [value for pair in options.items() for value in pair]
    data = cv2.imencode(".jpg", picture(height=side, width=side), flat)[1].tobytes()
    assert crop_graph.decode(data).shape == (side, side, 3)
    part = data[: len(data) // 2].rstrip(b"\xff")
    with pytest.raises(tf.errors.InvalidArgumentError, match="part of its pixels is missing"):
        crop_graph.decode(part + b"\xff\xd9")
