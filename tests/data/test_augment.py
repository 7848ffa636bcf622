"""Labels and the mirror against the original's numbers and themselves; the draws' ranges."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from hmr.data.augment import draw_jitters, mirror_labels, prepare_person
from hmr.data.records import parse_person
from hmr.data.schema import person_to_example
from hmr.geometry.crop import CROP_SIZE
from hmr.geometry.crop_train import (
    Jitter,
    crop_geometry,
    no_jitter,
)
from hmr.settings import Augmentation
from tests.conftest import make_person
from tests.helpers.golden_inputs import golden


@pytest.fixture(scope="module")
def figures():
    return golden("augment")


def _jitter(draws):
    """One draw of the original's, for a batch of one."""
    shift, scale, chance = draws[None, :2].astype(np.int32), draws[2:3], draws[3:4]
    return Jitter(tf.constant(shift), tf.constant(scale, tf.float32), tf.constant(chance < 0.5))


@pytest.mark.parametrize("case", [0, 3])
def test_keypoints_equal_the_original(figures, case):
    size = int(figures["pre_output_size"])
    label = figures["pre_label_in"]
    height_width = tf.constant([figures["pre_image_in"].shape[:2]], tf.float32)
    center = tf.constant(figures["pre_center_in"].reshape(1, 2), tf.float32)
    jitter = _jitter(figures[f"pre{case}_draws"])
    factor, origin = crop_geometry(height_width, center, jitter, size)
    points = (2 * (label[:2].T * factor - origin) / size - 1) * (label[2] > 0)[:, None]
    np.testing.assert_allclose(points, figures[f"pre{case}_label"][:2].T, atol=1e-6)


def test_mirror_equals_the_original(figures):
    sample = {
        "keypoints2d": np.zeros((19, 2), np.float32),
        "visibility": np.ones(19, np.float32),
        "joints3d_lsp_m": figures["flip_gt3d"],
        "pose": figures["flip_pose"],
    }
    mirrored = mirror_labels({key: tf.constant(value) for key, value in sample.items()})
    np.testing.assert_allclose(mirrored["pose"], figures["flip_out_pose"], atol=1e-7)
    expected = figures["flip_out_gt3d"]
    joints = mirrored["joints3d_lsp_m"] - np.mean(mirrored["joints3d_lsp_m"], axis=0)
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
