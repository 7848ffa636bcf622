"""The adapter beside a frozen MoveNet: what it reads at keypoints, what of an encoder learns."""

import numpy as np
import pytest

from hmr.network.adapter import ADAPTER, KeypointSpots, PoolAtSpots, SampleAround
from hmr.network.encoders import build_encoder, set_trainable, split_encoder


def test_a_keypoints_spot_lies_in_its_map():
    """0.3, -0.5 is 10.4 cells from the left and 4 from the top of 16; sigma is 1.5 cells."""
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, 3] = [0.3, -0.5, 0.8]
    maps = np.asarray(KeypointSpots(16)(keypoints))
    assert maps.shape == (1, 16, 16, 17) and not maps[..., np.arange(17) != 3].any()
    rows, columns = np.mgrid[:16, :16] + 0.5
    squared = (columns - 10.4) ** 2 + (rows - 4.0) ** 2
    np.testing.assert_allclose(maps[0, ..., 3], 0.8 * np.exp(-squared / 2 / 1.5**2), atol=1e-6)


def test_a_spot_averages_what_lies_under_it_whatever_its_height():
    """Maps whose value is the column: the average under a spot is where its middle lies."""
    columns = np.tile(np.arange(16, dtype=np.float32)[None, None, :, None], (1, 16, 1, 1))
    keypoints = np.array([[[0.0, 0.0, 1.0], [0.25, 0.5, 0.1]]], np.float32)
    pooled = PoolAtSpots()([columns, KeypointSpots(16)(keypoints)])
    np.testing.assert_allclose(np.asarray(pooled)[0, :, 0], [7.5, 9.5], atol=0.02)


def test_samples_lie_at_a_keypoint_and_a_cell_to_its_sides():
    """Maps of x and y in cells, which are linear: samples are the places themselves."""
    rows, columns = np.mgrid[:8, :8].astype(np.float32)
    maps = np.stack([columns, rows], axis=-1)[None]
    keypoints = np.array([[[0.1, -0.35, 0.9]]], np.float32)  # 3.9, 2.1 cells
    samples = np.asarray(SampleAround()([maps, keypoints]))
    expected = [[3.9, 2.1], [4.9, 2.1], [2.9, 2.1], [3.9, 3.1], [3.9, 1.1]]
    np.testing.assert_allclose(samples[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize(("x", "cell"), [(-3.0, 0.0), (1.0, 7.0)])
def test_beyond_the_border_the_nearest_cell_is_read(x, cell):
    maps = np.tile(np.arange(8, dtype=np.float32)[None, None, :, None], (1, 8, 1, 1))
    samples = SampleAround()([maps, np.array([[[x, 0.0, 1.0]]], np.float32)])
    np.testing.assert_allclose(np.asarray(samples)[0, 0, :2, 0], cell)


def test_of_a_frozen_encoder_the_adapter_learns():
    encoder = build_encoder("movenet_lightning_adapter", 64)
    set_trainable(encoder, freeze=True)
    trained = {id(variable) for variable in encoder.trainable_variables}
    assert trained == {id(each) for each in encoder.get_layer(ADAPTER).trainable_variables}
    set_trainable(encoder, freeze=False)
    assert len(encoder.trainable_variables) > len(trained)


def test_what_stays_and_what_learns_make_the_encoder():
    encoder = build_encoder("movenet_lightning_adapter", 64)
    set_trainable(encoder, freeze=True)
    sees, learns = split_encoder(encoder)
    images = np.linspace(-1, 1, 2 * 64 * 64 * 3, dtype=np.float32).reshape(2, 64, 64, 3)
    np.testing.assert_allclose(
        learns([sees(images)[name] for name in sees.output]), encoder(images), atol=1e-6
    )
    assert not sees.trainable_variables
    adapter = {id(each) for each in encoder.get_layer(ADAPTER).weights}
    assert {id(each) for each in learns.weights} == adapter
