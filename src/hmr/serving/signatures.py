"""The inputs and outputs of a served model, and example requests.

| signature | input | shape |
|---|---|---|
| `from_images` (default) | `image_bytes` string, JPEG or PNG files | (B,) |
| | `boxes` float32, left, top, width, height of each person, picture pixels | (B, 4) |
| `from_pictures` | `image_bytes` string, JPEG or PNG files; people are found | (B,) |
| `from_crops` | `crops` float32, RGB in [-1, 1] | (B, S, S, 3) |

`OUTPUTS` lists what all return; `from_images` adds `IMAGE_OUTPUTS`. `from_pictures` returns these
for up to six people a picture, (B, 6, ...), and adds `PICTURE_OUTPUTS`. TFLite and ONNX files hold
`from_crops`.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from hmr.files.safe_npz import load_npz
from hmr.finding.find_graph import MOST_PEOPLE, NUM_KEYPOINTS, find_in_graph
from hmr.finding.finder import weights_file
from hmr.finding.movenet import MoveNet
from hmr.geometry.crop import CROP_SIZE
from hmr.geometry.crop_graph import cut, cut_signature, decode, decode_and_crop
from hmr.network.hmr import HMR
from hmr.serving.report import FROM_CROPS, FROM_IMAGES, FROM_PICTURES, Outputs, Request

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
PICTURE_OUTPUTS = {
    "count": "(B,) how many people were found; further rows are zero",
    "scores": "(B, 6) of the people, the surest first",
    "found_keypoints_px": "(B, 6, 17, 3) COCO's keypoints: x, y in pixels of the picture, score",
}
_SAMPLE = ("samples", "striding.jpg")
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
        FROM_PICTURES: {
            "inputs": {"image_bytes": "(B,) string, JPEG or PNG files"},
            "outputs": {
                **{n: _of_people(text) for n, text in {**OUTPUTS, **IMAGE_OUTPUTS}.items()},
                **PICTURE_OUTPUTS,
            },
        },
        FROM_CROPS: {
            "inputs": {"crops": f"(B, {input_size}, {input_size}, 3) float32, RGB in [-1, 1]"},
            "outputs": OUTPUTS,
        },
    }


def _of_people(shape_and_meaning: str) -> str:
    """`(B, 3) ...` as `(B, 6, 3) ...`."""
    shape, _, meaning = shape_and_meaning.partition(")")
    return f"(B, {MOST_PEOPLE}{shape.removeprefix('(B').rstrip(',')}){meaning}"


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
    return _in_picture(
        model, decode_and_crop(image_bytes, tf.ensure_shape(boxes, (None, 4)), model.input_size)
    )


def _in_picture(model: HMR, crops: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """`OUTPUTS` and `IMAGE_OUTPUTS` of what `decode_and_crop` returns."""
    outputs = run_model(model, crops["crops"])
    from_centre_px = outputs["keypoints2d"] * (CROP_SIZE / 2) / crops["scale"][:, None, None]
    return {
        **outputs,
        "keypoints2d_px": from_centre_px + crops["center_px"][:, None],
        "crop_center_px": crops["center_px"],
        "crop_scale": crops["scale"],
    }


def run_on_pictures(model: HMR, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
    """The `from_pictures` signature: everyone whom one look at each picture finds."""
    found = _found_crops(image_bytes, model.input_size)
    there = found.pop("there")  # (B, 6)
    rows = tf.where(there)  # (P, 2) picture and person
    # The first slot stands in where nobody was found: convolutions take no empty batch.
    shown = tf.cond(tf.size(rows) > 0, lambda: rows, lambda: tf.zeros((1, 2), tf.int64))
    crops = {key: tf.gather_nd(found[key], shown) for key in ("crops", "center_px", "scale")}
    count = tf.shape(rows)[0]
    padded = {
        name: tf.scatter_nd(
            rows,
            value[:count],
            tf.concat([tf.shape(there, tf.int64), tf.shape(value, tf.int64)[1:]], 0),
        )
        for name, value in _in_picture(model, crops).items()
    }
    return {
        **padded,
        "count": tf.reduce_sum(tf.cast(there, tf.int32), axis=1),
        "scores": found["scores"],
        "found_keypoints_px": found["keypoints_px"],
    }


def _found_crops(image_bytes: tf.Tensor, input_size: int) -> dict[str, tf.Tensor]:
    """`find_in_graph` of each picture, and each person's crop, its centre and scale."""
    network = _finder_network()
    of_person = cut_signature(input_size)
    found_signature = {
        "there": tf.TensorSpec((MOST_PEOPLE,), tf.bool),
        "scores": tf.TensorSpec((MOST_PEOPLE,), tf.float32),
        "keypoints_px": tf.TensorSpec((MOST_PEOPLE, NUM_KEYPOINTS, 3), tf.float32),
        **{
            key: tf.TensorSpec((MOST_PEOPLE, *spec.shape), spec.dtype)
            for key, spec in of_person.items()
        },
    }

    def one(file: tf.Tensor) -> dict[str, tf.Tensor]:
        image = decode(file)
        found = find_in_graph(network, image)
        boxes = found.pop("boxes")  # (6, 4)
        cuts = tf.map_fn(
            lambda box: cut(image, box, input_size), boxes, fn_output_signature=of_person
        )
        return {**found, **cuts}

    return tf.map_fn(one, image_bytes, fn_output_signature=found_signature)


@functools.cache
def _finder_network() -> MoveNet:
    with tf.init_scope():  # its constants outlive the graph that asks first
        return MoveNet(load_npz(weights_file()), MOST_PEOPLE)


RUN: dict[str, Callable[..., dict[str, tf.Tensor]]] = {
    FROM_IMAGES: run_on_images,
    FROM_PICTURES: run_on_pictures,
    FROM_CROPS: run_on_crops,
}


def answers(model: HMR, requests: Sequence[Request]) -> list[Outputs]:
    """The Keras model's outputs for each request, computed in this process."""
    received = [
        RUN[signature](model, **{name: tf.constant(array) for name, array in inputs.items()})
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
    person = importlib.resources.files("hmr.web").joinpath(*_SAMPLE).read_bytes()
    return [
        (FROM_IMAGES, {"image_bytes": np.array(files, object), "boxes": boxes}),
        (FROM_IMAGES, {"image_bytes": np.array(files[:1], object), "boxes": boxes[:1]}),
        (FROM_PICTURES, {"image_bytes": np.array([person, files[0]], object)}),
        (FROM_PICTURES, {"image_bytes": np.array(files[:1], object)}),
        *crop_requests(input_size),
    ]


def crop_requests(input_size: int) -> list[Request]:
    """Two crops of noise, and the first of them: (B, S, S, 3) float32."""
    rng = np.random.default_rng(1)
    crops = rng.uniform(-1, 1, (2, input_size, input_size, 3)).astype(np.float32)
    return [(FROM_CROPS, {"crops": crops}), (FROM_CROPS, {"crops": crops[:1]})]
