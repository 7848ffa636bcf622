"""Every way of cutting a person out of a picture, held against the others on the same pictures.

* `crop.crop_image` and OpenCV's resize of the whole picture, then a cut: the same bytes.
* `crop_graph.crop_box` and `crop.crop_image`: the same bytes.
* `crop_graph.network_input` and `crop.network_input`: a grey level, where OpenCV rounds otherwise.
* `crop_train`'s compiled samples and those by TensorFlow's operations: 1e-6, the order of sums.
* `crop_train` and `crop.crop_image`: the same where the picture is not scaled. Else they look at
  other positions: pixel i at i / f by TF1's rule, at (i + 1/2) / f - 1/2 by OpenCV's, and about a
  centre that the one cuts and the other rounds to whole pixels.
* the converters' `scaled_window` and `crop.crop_image`: the same bytes where the picture gets
  smaller; 2 grey levels where it is enlarged, by `cv2.warpAffine`, whose weights are coarser.
* `crop.box_from_record` and `crop_train.crop_geometry`: the same positions.
"""

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr.geometry import crop_graph
from hmr.geometry.crop import (
    CROP_SIZE,
    CropBox,
    box_from_record,
    box_from_xywh,
    crop_image,
    network_input,
    scaled_size,
)
from hmr.geometry.crop_train import (
    BatchSampler,
    Jitter,
    crop_geometry,
    crop_lines,
    no_jitter,
    sample_in_graph,
)
from tests.geometry.test_crop_graph import BOXES, picture
from tfrecords_tools.common.pictures import scaled_window


def resize_then_cut(image, scale, center, size):
    """The original's procedure, step by step on the whole picture."""
    height, width = image.shape[:2]
    new_height, new_width = int(np.floor(height * scale)), int(np.floor(width * scale))
    resized = cv2.resize(image, (new_width, new_height))
    middle = np.round(center * np.array([new_width / width, new_height / height])).astype(int)
    padded = np.pad(resized, ((size // 2,) * 2, (size // 2,) * 2, (0, 0)), mode="edge")
    x, y = middle
    return padded[y : y + size, x : x + size]


@pytest.mark.parametrize("scale", [0.31, 0.5, 0.7333, 1.0, 1.4933, 2.7])
@pytest.mark.parametrize("center", [(3.0, 140.0), (50.5, 75.2), (99.0, 0.0)])
def test_crop_gives_the_bytes_of_a_full_resize(rng, scale, center):
    image = rng.integers(0, 256, (150, 100, 3), np.uint8)
    expected = resize_then_cut(image, scale, np.array(center), 64)
    found, _ = crop_image(image, CropBox(center, scale), 64)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("height_width", [(260, 311), (1203, 700)])
def test_crop_has_the_same_bytes_as_outside_the_graph(box, height_width):
    image = picture(0, *height_width)
    crop, center_px, scale = crop_graph.crop_box(image, np.array(box, np.float32))
    expected, cut_box = crop_image(image, box_from_xywh(*box))
    np.testing.assert_array_equal(crop, expected)
    np.testing.assert_allclose(center_px, cut_box.center_px)
    assert float(scale) == pytest.approx(cut_box.scale)


@pytest.mark.parametrize("input_size", [64, 96, 112, 224, 256])
def test_network_input(input_size):
    crop = crop_image(picture(), box_from_xywh(*BOXES[0]))[0]
    difference = np.abs(
        crop_graph.network_input(crop, input_size) - network_input(crop, input_size)
    )
    assert difference.max() <= 2.01 / 255  # a grey level, where cv2 rounds the other way
    assert (difference > 1e-3).mean() < (0.01 if input_size <= 224 else 0.5)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_the_compiled_samples_are_those_of_the_graph(height, width, size, seed):
    rng = np.random.default_rng(seed)
    windows = [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(2)]
    last = np.array([height - 1, width - 1])[:, None, None]
    # Both ends are reached; columns descend where a picture is mirrored.
    shares = np.concatenate([rng.uniform(0, 1, (2, 2, size)), [[[0], [1]]] * 2], axis=2)
    rows, columns = (shares * last).astype(np.float32)
    expected = sample_in_graph([tf.constant(window) for window in windows], rows, columns)
    found = BatchSampler().sample(rows, columns, *windows)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def where_they_look(height=180, width=200):
    """A picture whose red says the column and whose green the row."""
    rows, columns = np.indices((height, width))
    return np.stack([columns, rows, np.zeros_like(rows)], axis=-1).astype(np.uint8)


def training_crop(image, center_px, scale):
    """The grey levels (224, 224, 3) of the training crop without shift and flip."""
    height_width = tf.constant([image.shape[:2]], tf.float32)
    jitter = Jitter(tf.zeros((1, 2), tf.int32), tf.constant([scale]), tf.constant([False]))
    center_px = tf.constant([center_px], tf.float32)
    factor, origin_px = crop_geometry(height_width, center_px, jitter)
    rows, columns = tf.unstack(crop_lines(height_width, factor, origin_px, CROP_SIZE), axis=1)
    return (BatchSampler().sample(rows.numpy(), columns.numpy(), image)[0] + 1.0) * 127.5


@pytest.mark.parametrize("center", [(100, 90), (3, 170), (150, 20)])
@pytest.mark.parametrize("scale", [0.5, 0.8, 1.23, 2.0])
def test_training_crop_looks_at_tf1s_positions(center, scale):
    image = where_they_look()
    expected, _ = crop_image(image, CropBox(center, scale))
    difference = training_crop(image, center, scale) - expected
    factor = scaled_size(np.array(image.shape[1::-1]), scale)[1].min()
    # Between (i + 1/2) / f - 1/2 and i / f lie 1/2 (1 / f - 1); the centres may lie 1 / f apart.
    rule, center_px, rounding = abs(0.5 / factor - 0.5), 1 / factor, 0.5
    assert np.abs(difference).max() <= rule + center_px + rounding + 1e-4
    assert np.abs(difference[..., 2]).max() < 1e-4


@pytest.mark.parametrize("center", [(100.7, 90.2), (3.0, 170.0), (-40.0, 300.0)])
def test_training_crop_is_the_same_where_nothing_is_scaled(center):
    image = picture()
    expected, _ = crop_image(image, box_from_record(center))
    np.testing.assert_allclose(training_crop(image, center, 1.0), expected, atol=1e-4)


@pytest.mark.parametrize("scale", [0.41, 0.9, 1.0, 1.37, 2.6])
def test_the_converters_window(scale):
    image, size = picture(), 96
    resized, factors = scaled_size(np.array(image.shape[1::-1]), scale)
    center_px = np.array([155.3, 131.8])
    expected, _ = crop_image(image, CropBox(center_px, scale), size)
    start = (np.round(center_px * factors) - size // 2).astype(int)
    assert (start >= 0).all() and (start + size <= resized).all()
    found = scaled_window(image, resized.astype(int), start, start + size)
    assert np.abs(found.astype(int) - expected).max() <= (0 if scale <= 1 else 2)


@given(st.integers(-300, 900), st.integers(-300, 900), st.floats(0, 0.99))
def test_evaluation_places_points_as_training_does(x, y, fraction):
    center_px = np.abs([x, y]) + fraction
    still = no_jitter()
    jitter = Jitter(still.shift_px[None], still.scale[None], still.flip[None])
    center = tf.constant([center_px], tf.float32)
    factor, origin_px = crop_geometry(tf.constant([[480.0, 640.0]]), center, jitter)
    points = np.array([[0.0, 0.0], [12.5, 300.0]])
    box = box_from_record(center[0])
    np.testing.assert_array_equal(box.to_crop(points), points * factor - origin_px)
