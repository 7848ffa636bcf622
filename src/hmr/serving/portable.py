"""Writes a model as TFLite or ONNX files, which run without TensorFlow, and checks each of them.

The files hold the `from_crops` signature of `hmr.serving.signatures`: `crops` (B, S, S, 3) in,
outputs of the same names out. They do not check their input.
TensorFlow is imported where it is used, so that an unavailable format is refused at once.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hmr.errors import UserError, to_install
from hmr.files.whole import plain_folder, scratch_folder, take_name
from hmr.serving.report import FROM_CROPS, MAX_ABS_DIFF, ExportReport, check_export, write_report

if TYPE_CHECKING:
    from hmr.network.hmr import HMR

# The newest that ONNX Runtime has read since 1.14 (2023).
ONNX_OPSET = 18
# What the files are called, before the ending of their format.
_STEM = "hmr"


@dataclass(frozen=True)
class PortableFormat:
    """A kind of file.

    Attributes:
        ending: of the file's name.
        write: takes the folder of a SavedModel with `from_crops`, and the file to write.
        packages: must be importable.
        extra: the project's extra that installs them.
        max_abs_diff: the largest difference to the Keras model; above 1e-4 where weights are
            rounded on purpose.
    """

    ending: str
    write: Callable[[Path, Path], None]
    packages: tuple[str, ...]
    extra: str
    max_abs_diff: float = MAX_ABS_DIFF


def write_tflite(saved_model: Path, file: Path, weights: str = "float32") -> None:
    """Converts with TFLite's own operations only: no Flex delegate is needed to run it.

    Args:
        saved_model: folder.
        file: to write.
        weights: float32, float16, or int8 (TFLite's dynamic-range quantisation, per channel).
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=[FROM_CROPS]
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    file.write_bytes(converter.convert())


def write_onnx(saved_model: Path, file: Path) -> None:
    """Converts with tf2onnx; Keras's own ONNX export would turn the body's arrays into inputs."""
    from tf2onnx import convert, tf_loader

    graph, inputs, outputs, names = tf_loader.from_saved_model(
        str(saved_model), None, None, signatures=[FROM_CROPS], return_tensors_to_rename=True
    )
    convert.from_graph_def(
        graph,
        name="hmr",
        input_names=inputs,
        output_names=outputs,
        opset=ONNX_OPSET,
        tensors_to_rename=names,
        output_path=str(file),
    )


_LITERT = ("ai_edge_litert",)
FORMATS = {
    "tflite": PortableFormat(".tflite", write_tflite, _LITERT, "tflite"),
    "tflite_float16": PortableFormat(
        "_float16.tflite", partial(write_tflite, weights="float16"), _LITERT, "tflite", 2e-2
    ),
    "tflite_int8": PortableFormat(
        "_int8.tflite", partial(write_tflite, weights="int8"), _LITERT, "tflite", 0.5
    ),
    "onnx": PortableFormat(".onnx", write_onnx, ("onnx", "onnxruntime", "tf2onnx"), "onnx"),
}


def check_installed(kinds: Sequence[str]) -> None:
    """Checks the packages of these formats; call it before anything is written.

    Raises:
        UserError: a package that one of the kinds needs is not installed; it names the extra.
    """
    for kind in kinds:
        wanted = FORMATS[kind]
        missing = [name for name in wanted.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise UserError(
                f"the format {kind} needs {', '.join(missing)}: {to_install(wanted.extra)}"
            )


def export_portable(
    model: HMR,
    kinds: Sequence[str],
    folder: str | os.PathLike,
    source: str = "",
    max_abs_diff: float | None = None,
) -> dict[str, ExportReport]:
    """Writes a file for each kind, such as FOLDER/hmr.onnx, and beside it a .json about it.

    Each file is run in a fresh process in which TensorFlow cannot be imported, and compared with
    the Keras model, before it gets its name.

    Args:
        model: its outputs are compared with the files'.
        kinds: keys of `FORMATS`.
        folder: made if missing.
        source: where the model comes from, for the .json.
        max_abs_diff: the largest difference allowed; each kind's own if None.

    Returns:
        kind -> report.

    Raises:
        UserError: a package is missing, or an output differs by more than the kind allows; that
            file is not kept.
    """
    from hmr.serving.signatures import answers, crop_requests, signatures

    check_installed(kinds)
    folder = Path(folder)
    requests = crop_requests(model.input_size)
    expected = answers(model, requests)
    described = signatures(model.input_size)[FROM_CROPS]
    reports = {}
    with scratch_folder(folder / _STEM) as partial, plain_folder(partial) as scratch:
        _write_with_fixed_size(model, scratch / "saved_model")
        for kind in kinds:
            wanted = FORMATS[kind]
            file = scratch / (_STEM + wanted.ending)
            # Both converters report their progress on standard output.
            with contextlib.redirect_stdout(io.StringIO()):
                wanted.write(scratch / "saved_model", file)
            limit = wanted.max_abs_diff if max_abs_diff is None else max_abs_diff
            report = check_export(file, requests, expected, limit)
            reports[kind] = replace(
                report,
                path=str(folder / file.name),
                source=source,
                inputs=described["inputs"],
                outputs=described["outputs"],
            )
            take_name(file, folder / file.name)
            write_report(folder / f"{file.name}.json", reports[kind])
    return reports


def _write_with_fixed_size(model: HMR, folder: Path) -> None:
    """Writes a SavedModel with the crops' size in its signature, which the converters need."""
    import keras
    import tensorflow as tf

    from hmr.serving.signatures import run_model

    size = model.input_size
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        FROM_CROPS,
        lambda crops: run_model(model, crops),
        input_signature=[tf.TensorSpec((None, size, size, 3), tf.float32, "crops")],
    )
    archive.write_out(str(folder), verbose=False)
