"""Our readers, warps and encoder against chumpy, tensorflow-addons and TF-Slim themselves.

`make legacy-check` runs the old packages in an environment of their own and then these tests.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from hmr.files.safe_pickle import Unread, safe_load
from hmr.geometry.crop import CropBox, crop_image
from hmr.geometry.crop_train import crop_lines, sample_in_graph
from hmr.network.encoders import build_encoder
from hmr.original.smpl_file import read_official
from hmr.original.tf1_names import map_encoder
from tests.helpers.golden_inputs import golden, made_weight

FOLDER = os.environ.get("LEGACY_REFERENCE")
pytestmark = [
    pytest.mark.legacy,
    pytest.mark.skipif(FOLDER is None, reason="needs the old packages: make legacy-check"),
]
PICKLES = [*(f"expressions{protocol}" for protocol in (0, 1, 2, 4)), "expressions_python2"]
# Sums and concatenations stand in derived entries of SMPL files only, which nothing reads.
NOT_EVALUATED = {"sum", "joined", "slice_of_sum"}
WARPS = ("inside", "grown", "left_above", "right_below")


def _figures(name: str) -> dict[str, np.ndarray]:
    with np.load(Path(FOLDER) / f"{name}.npz", allow_pickle=False) as arrays:
        return dict(arrays)


def _report(what: str, difference: float, bound: float) -> None:
    print(f"{what}: largest difference {difference:.2g}, at most {bound:.2g} allowed")
    assert difference <= bound


@pytest.mark.parametrize("name", PICKLES)
def test_expressions_have_chumpys_values(name):
    values, read = _figures("expressions"), safe_load(Path(FOLDER) / f"{name}.pkl")
    assert set(read) == set(values)
    assert {key for key, value in read.items() if isinstance(value, Unread)} == NOT_EVALUATED
    evaluated = values.keys() - NOT_EVALUATED
    for key in evaluated:
        np.testing.assert_array_equal(read[key], values[key], err_msg=key)
    print(f"{name}.pkl: {len(evaluated)} of {len(values)} chumpy expressions, bit for bit")


def test_a_smpl_file_written_by_chumpy():
    values = _figures("smpl")
    body = read_official(Path(FOLDER) / "basicModel_f_lbs_10_207_0_v1.0.0.pkl").body
    for ours, theirs in [
        (body.v_template, "v_template"),
        (body.shapedirs, "shapedirs"),
        (body.posedirs, "posedirs"),
        (body.lbs_weights, "weights"),
    ]:
        np.testing.assert_array_equal(ours, values[theirs].astype(np.float32), err_msg=theirs)
    print("SMPL file with chumpy objects: 4 arrays, bit for bit")


@pytest.mark.parametrize("name", WARPS)
def test_training_crop_equals_tensorflow_addons(name):
    figures = _figures("warps")
    expected = figures[f"{name}.crop"]
    picture, size = figures["picture"], expected.shape[0]
    factor, origin = (
        figures[f"{name}.{key}"][None].astype(np.float32) for key in ("factor", "origin")
    )
    lines = crop_lines(np.float32([picture.shape[:2]]), factor, origin, size, size)
    crop = (sample_in_graph([picture], lines[:, 0], lines[:, 1])[0] + 1.0) * 127.5
    # Positions in float32, on noise with steps of 255 grey levels from pixel to pixel.
    _report(f"training crop, {name}, grey levels", np.abs(crop - expected).max(), 0.02)


@pytest.mark.parametrize("name", WARPS[:3])  # those that scale both axes alike
def test_test_crop_equals_tensorflow_addons(name):
    figures = _figures("warps")
    picture = figures["picture"].astype(np.uint8)
    scaled = figures[f"{name}.centred"]
    size, scale = 64, _scale_that_gives(picture.shape, scaled.shape)
    center_px = np.array(picture.shape[1::-1]) * 0.8
    crop, _ = crop_image(picture, CropBox(center_px, scale), size)
    # OpenCV's arithmetic has 11 bits for a weight and rounds to whole grey levels.
    difference = np.abs(crop - _cut(scaled, center_px, picture.shape, size)).max()
    _report(f"test crop, {name}, grey levels", difference, 1.0)


def _scale_that_gives(shape: tuple, scaled_shape: tuple) -> float:
    """A scale s with floor(s * size) = the scaled size on both axes."""
    low = max(scaled_shape[axis] / shape[axis] for axis in (0, 1))
    high = min((scaled_shape[axis] + 1) / shape[axis] for axis in (0, 1))
    assert low < high
    return (low + high) / 2


def _cut(scaled: np.ndarray, center_px: np.ndarray, shape: tuple, size: int) -> np.ndarray:
    """The square about the rounded centre, the scaled picture's edge repeated."""
    height, width = scaled.shape[:2]
    middle = np.round(center_px * (width / shape[1], height / shape[0])).astype(int)
    steps = np.arange(size) - size // 2
    rows = np.clip(middle[1] + steps, 0, height - 1)
    columns = np.clip(middle[0] + steps, 0, width - 1)
    return scaled[np.ix_(rows, columns)]


def test_encoder_equals_slims():
    figures = _figures("encoder")
    encoder = build_encoder("resnet50_v2", 224)
    for source in map_encoder(encoder):
        source.variable.assign(made_weight(source.names[0], source.shape))
    images = np.random.default_rng(20).uniform(-1, 1, (2, 224, 224, 3)).astype(np.float32)
    features = np.asarray(encoder(images))
    _report("TF-Slim's features", np.abs(features - figures["features"]).max(), 2e-5)
    in_training = np.asarray(encoder(images, training=True))
    difference = np.abs(in_training - figures["features_training"]).max()
    _report("TF-Slim's features in training", difference, 5e-5)


def test_the_stored_figures_of_the_encoder_are_slims():
    figures = _figures("encoder")
    for name, stored in golden("encoder").items():
        values = figures[name.replace(".", "/")]
        difference = np.abs(values - stored).max() / np.abs(stored).max()
        _report(f"tests/golden/encoder.npz, {name}, relative", difference, 1e-5)
