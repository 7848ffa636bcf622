"""Writes a model as a TensorFlow SavedModel with two named signatures, and proves it.

| signature | input | shape |
|---|---|---|
| `from_images` (default) | `image_bytes` string, JPEG or PNG files | (B,) |
| | `boxes` float32, left, top, width, height of each person, picture pixels | (B, 4) |
| `from_crops` | `crops` float32, RGB in [-1, 1] | (B, S, S, 3) |

`OUTPUTS` lists what both return; `from_images` adds `IMAGE_OUTPUTS`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from src.errors import UserError
from src.imaging.crop import CROP_SIZE
from src.network.hmr import HMR
from src.serving import rerun
from src.serving.graph_crop import decode_and_crop
from src.serving.warmup import write_warmup_requests

MAX_ABS_DIFF = 1e-4

OUTPUTS = {
    "theta": "(B, T, 85) every iteration's camera 3, pose 72, shape 10",
    "camera": "(B, 3) weak perspective s, tx, ty in the crop: x = s (X_xy + t)",
    "pose": "(B, 72) SMPL pose, axis-angles, radians, root first",
    "beta": "(B, 10) SMPL shape",
    "rotations": "(B, 24, 3, 3) rotation matrices of pose",
    "joints3d": "(B, 19, 3) cocoplus keypoints, metres, camera's axes (x right, y down, z away)",
    "smpl_joints": "(B, 24, 3) SMPL's joints, metres, camera's axes",
    "vertices": "(B, 6890, 3) metres, camera's axes",
    "keypoints2d": "(B, 19, 2) -1 to 1 over the crop, y down",
}
IMAGE_OUTPUTS = {
    "keypoints2d_px": "(B, 19, 2) pixels of the picture",
    "crop_center_px": "(B, 2) picture pixel under the crop's centre",
    "crop_scale": "(B,) pixels of a 224 px crop for each picture pixel",
}


@dataclass(frozen=True)
class ExportReport:
    """What an export came to.

    Attributes:
        path: the SavedModel's folder.
        export_max_abs_diff: largest difference to the Keras model, over signatures and outputs.
        differences: signature -> output -> largest difference; of pixels in halves of a crop.
        warmup_requests: how many were written; 0 without tensorflow-serving-api.
    """

    path: str
    export_max_abs_diff: float
    differences: dict[str, dict[str, float]]
    warmup_requests: int


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
        max_abs_diff: the largest difference allowed.

    Raises:
        UserError: an output differs by more; nothing is left behind.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial", dir=folder))
    try:
        _write(model, partial)
        requests = example_requests(model.input_size)
        differences = _differences(model, partial, requests)
        warmup = write_warmup_requests(partial, requests)
        report = _report(folder / str(_next_version(folder)), differences, warmup)
        _refuse_above(max_abs_diff, report)
        details = {**asdict(report), "source": source, "signatures": signatures(model.input_size)}
        (partial / "assets.extra").mkdir(exist_ok=True)
        (partial / "assets.extra" / "export.json").write_text(json.dumps(details, indent=2) + "\n")
        partial.chmod(0o755)
        os.replace(partial, report.path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return report


def signatures(input_size: int) -> dict[str, dict[str, dict[str, str]]]:
    """Signature -> inputs and outputs -> name -> shape and meaning."""
    return {
        "from_images": {
            "inputs": {
                "image_bytes": "(B,) string, JPEG or PNG files",
                "boxes": "(B, 4) float32 left, top, width, height of each person, picture pixels",
            },
            "outputs": {**OUTPUTS, **IMAGE_OUTPUTS},
        },
        "from_crops": {
            "inputs": {"crops": f"(B, {input_size}, {input_size}, 3) float32, RGB in [-1, 1]"},
            "outputs": OUTPUTS,
        },
    }


def run_on_crops(model: HMR, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """The `from_crops` signature."""
    crops = tf.ensure_shape(crops, (None, model.input_size, model.input_size, 3))
    outputs = model(crops, training=False, vertices=True)
    return {name: outputs[name] for name in OUTPUTS}


def run_on_images(model: HMR, image_bytes: tf.Tensor, boxes: tf.Tensor) -> dict[str, tf.Tensor]:
    """The `from_images` signature."""
    cut = decode_and_crop(image_bytes, tf.ensure_shape(boxes, (None, 4)), model.input_size)
    outputs = run_on_crops(model, cut["crops"])
    from_centre_px = outputs["keypoints2d"] * (CROP_SIZE / 2) / cut["scale"][:, None, None]
    return {
        **outputs,
        "keypoints2d_px": from_centre_px + cut["center_px"][:, None],
        "crop_center_px": cut["center_px"],
        "crop_scale": cut["scale"],
    }


def example_requests(input_size: int) -> list[tuple[str, dict[str, np.ndarray]]]:
    """(signature, inputs) of several batch sizes and both file kinds: for the check and warm-up."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 12, 16, 3))
    pictures = [np.kron(tile, np.ones((20, 20, 1))).astype(np.uint8) for tile in coarse]
    files = [tf.io.encode_jpeg(picture).numpy() for picture in pictures[:2]]
    files.append(tf.io.encode_png(pictures[2]).numpy())
    boxes = np.array([[90, 30, 80, 190], [-20, 50, 120, 150], [200, 10, 60, 230]], np.float32)
    crops = rng.uniform(-1, 1, (2, input_size, input_size, 3)).astype(np.float32)
    return [
        ("from_images", {"image_bytes": np.array(files, object), "boxes": boxes}),
        ("from_images", {"image_bytes": np.array(files[:1], object), "boxes": boxes[:1]}),
        ("from_crops", {"crops": crops}),
        ("from_crops", {"crops": crops[:1]}),
    ]


def _write(model: HMR, folder: Path) -> None:
    """Sizes are left open in the signatures and checked in the graph: TensorFlow trusts a
    signature's sizes without looking, and would compute garbage from other ones."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "from_images",
        lambda image_bytes, boxes: run_on_images(model, image_bytes, boxes),
        input_signature=[
            tf.TensorSpec((None,), tf.string, "image_bytes"),
            tf.TensorSpec((None, None), tf.float32, "boxes"),
        ],
    )
    archive.add_endpoint(
        "from_crops",
        lambda crops: run_on_crops(model, crops),
        input_signature=[tf.TensorSpec((None, None, None, None), tf.float32, "crops")],
    )
    archive.write_out(str(folder), verbose=False)


def _differences(model: HMR, saved_model: Path, requests: list) -> dict[str, dict[str, float]]:
    """Largest difference of each output to the Keras model, run in this process."""
    run: dict[str, Callable] = {"from_images": run_on_images, "from_crops": run_on_crops}
    answers = _answers_of_a_fresh_process(saved_model, requests)
    largest: dict[str, dict[str, float]] = {name: {} for name in run}
    for index, (signature, inputs) in enumerate(requests):
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        for name, expected in run[signature](model, **tensors).items():
            difference = np.abs(answers[f"{index}/{name}"] - expected.numpy()) / _unit(name)
            so_far = largest[signature].get(name, 0.0)
            largest[signature][name] = float(np.max(difference, initial=so_far))
    return largest


def _unit(output: str) -> float:
    """Pixels are compared as `keypoints2d` is: in halves of a crop."""
    return CROP_SIZE / 2 if output.endswith("_px") else 1.0


def _answers_of_a_fresh_process(saved_model: Path, requests: list) -> dict[str, np.ndarray]:
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
        _run_fresh(saved_model, folder)
        with np.load(folder / rerun.OUTPUTS_FILE, allow_pickle=False) as answers:
            return dict(answers)


def _run_fresh(saved_model: Path, folder: Path) -> None:
    """-I: neither the project nor the user's own folders are on the path."""
    command = [sys.executable, "-I", str(rerun.__file__), str(saved_model), str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        last_lines = "\n".join(finished.stderr.strip().splitlines()[-5:])
        raise UserError(f"the export does not run in a process of its own:\n{last_lines}")


def _report(path: Path, differences: dict[str, dict[str, float]], warmup: int) -> ExportReport:
    largest = max(value for outputs in differences.values() for value in outputs.values())
    return ExportReport(str(path), largest, differences, warmup)


def _refuse_above(limit: float, report: ExportReport) -> None:
    if report.export_max_abs_diff <= limit:
        return
    differing = [
        f"{signature}/{name} by {value:.2g}"
        for signature, outputs in report.differences.items()
        for name, value in outputs.items()
        if not value <= limit
    ]
    raise UserError(
        f"the export differs from the Keras model by more than {limit:g}: {', '.join(differing)}. "
        "Nothing was written. python -m src.doctor shows the versions to report."
    )


def _next_version(folder: Path) -> int:
    """One more than the largest version in the folder, beginning with 1."""
    return 1 + max((int(path.name) for path in folder.iterdir() if path.name.isdigit()), default=0)
