"""Runs requests on a SavedModel with TensorFlow alone: python -I rerun.py SAVED_MODEL FOLDER

FOLDER holds requests.json, a list of {"signature": name, "inputs": {name: dtype}}, and each input
as INDEX.NAME.tensor (`tf.io.serialize_tensor`). The outputs go to FOLDER/outputs.npz under the
names INDEX/OUTPUT, and the median time of the last request to milliseconds. This file imports
nothing of the project and makes it and keras unimportable, so that an export that runs here runs
anywhere.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

REQUESTS_FILE, OUTPUTS_FILE = "requests.json", "outputs.npz"
HIDDEN = ("keras", "hmr", "src")
TIMED_CALLS = 10


def run_requests(saved_model: str, folder: Path) -> None:
    """Loads the SavedModel and answers every request in the folder."""
    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(saved_model)
    outputs: dict[str, Any] = {}
    for index, request in enumerate(json.loads((folder / REQUESTS_FILE).read_text())):
        signature = loaded.signatures[request["signature"]]
        inputs = {
            name: tf.io.parse_tensor((folder / f"{index}.{name}.tensor").read_bytes(), dtype)
            for name, dtype in request["inputs"].items()
        }
        answer = signature(**inputs)
        outputs |= {f"{index}/{name}": value.numpy() for name, value in answer.items()}
    times = []
    for _ in range(TIMED_CALLS):
        started = time.perf_counter()
        signature(**inputs)["vertices"].numpy()
        times.append(1000 * (time.perf_counter() - started))
    np.savez(folder / OUTPUTS_FILE, milliseconds=statistics.median(times), **outputs)


if __name__ == "__main__":
    modules: dict[str, Any] = sys.modules
    for hidden in HIDDEN:
        modules[hidden] = None  # an import of it raises ModuleNotFoundError
    run_requests(sys.argv[1], Path(sys.argv[2]))
