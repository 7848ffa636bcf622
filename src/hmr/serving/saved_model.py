"""Writes a model as a TensorFlow SavedModel with two named signatures, and proves it."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from hmr.files.whole import scratch_folder, take_name
from hmr.network.hmr import HMR
from hmr.serving import rerun
from hmr.serving.fresh import run_fresh
from hmr.serving.report import ExportReport, compare, largest_of, size_megabytes
from hmr.serving.signatures import (
    FROM_CROPS,
    FROM_IMAGES,
    RUN,
    Request,
    example_requests,
    run_on_crops,
    run_on_images,
    signatures,
)
from hmr.serving.warmup import write_warmup_requests

MAX_ABS_DIFF = 1e-4


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
        UserError: an output differs by more; nothing is left behind.
    """
    folder = Path(folder)
    with scratch_folder(folder / "export") as partial:
        _write(model, partial)
        requests = example_requests(model.input_size)
        answers, milliseconds = _answers_of_a_fresh_process(partial, requests)
        expected = [_expected(model, request) for request in requests]
        names = [signature for signature, _ in requests]
        differences = compare(zip(names, expected, answers, strict=True), max_abs_diff)
        report = ExportReport(
            str(folder / str(next_version(folder))),
            largest_of(differences),
            differences,
            size_megabytes(partial),
            milliseconds,
            write_warmup_requests(partial, requests),
        )
        details = {**asdict(report), "source": source, "signatures": signatures(model.input_size)}
        (partial / "assets.extra").mkdir(exist_ok=True)
        (partial / "assets.extra" / "export.json").write_text(json.dumps(details, indent=2) + "\n")
        take_name(partial, Path(report.path))
    return report


def next_version(folder: Path) -> int:
    """One more than the largest version in the folder, beginning with 1."""
    return 1 + max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)


def _write(model: HMR, folder: Path) -> None:
    """Sizes are left open in the signatures and checked in the graph: TensorFlow trusts a
    signature's sizes without looking, and would compute garbage from other ones."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        FROM_IMAGES,
        lambda image_bytes, boxes: run_on_images(model, image_bytes, boxes),
        input_signature=[
            tf.TensorSpec((None,), tf.string, "image_bytes"),
            tf.TensorSpec((None, None), tf.float32, "boxes"),
        ],
    )
    archive.add_endpoint(
        FROM_CROPS,
        lambda crops: run_on_crops(model, crops),
        input_signature=[tf.TensorSpec((None, None, None, None), tf.float32, "crops")],
    )
    archive.write_out(str(folder), verbose=False)


def _expected(model: HMR, request: Request) -> dict[str, np.ndarray]:
    """What the Keras model answers in this process."""
    signature, inputs = request
    tensors = {name: tf.constant(array) for name, array in inputs.items()}
    return {name: value.numpy() for name, value in RUN[signature](model, **tensors).items()}


def _answers_of_a_fresh_process(
    saved_model: Path, requests: list[Request]
) -> tuple[list[dict[str, np.ndarray]], float]:
    """The outputs of every request, and the median time of the last in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = []
        for index, (signature, inputs) in enumerate(requests):
            tensors = {key: tf.constant(array) for key, array in inputs.items()}
            for key, tensor in tensors.items():
                file = folder / f"{index}.{key}.tensor"
                file.write_bytes(tf.io.serialize_tensor(tensor).numpy())
            dtypes = {key: tensor.dtype.name for key, tensor in tensors.items()}
            listed.append({"signature": signature, "inputs": dtypes})
        (folder / rerun.REQUESTS_FILE).write_text(json.dumps(listed))
        run_fresh(rerun.__file__, saved_model, folder)
        return read_answers(folder / rerun.OUTPUTS_FILE, len(requests))


def read_answers(file: Path, count: int) -> tuple[list[dict[str, np.ndarray]], float]:
    """What a re-run left: the outputs of each request, and the milliseconds of the last."""
    answers: list[dict[str, np.ndarray]] = [{} for _ in range(count)]
    with np.load(file, allow_pickle=False) as stored:
        for key in stored.files:
            index, _, name = key.partition("/")
            if name:
                answers[int(index)][name] = stored[key]
        return answers, float(stored["milliseconds"])
