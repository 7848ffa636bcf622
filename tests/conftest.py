"""Fixtures of many rooms: a made body, tiny records, a tiny configuration, a browser."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from hmr.body.model_file import BodyModel, save_body
from hmr.body.standin.build import build_standin_body
from tests.helpers import golden_inputs
from tests.helpers.browser import chromium

# Processes that tests start import this checkout too, whichever is installed.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(Path(__file__).parents[1] / "src"), os.environ.get("PYTHONPATH")])
)

IMAGE_SETS = {"lsp": False, "mpi_inf_3dhp": True}
MOCAP_SETS = ("mocap_cmu",)
RECORDS_PER_SET, BODIES_PER_SET = 24, 200


@pytest.fixture(autouse=True)
def _own_interruptions():
    """What a verb that a test runs does about Ctrl-C ends with the test."""
    numbers = (signal.SIGINT, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}, sys.unraisablehook
    yield
    for number, handler in before[0].items():
        signal.signal(number, handler)
    sys.unraisablehook = before[1]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture(scope="session")
def body_path(tmp_path_factory) -> Path:
    """A body file with SMPL's structure and made values."""
    path = tmp_path_factory.mktemp("body") / "made_body.npz"
    save_body(path, golden_inputs.made_body())
    return path


@pytest.fixture(scope="session")
def standin() -> BodyModel:
    """The stand-in body, which takes seconds to build; nobody changes its arrays."""
    return build_standin_body()


@pytest.fixture(scope="session")
def records_root(tmp_path_factory) -> Path:
    """Records of two image sets, one with 3D joints, and of one mocap set."""
    root = tmp_path_factory.mktemp("records")
    for name, has_3d in IMAGE_SETS.items():
        write_people(root / name / "train_00000.tfrecord", name, has_3d)
    for name in MOCAP_SETS:
        write_bodies(root / name / "train_00000.tfrecord")
    return root


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium, driven by Playwright; `watched_page` opens a tab."""
    with chromium() as started:
        yield started


def write_people(path: Path, dataset: str, has_3d: bool, count: int = RECORDS_PER_SET) -> None:
    """Writes records of blurred noise with random labels."""
    import tensorflow as tf

    from hmr.data.schema import person_to_example

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index in range(count):
            writer.write(person_to_example(make_person(index, dataset, has_3d)))


def make_person(seed: int, dataset: str = "lsp", has_3d: bool = False):
    """One record of a picture of 260 x 240 px."""
    from hmr.data.schema import Person

    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 255, (260, 240, 3)).astype(np.uint8)
    visibility = rng.random(19) < 0.8
    return Person(
        encoded=cv2.imencode(".jpg", cv2.GaussianBlur(noise, (0, 0), 3))[1].tobytes(),
        height=260,
        width=240,
        filename=f"{seed}.jpg",
        dataset=dataset,
        center_px=np.array([118, 133]),
        keypoints2d_px=rng.uniform(40, 200, (19, 2)) * visibility[:, None],
        visibility=visibility.astype(int),
        joints3d_lsp_m=0.3 * rng.standard_normal((14, 3)) if has_3d else None,
    )


def write_bodies(path: Path, count: int = BODIES_PER_SET) -> None:
    """Writes mocap records of random poses and shapes."""
    import tensorflow as tf

    from hmr.data.schema import mocap_to_example

    rng = np.random.default_rng(7)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(count):
            writer.write(mocap_to_example(0.2 * rng.standard_normal(72), rng.standard_normal(10)))


@pytest.fixture
def tiny_config(body_path, records_root):
    """The configuration from_scratch, cut down to a few seconds."""
    return make_tiny_config(body_path, records_root)


def make_tiny_config(body_path, records_root):
    from hmr.configs.from_scratch import get_config
    from tests.helpers.tiny_encoder import register_tiny_encoder

    config = get_config()
    config.model.encoder = register_tiny_encoder()
    config.model.input_size = 32
    config.model.hidden_units = 32
    config.model.discriminator_units = 16
    config.model.dropout = 0.5
    config.model.body = str(body_path)
    config.data.root = str(records_root)
    config.data.train = dict.fromkeys(IMAGE_SETS, 1.0)
    config.data.mocap = dict.fromkeys(MOCAP_SETS, 1.0)
    config.data.shuffle_buffer = 16
    config.data.share_3d = 0.5
    config.train.batch_size = 4
    config.train.epochs = 0.5
    config.optimizer.warmup_steps = 2
    config.validation.dataset = ""
    return config
