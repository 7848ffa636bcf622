"""Writes a model as a TensorFlow SavedModel with three named signatures, and checks it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import tensorflow as tf
from absl import logging

from hmr.errors import to_install
from hmr.files.whole import plain_folder, scratch_folder, take_name
from hmr.loading import without_standard_error
from hmr.network.hmr import HMR
from hmr.serving.report import (
    FROM_CROPS,
    FROM_IMAGES,
    FROM_PICTURES,
    MAX_ABS_DIFF,
    ExportReport,
    Request,
    check_export,
    write_report,
)
from hmr.serving.signatures import RUN, answers, example_requests, signatures

EXTRA_FOLDER, REPORT_FILE = "assets.extra", "export.json"
WARMUP_FILE = "tf_serving_warmup_requests"
# Signature -> inputs; the first one is the default. The graph checks their sizes, the signatures do
# not: TensorFlow does not enforce a signature's sizes and would compute garbage from wrong ones.
_IMAGE_BYTES = tf.TensorSpec((None,), tf.string, "image_bytes")
_INPUTS = {
    FROM_IMAGES: [_IMAGE_BYTES, tf.TensorSpec((None, None), tf.float32, "boxes")],
    FROM_CROPS: [tf.TensorSpec((None, None, None, None), tf.float32, "crops")],
    FROM_PICTURES: [_IMAGE_BYTES],
}


def export_saved_model(
    model: HMR, folder: str | os.PathLike, source: str = "", max_abs_diff: float = MAX_ABS_DIFF
) -> ExportReport:
    """Writes FOLDER/N, N being the next free version, as TensorFlow Serving expects it.

    The SavedModel is loaded and run in a fresh process with TensorFlow alone before it gets its
    name. `assets.extra` holds export.json, the report, and warm-up requests.

    Args:
        model: its outputs are compared with the export's.
        folder: the served model's base folder; made if missing.
        source: where the model comes from, for export.json.
        max_abs_diff: the largest difference allowed, see `compare`.

    Raises:
        UserError: an output differs by more; then no file is left behind.
    """
    folder = Path(folder)
    with scratch_folder(folder / "export") as partial, plain_folder(partial) as plain:
        _write(model, plain)
        requests = example_requests(model.input_size)
        with without_standard_error():  # where libjpeg takes each JPEG of the graph for damaged
            expected = answers(model, requests)
        report = check_export(plain, requests, expected, max_abs_diff)
        report = replace(
            report,
            path=str(folder / str(next_version(folder))),
            warmup_requests=write_warmup_requests(plain / EXTRA_FOLDER, requests),
            source=source,
            signatures=signatures(model.input_size),
        )
        write_report(partial / EXTRA_FOLDER / REPORT_FILE, report)
        take_name(partial, Path(report.path))
    return report


def next_version(folder: Path) -> int:
    """One more than the largest version in the folder, beginning with 1."""
    return 1 + max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)


def _write(model: HMR, folder: Path) -> None:
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, specs in _INPUTS.items():
        archive.add_endpoint(name, partial(RUN[name], model), input_signature=specs)
    archive.write_out(str(folder), verbose=False)


def write_warmup_requests(folder: Path, requests: Sequence[Request]) -> int:
    """Writes the requests that TensorFlow Serving replays before it takes traffic.

    Returns:
        how many were written: 0, with a line in the log, without tensorflow-serving-api.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        logging.info("no warm-up requests: %s brings what writes them", to_install("serving"))
        return 0
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARMUP_FILE)) as writer:
        for signature, inputs in requests:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "hmr"
            request.model_spec.signature_name = signature
            for name, array in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    return len(requests)
