"""The crops against the original's numbers, and the mirror against itself."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy.ndimage import map_coordinates

from src.data.augment import (
    CROP_SIZE,
    Augmentation,
    Jitter,
    crop_geometry,
    crop_lines,
    crop_picture,
    draw_jitters,
    mirror_labels,
    no_jitter,
    prepare_person,
    warp_crop,
)
from src.data.reading import parse_person
from src.data.schema import person_to_example
from tests.conftest import make_person
from tests.golden_inputs import golden


@pytest.fixture(scope="module")
def figures():
    return golden("augment")


def _jitter(draws):
    shift, scale, chance = draws[:2].astype(np.int32), draws[2], draws[3]
    return Jitter(tf.constant(shift), tf.constant(scale, tf.float32), tf.constant(chance < 0.5))


@pytest.mark.parametrize("case", range(4))
def test_crop_equals_the_original(figures, case):
    picture, size = figures["pre_image_in"], int(figures["pre_output_size"])
    jitter = _jitter(figures[f"pre{case}_draws"])
    center = tf.constant(figures["pre_center_in"].ravel(), tf.float32)
    height_width = tf.constant(picture.shape[:2], tf.float32)
    factor, origin = crop_geometry(height_width, center, jitter, size)
    image = warp_crop(tf.constant(picture), factor, origin, size, size).numpy()
    if jitter.flip:
        image = image[:, ::-1]
    # The original's picture is in 0..1 here, and so is ours before its own scaling from 0..255.
    np.testing.assert_allclose(255 * (image + 1) - 1, figures[f"pre{case}_image"], atol=2e-5)


@pytest.mark.parametrize("input_size", [224, 96])
def test_only_the_window_is_decoded_and_the_crop_is_that_of_the_whole_picture(input_size):
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (24, 32, 3), np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((331, 287), Image.Resampling.BICUBIC))
    encoded = tf.io.encode_jpeg(picture, quality=95)
    ratio = CROP_SIZE // input_size
    whole = tf.io.decode_jpeg(encoded, ratio=ratio)
    centers = [(165, 140), (10, 10), (330, 286), (-500, 900), *rng.integers(0, 300, (8, 2))]
    for center in centers:
        scale = tf.constant(rng.uniform(0.8, 1.23), tf.float32)
        jitter = Jitter(tf.constant([3, -7]), scale, tf.constant(False))
        center_px = tf.constant(center, tf.float32)
        image = crop_picture(encoded, center_px, jitter, input_size)["images"].numpy()
        height_width = tf.constant(picture.shape[:2], tf.float32)
        factor, origin = crop_geometry(height_width, center_px, jitter)
        lines = crop_lines(height_width, factor, origin, input_size, ratio=ratio).numpy()
        rows, columns = np.meshgrid(*lines, indexing="ij")
        for channel in range(3):
            values = whole[..., channel].numpy().astype(float)
            expected = map_coordinates(values, [rows, columns], order=1)
            found = (image[..., channel] + 1.0) * 127.5
            np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("case", [0, 3])
def test_keypoints_equal_the_original(figures, case):
    size = int(figures["pre_output_size"])
    label = figures["pre_label_in"]
    height_width = tf.constant(figures["pre_image_in"].shape[:2], tf.float32)
    center = tf.constant(figures["pre_center_in"].ravel(), tf.float32)
    jitter = _jitter(figures[f"pre{case}_draws"])
    factor, origin = crop_geometry(height_width, center, jitter, size)
    points = (2 * (label[:2].T * factor - origin) / size - 1) * (label[2] > 0)[:, None]
    np.testing.assert_allclose(points, figures[f"pre{case}_label"][:2].T, atol=1e-6)


def test_mirror_equals_the_original(figures):
    sample = {
        "keypoints2d": np.zeros((19, 2), np.float32),
        "visibility": np.ones(19, np.float32),
        "joints3d": figures["flip_gt3d"],
        "pose": figures["flip_pose"],
    }
    mirrored = mirror_labels({key: tf.constant(value) for key, value in sample.items()})
    np.testing.assert_allclose(mirrored["pose"], figures["flip_out_pose"], atol=1e-7)
    expected = figures["flip_out_gt3d"]
    joints = mirrored["joints3d"] - np.mean(mirrored["joints3d"], axis=0)
    np.testing.assert_allclose(joints, expected - expected.mean(axis=0), atol=1e-6)


def test_mirroring_twice_changes_nothing():
    person = parse_person(tf.constant(person_to_example(make_person(1, has_3d=True))))
    sample = prepare_person(person, no_jitter(), 64)
    twice = mirror_labels(mirror_labels(sample))
    for key, value in twice.items():
        np.testing.assert_allclose(value, sample[key], atol=1e-6, err_msg=key)


def test_a_drawn_flip_mirrors_the_picture_and_its_labels():
    person = parse_person(tf.constant(person_to_example(make_person(1, has_3d=True))))
    person["pose"] = tf.linspace(-1.0, 1.0, 72)
    still = no_jitter()
    straight = prepare_person(person, still, 64)
    flipped = prepare_person(person, Jitter(still.shift_px, still.scale, tf.constant(True)), 64)
    np.testing.assert_array_equal(flipped["images"], straight["images"][:, ::-1])
    for key, value in mirror_labels(straight).items():
        np.testing.assert_array_equal(flipped[key], value, err_msg=key)
    assert np.abs(flipped["pose"] - straight["pose"]).max() > 0.1
    np.testing.assert_array_equal(flipped["beta"], straight["beta"])


@pytest.mark.parametrize("input_size", [224, 112, 96, 56])
def test_a_mark_lands_on_its_keypoint(input_size):
    """A bright disc in the picture appears where the normalised keypoint says."""
    person = make_person(0)
    picture = np.zeros((260, 240, 3), np.uint8)
    person.keypoints2d_px[:] = (90.0, 150.0)
    person.visibility[:] = 1
    rows, columns = np.mgrid[:260, :240]
    picture[np.hypot(columns - 90, rows - 150) < 8] = 255
    person.encoded = tf.io.encode_jpeg(picture, quality=100).numpy()
    jitter = Jitter(tf.constant([7, -11]), tf.constant(1.17), tf.constant(True))
    parsed = parse_person(tf.constant(person_to_example(person)))
    sample = prepare_person(parsed, jitter, input_size)
    weight = np.asarray(sample["images"])[..., 0] + 1.0
    rows, columns = np.mgrid[:input_size, :input_size]
    found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    found_px = (found + 0.5) * CROP_SIZE / input_size - 0.5
    expected_px = (np.asarray(sample["keypoints2d"])[0] + 1) * CROP_SIZE / 2
    np.testing.assert_allclose(found_px, expected_px, atol=0.35)


def test_the_same_seed_draws_the_same_jitter():
    first, second, other = (
        draw_jitters(tf.constant(seed, tf.int64), Augmentation(), 3).scale.numpy()
        for seed in ([1, 2], [1, 2], [1, 3])
    )
    np.testing.assert_array_equal(first, second)
    assert len({*first, *other}) == 6


def test_draws_stay_in_the_original_ranges():
    draws = draw_jitters(tf.constant([3, 5], tf.int64), Augmentation(), 400)
    shifts, scales = draws.shift_px.numpy(), draws.scale.numpy()
    assert shifts.min() == -20 and shifts.max() == 19
    assert 0.8 <= scales.min() < 0.82 and 1.21 < scales.max() < 1.23
    assert 0.4 < draws.flip.numpy().mean() < 0.6
