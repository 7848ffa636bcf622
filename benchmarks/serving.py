"""An exported model's answers, by batch size, beside the Keras model's."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from benchmarks.timing import Row, compare
from hmr.loading import without_standard_error
from hmr.network.build import build_model
from hmr.network.hmr import HMR
from hmr.serving.portable import FORMATS, export_portable
from hmr.serving.rerun import RUNTIMES
from hmr.serving.saved_model import export_saved_model
from hmr.serving.signatures import run_model
from hmr.settings import ModelSpec

BATCH_SIZES = (1, 4, 16)
PICTURE_PX = (640, 480)
# Fresh weights magnify rounding without bound; speed does not depend on it.
ANY = 1e9


def serving_rows(spec: ModelSpec, repeats: int) -> Iterator[Row]:
    """Pictures and crops to all outputs, meshes too; TFLite and ONNX where they are installed."""
    keras.utils.set_random_seed(0)
    model = build_model(spec)
    what = f"{spec.encoder}, {spec.input_size} px"
    with tempfile.TemporaryDirectory() as folder:
        served = tf.saved_model.load(
            export_saved_model(model, folder, max_abs_diff=ANY).path
        ).signatures
        own = tf.function(lambda crops: run_model(model, crops))
        for size in BATCH_SIZES:
            yield _pictures_row(what, served, own, model, size, repeats)
        crops = _crops(model, 1)
        reports = export_portable(model, installed_formats(), folder, max_abs_diff=ANY)
        for kind, report in reports.items():
            open_file, _ = RUNTIMES[Path(report.path).suffix]
            run = open_file(report.path)
            yield compare(
                f"{kind}, {what}, batch 1",
                lambda run=run: run("from_crops", {"crops": crops.numpy()}),
                "SavedModel, from crops",
                lambda: served["from_crops"](crops=crops)["vertices"].numpy(),
                repeats,
            )


def _pictures_row(what: str, served, own, model: HMR, size: int, repeats: int) -> Row:
    """JPEG files to bodies, beside the Keras model that is given the crops."""
    noise = np.random.default_rng(0).integers(0, 256, (PICTURE_PX[1] // 8, PICTURE_PX[0] // 8, 3))
    picture = np.kron(noise, np.ones((8, 8, 1))).astype(np.uint8)
    files = tf.constant([tf.io.encode_jpeg(picture).numpy()] * size)
    boxes = tf.constant([[200.0, 40.0, 180.0, 400.0]] * size)
    crops = _crops(model, size)
    with without_standard_error():  # where libjpeg takes each JPEG of the graph for damaged
        return compare(
            f"SavedModel, {what}, batch {size}",
            lambda: served["from_images"](image_bytes=files, boxes=boxes)["vertices"].numpy(),
            "Keras model, from crops",
            lambda: own(crops)["vertices"].numpy(),
            repeats,
        )


def _crops(model: HMR, size: int) -> tf.Tensor:
    shape = (size, model.input_size, model.input_size, 3)
    return tf.constant(np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32))


def installed_formats() -> list[str]:
    """The portable formats whose packages are there."""
    return [
        kind
        for kind, wanted in FORMATS.items()
        if all(importlib.util.find_spec(name) for name in wanted.packages)
    ]
