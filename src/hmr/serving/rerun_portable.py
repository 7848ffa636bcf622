"""Runs a TFLite or ONNX file without TensorFlow: python -I rerun_portable.py FILE FOLDER

FOLDER/inputs.npz holds crops under the names 0, 1, ...; the outputs go to FOLDER/outputs.npz under
the names INDEX/OUTPUT, and the median time of the last input to milliseconds. This file imports
nothing of the project, and makes it, keras and TensorFlow unimportable.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

INPUTS_FILE, OUTPUTS_FILE = "inputs.npz", "outputs.npz"
HIDDEN = ("keras", "tensorflow", "hmr", "src")
TIMED_CALLS = 10


def open_tflite(file: str) -> Callable[[Any], dict[str, Any]]:
    """crops -> outputs, by the LiteRT runtime."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner("from_crops")
    return lambda crops: runner(crops=crops)


def open_onnx(file: str) -> Callable[[Any], dict[str, Any]]:
    """crops -> outputs, by ONNX Runtime on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda crops: dict(zip(names, session.run(names, {"crops": crops}), strict=True))


RUNTIMES = {".tflite": open_tflite, ".onnx": open_onnx}


def run_inputs(file: str, folder: Path) -> None:
    """Loads the file and answers every input in the folder."""
    import numpy as np

    run = RUNTIMES[Path(file).suffix](file)
    outputs: dict[str, Any] = {}
    with np.load(folder / INPUTS_FILE, allow_pickle=False) as inputs:
        for index in inputs.files:
            crops = inputs[index]
            outputs |= {f"{index}/{name}": value for name, value in run(crops).items()}
    times = []
    for _ in range(TIMED_CALLS):
        started = time.perf_counter()
        run(crops)
        times.append(1000 * (time.perf_counter() - started))
    np.savez(folder / OUTPUTS_FILE, milliseconds=statistics.median(times), **outputs)


if __name__ == "__main__":
    modules: dict[str, Any] = sys.modules
    for hidden in HIDDEN:
        modules[hidden] = None  # an import of it raises ModuleNotFoundError
    run_inputs(sys.argv[1], Path(sys.argv[2]))
