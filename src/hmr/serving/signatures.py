"""The inputs and outputs of a served model, and example requests.

| signature | input | shape |
|---|---|---|
| `from_images` (default) | `image_bytes` string, JPEG or PNG files | (B,) |
| | `boxes` float32, left, top, width, height of each person, picture pixels | (B, 4) |
| `from_crops` | `crops` float32, RGB in [-1, 1] | (B, S, S, 3) |

`OUTPUTS` lists what both return; `from_images` adds `IMAGE_OUTPUTS`. TFLite and ONNX files hold
`from_crops`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from hmr.geometry.crop import CROP_SIZE
from hmr.geometry.crop_graph import decode_and_crop
from hmr.network.hmr import HMR
from hmr.serving.report import FROM_CROPS, FROM_IMAGES, Outputs, Request

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
# Rounding may carry a crop's values slightly beyond 1.
_LARGEST_CROP_VALUE = 1.001


def signatures(input_size: int) -> dict[str, dict[str, dict[str, str]]]:
    """Signature -> inputs and outputs -> name -> shape and meaning."""
    return {
        FROM_IMAGES: {
            "inputs": {
                "image_bytes": "(B,) string, JPEG or PNG files",
                "boxes": "(B, 4) float32 left, top, width, height of each person, picture pixels",
            },
            "outputs": {**OUTPUTS, **IMAGE_OUTPUTS},
        },
        FROM_CROPS: {
            "inputs": {"crops": f"(B, {input_size}, {input_size}, 3) float32, RGB in [-1, 1]"},
            "outputs": OUTPUTS,
        },
    }


def run_on_crops(model: HMR, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """The `from_crops` signature.

    The graph fails with InvalidArgumentError on another size and on values that are not finite or
    lie outside [-1, 1], such as pictures from 0 to 255.
    """
    crops = tf.ensure_shape(crops, (None, model.input_size, model.input_size, 3))
    usable = tf.reduce_all(tf.abs(crops) <= _LARGEST_CROP_VALUE)
    message = "crops hold RGB in [-1, 1], finite: 2 * (byte / 255 - 0.5)"
    with tf.control_dependencies([tf.debugging.Assert(usable, [message])]):
        return run_model(model, tf.identity(crops))


def run_model(model: HMR, crops: tf.Tensor) -> dict[str, tf.Tensor]:
    """`OUTPUTS` of crops that are known to be valid."""
    outputs = model(crops, training=False, vertices=True)
    return {name: outputs[name] for name in OUTPUTS}


def run_on_images(model: HMR, image_bytes: tf.Tensor, boxes: tf.Tensor) -> dict[str, tf.Tensor]:
    """The `from_images` signature."""
    cut = decode_and_crop(image_bytes, tf.ensure_shape(boxes, (None, 4)), model.input_size)
    outputs = run_model(model, cut["crops"])
    from_centre_px = outputs["keypoints2d"] * (CROP_SIZE / 2) / cut["scale"][:, None, None]
    return {
        **outputs,
        "keypoints2d_px": from_centre_px + cut["center_px"][:, None],
        "crop_center_px": cut["center_px"],
        "crop_scale": cut["scale"],
    }


_RUN: dict[str, Callable[..., dict[str, tf.Tensor]]] = {
    FROM_IMAGES: run_on_images,
    FROM_CROPS: run_on_crops,
}


def answers(model: HMR, requests: Sequence[Request]) -> list[Outputs]:
    """The Keras model's outputs for each request, computed in this process."""
    received = [
        _RUN[signature](model, **{name: tf.constant(array) for name, array in inputs.items()})
        for signature, inputs in requests
    ]
    return [{name: value.numpy() for name, value in outputs.items()} for outputs in received]


def example_requests(input_size: int) -> list[Request]:
    """(signature, inputs) of several batch sizes and both file kinds: for the check and warm-up."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, 12, 16, 3))
    pictures = [np.kron(tile, np.ones((20, 20, 1))).astype(np.uint8) for tile in coarse]
    files = [tf.io.encode_jpeg(picture).numpy() for picture in pictures[:2]]
    files.append(tf.io.encode_png(pictures[2]).numpy())
    boxes = np.array([[90, 30, 80, 190], [-20, 50, 120, 150], [200, 10, 60, 230]], np.float32)
    return [
        (FROM_IMAGES, {"image_bytes": np.array(files, object), "boxes": boxes}),
        (FROM_IMAGES, {"image_bytes": np.array(files[:1], object), "boxes": boxes[:1]}),
        *crop_requests(input_size),
    ]


def crop_requests(input_size: int) -> list[Request]:
    """Two crops of noise, and the first of them: (B, S, S, 3) float32."""
    rng = np.random.default_rng(1)
    crops = rng.uniform(-1, 1, (2, input_size, input_size, 3)).astype(np.float32)
    return [(FROM_CROPS, {"crops": crops}), (FROM_CROPS, {"crops": crops[:1]})]
