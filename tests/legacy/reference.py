"""Writes what the old packages give: python -m tests.legacy.reference FOLDER

Runs in the environment that `make legacy-check` builds: TensorFlow 2.15 with tensorflow-addons,
chumpy and TF-Slim. Of this project it uses only what makes the inputs.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
import types
from pathlib import Path

import numpy as np

# Python 3.11 dropped a function that chumpy 0.70 imports; the new one returns the same first parts.
if not hasattr(inspect, "getargspec"):
    inspect.getargspec = inspect.getfullargspec

import chumpy as ch
import tensorflow as tf
import tensorflow_addons as tfa

from tests.helpers.golden_inputs import made_weight
from tests.helpers.smpl_files import smpl_dict, write_python2_pickle

# Factor of x and y, the crop's first pixel in the scaled picture: inside, and over each border.
TRAINING_WARPS = {
    "inside": ((0.9, 0.9), (12, 9)),
    "grown": ((1.23, 1.23), (30, 41)),
    "left_above": ((0.8, 0.8), (-20, -13)),
    "right_below": ((1.0, 1.1), (90, 120)),
}
CROP_SIZE = 96
PICTURE_SHAPE = (150, 131, 3)


def main(folder: Path) -> None:
    """Writes pickles and .npz files of inputs and outputs."""
    folder.mkdir(parents=True, exist_ok=True)
    write_chumpy(folder)
    write_warps(folder)
    write_encoder(folder)
    versions = {"chumpy": ch, "tensorflow": tf, "tensorflow-addons": tfa, "numpy": np}
    python = sys.version.split()[0]
    print(f"Python {python}, " + ", ".join(f"{k} {m.__version__}" for k, m in versions.items()))


def write_chumpy(folder: Path) -> None:
    """Expressions, and a SMPL file with chumpy objects, with the values chumpy gives them."""
    leaf = ch.array(np.random.default_rng(1).standard_normal((6, 4, 3)))
    expressions = {
        "leaf": leaf,
        "slice": leaf[:, 1],
        "steps": leaf[::2, :, -1],
        "chosen": leaf[[3, 0, 3]],
        "slice_of_slice": leaf[1:5][:, 2:],
        "turned": leaf[0].T,
        "axes": leaf.transpose((2, 0, 1)),
        "reshaped": leaf.reshape((8, 9)),
        "flat": leaf.ravel(),
        "slice_of_turned": leaf[0].T[1],
        "sum": leaf + leaf,
        "joined": ch.concatenate((leaf, leaf), axis=0),
        "slice_of_sum": (leaf + 1.0)[2],
    }
    for protocol in (0, 1, 2, 4):
        path = folder / f"expressions{protocol}.pkl"
        path.write_bytes(pickle.dumps(expressions, protocol))
    write_python2_pickle(folder / "expressions_python2.pkl", expressions)
    np.savez(folder / "expressions.npz", **{name: e.r for name, e in expressions.items()})

    model = smpl_dict(coco=True)
    dense = ("v_template", "shapedirs", "posedirs", "weights")
    with_leaves = model | {name: ch.array(model[name]) for name in dense}
    # Official files of v1.0.0 hold the first 10 of more shape directions as a selection of them.
    more = np.concatenate([model["shapedirs"], model["shapedirs"][..., :2]], axis=-1)
    with_leaves["shapedirs"] = ch.array(more)[:, :, :10]
    values = {name: np.asarray(with_leaves[name].r) for name in dense}
    write_python2_pickle(folder / "basicModel_f_lbs_10_207_0_v1.0.0.pkl", with_leaves)
    np.savez(folder / "smpl.npz", **values)


def write_warps(folder: Path) -> None:
    """Crops that tensorflow-addons cuts out of a noise picture, in two steps as the original."""
    noise = np.random.default_rng(2).integers(0, 256, PICTURE_SHAPE)
    picture = noise.astype(np.float32)
    arrays = {"picture": picture}
    for name, (factor, origin) in TRAINING_WARPS.items():
        scaled_size = np.floor(np.array(PICTURE_SHAPE[1::-1]) * factor)
        factor = scaled_size / PICTURE_SHAPE[1::-1]
        scaled = _transform(picture, 1 / factor, (0, 0), scaled_size)
        arrays[f"{name}.factor"], arrays[f"{name}.origin"] = factor, np.array(origin)
        arrays[f"{name}.crop"] = _transform(scaled, (1, 1), origin, (CROP_SIZE, CROP_SIZE))
        # OpenCV's rule: the centres of pixels correspond, not their corners.
        centred = _transform(picture, 1 / factor, 0.5 / factor - 0.5, scaled_size)
        arrays[f"{name}.centred"] = centred
    np.savez(folder / "warps.npz", **arrays)


def _transform(picture: np.ndarray, scale, origin, size) -> np.ndarray:
    """Output pixel x reads the picture at scale * x + origin; x before y, the edge repeated."""
    transform = [scale[0], 0, origin[0], 0, scale[1], origin[1], 0, 0]
    shape = tf.constant([int(size[1]), int(size[0])])
    row = np.array(transform, np.float32)
    return tfa.image.transform(picture, row, "BILINEAR", "NEAREST", output_shape=shape).numpy()


def write_encoder(folder: Path) -> None:
    """TF-Slim's ResNet-50 v2 with made weights: features, and statistics after a training step."""
    graph = tf.Graph()
    with graph.as_default():
        resnet_v2, images = (
            _slim_resnet(),
            np.random.default_rng(20).uniform(-1, 1, (2, 224, 224, 3)),
        )
        placeholder = tf.compat.v1.placeholder(tf.float32, images.shape)
        features = resnet_v2(placeholder, is_training=False, reuse=None)
        training = resnet_v2(placeholder, is_training=True, reuse=True)
        updates = tf.compat.v1.get_collection(tf.compat.v1.GraphKeys.UPDATE_OPS)
        variables = tf.compat.v1.global_variables()
        with tf.compat.v1.Session() as session:
            for variable in variables:
                value = made_weight(variable.op.name, tuple(variable.shape.as_list()))
                variable.load(value, session)
            results = session.run([features, training, *updates], {placeholder: images})
            moving = {v.op.name: v for v in variables if "moving" in v.op.name}
            statistics = session.run(moving)
    np.savez(
        folder / "encoder.npz", features=results[0], features_training=results[1], **statistics
    )


def _slim_resnet():
    """A function (images, is_training, reuse) -> features (B, 2048)."""
    # TensorFlow 2.15 looks for Keras's old layers under a package name that holds none.
    old_layers = importlib.import_module("keras.src.legacy_tf_layers")
    sys.modules.setdefault("tf_keras", types.ModuleType("tf_keras"))
    sys.modules["tf_keras.legacy_tf_layers"] = old_layers
    for name in ("base", "convolutional", "core", "normalization", "pooling"):
        module = importlib.import_module(f"{old_layers.__name__}.{name}")
        sys.modules[f"tf_keras.legacy_tf_layers.{name}"] = module
    import tf_slim
    from tf_slim.nets import resnet_v2

    def network(images, is_training, reuse):
        with tf_slim.arg_scope(resnet_v2.resnet_arg_scope()):
            net, _ = resnet_v2.resnet_v2_50(
                images, num_classes=None, is_training=is_training, reuse=reuse
            )
        return tf.squeeze(net, axis=[1, 2])

    return network


if __name__ == "__main__":
    main(Path(sys.argv[1]))
