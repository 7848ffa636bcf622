"""Runs requests on a SavedModel with TensorFlow alone: python -I rerun.py SAVED_MODEL FOLDER

FOLDER holds requests.json, a list of {"signature": name, "inputs": {name: dtype}}, and each input
as INDEX.NAME.tensor (`tf.io.serialize_tensor`). The outputs go to FOLDER/outputs.npz under the
names INDEX/OUTPUT. This file imports nothing of the project and makes keras unimportable, so that
an export that runs here runs anywhere.
"""

import json
import sys
from pathlib import Path
from typing import Any

REQUESTS_FILE, OUTPUTS_FILE = "requests.json", "outputs.npz"


def run_requests(saved_model: str, folder: Path) -> None:
    """Loads the SavedModel and answers every request in the folder."""
    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(saved_model)
    outputs: dict[str, Any] = {}
    for index, request in enumerate(json.loads((folder / REQUESTS_FILE).read_text())):
        inputs = {
            name: tf.io.parse_tensor((folder / f"{index}.{name}.tensor").read_bytes(), dtype)
            for name, dtype in request["inputs"].items()
        }
        answer = loaded.signatures[request["signature"]](**inputs)
        outputs |= {f"{index}/{name}": value.numpy() for name, value in answer.items()}
    np.savez(folder / OUTPUTS_FILE, **outputs)


if __name__ == "__main__":
    modules: dict[str, Any] = sys.modules
    modules["keras"] = None  # an import of it raises ModuleNotFoundError
    run_requests(sys.argv[1], Path(sys.argv[2]))
