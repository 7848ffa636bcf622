"""The training crop against the original's numbers, its windows and its memory."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.ndimage import map_coordinates

from hmr.geometry.crop import CROP_SIZE
from hmr.geometry.crop_train import (
    BatchSampler,
    Jitter,
    crop_geometry,
    crop_lines,
    crop_pictures,
    sample_in_graph,
)
from tests.helpers.golden_inputs import golden


@pytest.fixture(scope="module")
def figures():
    return golden("augment")


def _jitter(draws):
    """One draw of the original's, for a batch of one."""
    shift, scale, chance = draws[None, :2].astype(np.int32), draws[2:3], draws[3:4]
    return Jitter(tf.constant(shift), tf.constant(scale, tf.float32), tf.constant(chance < 0.5))


SAMPLERS = pytest.mark.parametrize(
    "sample", [sample_in_graph, BatchSampler()], ids=["graph", "compiled"]
)


@SAMPLERS
@pytest.mark.parametrize("case", range(4))
def test_crop_equals_the_original(figures, case, sample):
    picture, size = figures["pre_image_in"], int(figures["pre_output_size"])
    jitter = _jitter(figures[f"pre{case}_draws"])
    center = tf.constant(figures["pre_center_in"].reshape(1, 2), tf.float32)
    height_width = tf.constant([picture.shape[:2]], tf.float32)
    factor, origin = crop_geometry(height_width, center, jitter, size)
    rows, columns = tf.unstack(crop_lines(height_width, factor, origin, size, size), axis=1)
    (image,) = sample([tf.constant(255 * picture, tf.float32)], rows, columns).numpy()
    if jitter.flip[0]:
        image = image[:, ::-1]
    np.testing.assert_allclose(image, figures[f"pre{case}_image"], atol=1e-5)


@SAMPLERS
@pytest.mark.parametrize("input_size", [224, 96])
def test_only_the_window_is_decoded_and_the_crop_is_that_of_the_whole_picture(input_size, sample):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 32, 3), np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((331, 287), Image.Resampling.BICUBIC))
    encoded = tf.io.encode_jpeg(picture, quality=95)
    ratio = CROP_SIZE // input_size
    whole = tf.io.decode_jpeg(encoded, ratio=ratio).numpy().astype(float)
    centers = [(165, 140), (10, 10), (330, 286), (-500, 900), *rng.integers(0, 300, (8, 2))]
    count = len(centers)
    jitter = Jitter(
        tf.constant([(3, -7)] * count),
        tf.constant(rng.uniform(0.8, 1.23, count), tf.float32),
        tf.constant([False] * count),
    )
    center_px = tf.constant(centers, tf.float32)
    found = crop_pictures(tf.fill((count,), encoded), center_px, jitter, input_size, sample)
    height_width = tf.constant([picture.shape[:2]] * count, tf.float32)
    factor, origin = crop_geometry(height_width, center_px, jitter)
    lines = crop_lines(height_width, factor, origin, input_size, ratio=ratio).numpy()
    for image, cross in zip(found["images"].numpy(), lines, strict=True):
        positions = np.meshgrid(*cross, indexing="ij")
        expected = [map_coordinates(whole[..., c], positions, order=1) for c in range(3)]
        np.testing.assert_allclose((image + 1) * 127.5, np.stack(expected, -1), atol=1e-3)


def test_a_batch_that_is_held_keeps_its_pixels_and_a_freed_one_lends_its_memory():
    sampler, lines = BatchSampler(), np.zeros((1, 4), np.float32)
    black, white = (np.full((2, 2, 3), grey, np.uint8) for grey in (0, 255))
    held = sampler.sample(lines, lines, black)
    freed = sampler.sample(lines, lines, white)
    address = freed.ctypes.data
    assert held.max() == -1 and freed.min() == 1
    del freed
    again = sampler.sample(lines, lines, white)
    assert again.ctypes.data == address and address % 64 == 0
    assert held.max() == -1
