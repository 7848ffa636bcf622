"""One small model and its export, for all tests of this folder."""

import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hmr.network.build import build_model
from hmr.network.checkpoint import load_model, save_model
from hmr.settings import ModelSpec


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory, body_path):
    folder = tmp_path_factory.mktemp("model")
    spec = ModelSpec("resnet14_v2_narrow", input_size=64, hidden_units=32, body=str(body_path))
    save_model(build_model(spec, seed=5), spec, folder)
    return folder


@pytest.fixture(scope="session")
def model(checkpoint):
    """The model that was exported."""
    return load_model(checkpoint)


@pytest.fixture(scope="session")
def exported(checkpoint, tmp_path_factory):
    """The verb's output folder, and what it printed, from a process of its own.

    The folder's own name is one that TensorFlow takes for a pattern; it is read by another.
    """
    folder = tmp_path_factory.mktemp("export") / "ex [v1]*"
    command = [sys.executable, "-m", "src.export"]
    command += ["--checkpoint", str(checkpoint), "--output", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert not finished.stderr, finished.stderr
    plain = folder.with_name("export")
    plain.symlink_to(folder)
    return plain, finished.stdout


@pytest.fixture(scope="session")
def served(exported):
    return tf.saved_model.load(str(exported[0] / "1")).signatures


@pytest.fixture(scope="session")
def pictures():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (2, 240, 200, 3)).astype(np.uint8)
    return [cv2.GaussianBlur(picture, (0, 0), 2) for picture in noise]
