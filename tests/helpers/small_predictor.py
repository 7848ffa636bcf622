"""A small network with fresh weights, and a picture: what the tests of prediction share."""

import dataclasses

import numpy as np
import pytest

from hmr.body.model_file import NO_FACES, save_body
from hmr.network.build import build_model
from hmr.network.checkpoint import save_model
from hmr.prediction.predictor import Predictor
from hmr.settings import ModelSpec
from tests.helpers.shapes import round_body

SIZE = 32


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    body_path = folder / "body.npz"
    save_body(body_path, round_body())
    spec = ModelSpec("resnet14_v2_narrow", SIZE, hidden_units=32, body=str(body_path))
    theta0 = np.zeros(85)
    theta0[[0, 3]] = 0.8, np.pi
    save_model(build_model(spec, theta0), spec, folder)
    return folder


@pytest.fixture(scope="session")
def predictor(model_folder):
    return Predictor.load(model_folder, batch_size=3)


@pytest.fixture
def image():
    rows, columns = np.mgrid[:140, :180]
    waves = np.stack([columns, rows, (rows + columns) // 2], axis=-1)
    return waves.astype(np.uint8)


@pytest.fixture(scope="session")
def bare_body(tmp_path_factory):
    """A body as it comes out of a TF1 checkpoint."""
    path = tmp_path_factory.mktemp("bare") / "bare.npz"
    save_body(path, dataclasses.replace(round_body(), faces=NO_FACES))
    return path
