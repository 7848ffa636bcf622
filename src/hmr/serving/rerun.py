"""Runs requests on an exported model: python -I rerun.py EXPORT FOLDER

EXPORT is a SavedModel's folder, or a .tflite or .onnx file. FOLDER/inputs.npz holds the inputs
under the names INDEX/SIGNATURE/INPUT; the outputs go to FOLDER/outputs.npz under the names
INDEX/OUTPUT, and the median time of the last request to milliseconds. This script imports nothing
of the project and makes it, keras and, for files, TensorFlow unimportable, so that an export that
runs here runs anywhere.
"""

import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

INPUTS_FILE, OUTPUTS_FILE = "inputs.npz", "outputs.npz"
TIMED_CALLS = 10

# Signature and inputs by name -> outputs by name.
Run = Callable[[str, dict[str, Any]], dict[str, Any]]


def open_saved_model(folder: str) -> Run:
    """Runs a SavedModel with TensorFlow."""
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)

    def run(signature: str, inputs: dict[str, Any]) -> dict[str, Any]:
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        return {name: v.numpy() for name, v in loaded.signatures[signature](**tensors).items()}

    return run


def open_tflite(file: str) -> Run:
    """Runs a TFLite file, which holds one signature, with LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()
    return lambda signature, inputs: runner(**inputs)


def open_onnx(file: str) -> Run:
    """Runs an ONNX file, which holds one signature, with ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda signature, inputs: dict(zip(names, session.run(names, inputs), strict=True))


# Suffix of an export -> what opens it, and the packages that it must run without.
_PROJECT = ("keras", "hmr", "src")
RUNTIMES: dict[str, tuple[Callable[[str], Run], tuple[str, ...]]] = {
    ".tflite": (open_tflite, ("tensorflow", *_PROJECT)),
    ".onnx": (open_onnx, ("tensorflow", *_PROJECT)),
}
_SAVED_MODEL = (open_saved_model, _PROJECT)


def hide_what_is_not_needed(export: str) -> None:
    """Makes imports of the packages that it must run without raise ModuleNotFoundError."""
    _, hidden = RUNTIMES.get(Path(export).suffix, _SAVED_MODEL)
    modules: dict[str, Any] = sys.modules
    modules.update(dict.fromkeys(hidden))


def run_requests(export: str, folder: Path) -> None:
    """Loads the export and answers every request in the folder."""
    import numpy as np

    open_export, _ = RUNTIMES.get(Path(export).suffix, _SAVED_MODEL)
    run = open_export(export)
    requests: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    with np.load(folder / INPUTS_FILE, allow_pickle=False) as stored:
        for key in stored.files:
            index, signature, name = key.split("/")
            requests[index, signature][name] = stored[key]
    outputs: dict[str, Any] = {}
    for (index, signature), inputs in requests.items():
        outputs |= {f"{index}/{name}": value for name, value in run(signature, inputs).items()}
    times = []
    for _ in range(TIMED_CALLS):
        started = time.perf_counter()
        run(signature, inputs)
        times.append(1000 * (time.perf_counter() - started))
    np.savez(folder / OUTPUTS_FILE, milliseconds=statistics.median(times), **outputs)


if __name__ == "__main__":
    hide_what_is_not_needed(sys.argv[1])
    run_requests(sys.argv[1], Path(sys.argv[2]))
