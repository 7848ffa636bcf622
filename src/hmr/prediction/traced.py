"""A model as the graph that TensorFlow traced of it, kept in the user's cache.

Building a Keras model layer by layer, reading its weights, tracing and running it for the first
time takes 2.0 s for `models/people_free`; reading and running what was traced once takes 0.8 s (two
cores of an AMD EPYC). A single picture takes as long as this start, so a command begins here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hmr.body.model_file import BodyModel, body_place, open_body
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from hmr.files.foreign import parsing
from hmr.files.safe_npz import load_npz
from hmr.files.shipped import cache_folder
from hmr.files.whole import make_folder, write_whole
from hmr.network.checkpoint import WEIGHTS_FILE, load_model
from hmr.network.description import (
    DESCRIPTION_FILE,
    body_file,
    model_folder,
    read_spec,
)
from hmr.network.encoders import ENCODERS
from hmr.network.hmr import HMR

_PACKAGE = Path(__file__).parents[1]
# Each holds weights and body: 49 MB for `models/people_free`.
_MOST_KEPT = 3
# What a kept network gives, and what encoders of this project, regressor and body are made of:
# nothing that reads files, writes them or calls Python, which a graph can do.
_OUTPUTS = "features theta camera pose beta rotations smpl_joints joints3d keypoints2d vertices"
_OPERATIONS = (
    "Abs AddV2 BatchMatMulV2 BiasAdd BroadcastTo ConcatV2 Const Conv2D Cos DepthwiseConv2dNative "
    "Einsum Exp ExpandDims GatherV2 Identity Less Log MatMul MatrixDiagV3 Max MaxPool Maximum Mean "
    "Min Minimum Mul Neg OnesLike Pack Pad Placeholder Pow Prod Range RealDiv Relu Relu6 Reshape "
    "ResizeBilinear Rsqrt SelectV2 Shape Sigmoid Sin Softmax Softplus Split Sqrt Square Squeeze "
    "StridedSlice Sub Sum Tile Transpose Unpack ZerosLike"
)


class TracedModel:
    """What a predictor needs of `hmr.network.hmr.HMR`: its outputs, and its body.

    Args:
        traced: of `trace`.
        body_path: of the body file that it was traced with.
    """

    def __init__(self, traced: dict[str, np.ndarray], body_path: str):
        self._body_path = body_path
        names = json.loads(traced["names"].tobytes())
        graph = tf.compat.v1.GraphDef.FromString(traced["graph"].tobytes())
        held = [tf.constant(traced[f"held_{i}"]) for i in range(len(names["inputs"]) - 1)]
        shape = names["images"]

        def outputs(images: tf.Tensor) -> dict[str, tf.Tensor]:
            inputs = [images, *map(tf.identity, held)]  # in the graph, where they are to be used
            found = tf.graph_util.import_graph_def(
                graph,
                dict(zip(names["inputs"], inputs, strict=True)),
                list(names["outputs"].values()),
                name="",
            )
            return dict(zip(names["outputs"], found, strict=True))

        self.input_size: int = shape[1]
        self._outputs = tf.function(outputs, autograph=False).get_concrete_function(
            tf.TensorSpec(shape, tf.float32)
        )
        # A first run takes ten times as long: it is done while the finder looks at the picture.
        self._first_run = threading.Thread(target=self._run_in)
        self._first_run.start()

    def _run_in(self) -> None:
        with contextlib.suppress(Exception):  # what is asked of it then says so itself
            self._outputs(tf.zeros([1, self.input_size, self.input_size, 3]))

    @cached_property
    def body(self) -> BodyModel:
        """The body's arrays."""
        return open_body(self._body_path)

    @cached_property
    def smpl(self) -> SMPL:
        """The body layer."""
        return SMPL(self.body, self._body_path)

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Images (B, S, S, 3) float32 in [-1, 1] to the outputs of `HMR` with vertices."""
        self._first_run.join()
        outputs = self._outputs(tf.constant(images))
        return {name: value.numpy() for name, value in outputs.items()}


def open_traced(folder: str | os.PathLike, body: str | None = None) -> TracedModel:
    """Reads what was traced of a model folder; traces it, and keeps that, where nothing was.

    Args:
        folder: as of `load_model`.
        body: path of another body file than the model's.
    Raises:
        UserError: as `load_model`.
    """
    found = model_folder(folder)
    spec = read_spec(found)
    body_path = body or body_file(found, spec.body)
    if not _is_own(spec.encoder):  # the code of others may change unseen
        return TracedModel(trace(load_model(found, body)), body_path)
    kept = None
    with _costs_time_only():
        if not body_place(body_path).is_file():
            open_body(body_path)  # makes the stand-in, whose time is part of the name
        kept = _kept(found, body_path)
        traced = load_npz(kept)
        with parsing(kept, "traced network"):
            if _fits(traced, spec.input_size):
                return TracedModel(traced, body_path)
    traced = trace(load_model(found, body))
    with _costs_time_only():
        # Whoever wrote the model or its body meanwhile has another name for what is in them.
        if kept == _kept(found, body_path) and _fits(traced, spec.input_size):
            _keep(kept, traced)
    return TracedModel(traced, body_path)


def _costs_time_only() -> contextlib.AbstractContextManager:
    """What cannot be found, read, written or removed in the cache: the model is traced instead."""
    return contextlib.suppress(UserError, OSError)


def _is_own(encoder: str) -> bool:
    row = ENCODERS.get(encoder)
    builder = getattr(row, "func", row)  # a row may be a `functools.partial`
    return getattr(builder, "__module__", "").startswith("hmr.network.")


def _fits(traced: dict[str, np.ndarray], input_size: int) -> bool:
    """Whether it takes such images, gives what `HMR` gives, and does nothing but compute."""
    names = json.loads(traced["names"].tobytes())
    graph = tf.compat.v1.GraphDef.FromString(traced["graph"].tobytes())
    return (
        names["images"] == [None, input_size, input_size, 3]
        and set(names["outputs"]) == set(_OUTPUTS.split())
        and not graph.library.function
        and {node.op for node in graph.node} <= set(_OPERATIONS.split())
    )


def trace(model: HMR) -> dict[str, np.ndarray]:
    """A model's graph and what it works with.

    Returns:
        `graph`, the bytes of a GraphDef; `names`, JSON of the shape of its images and the names of
        its inputs, the images' and those of what is held, and of its outputs; and `held_0` ...,
        the weights and the arrays of the body.
    """
    learned, fixed = model.trainable_variables, model.non_trainable_variables
    weights = [*learned, *fixed]
    images = tf.TensorSpec(model.encoder.input_shape, tf.float32)

    def outputs(images: tf.Tensor, weights: list[tf.Tensor]) -> dict[str, tf.Tensor]:
        count = len(learned)
        return model.stateless_call(
            weights[:count], weights[count:], images, training=False, vertices=True
        )[0]

    traced = tf.function(outputs, autograph=False).get_concrete_function(
        images, [tf.TensorSpec(each.shape, each.dtype) for each in weights]
    )
    held = [*map(np.asarray, weights), *(each.numpy() for each in traced.captured_inputs)]
    keys = sorted(traced.structured_outputs)  # the order of `outputs`
    names = {
        "images": images.shape.as_list(),
        "inputs": [each.name for each in traced.inputs],
        "outputs": dict(zip(keys, (each.name for each in traced.outputs), strict=True)),
    }
    graph = traced.graph.as_graph_def().SerializeToString()
    return {
        "graph": np.frombuffer(graph, np.uint8),
        "names": np.frombuffer(json.dumps(names).encode(), np.uint8),
        **{f"held_{index}": array for index, array in enumerate(held)},
    }


def _kept(folder: Path, body: str) -> Path:
    """Another file for each model, body, state of this code, and version of what traces it."""
    code = sorted(_PACKAGE.rglob("*.py"))
    files = [folder / DESCRIPTION_FILE, folder / WEIGHTS_FILE, body_place(body), *code]
    text = json.dumps([[*map(_stamp, files)], tf.__version__, keras.__version__])
    return cache_folder() / "traced" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"


def _stamp(path: Path) -> tuple[str, ...]:
    """Differs for files of other content; a copy has another, too."""
    known = [str(path.resolve())]
    if path.exists():
        status = path.stat()
        known += map(str, (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino))
    return tuple(known)


def _keep(path: Path, traced: dict[str, Any]) -> None:
    make_folder(path.parent)
    write_whole(path, lambda file: np.savez(file, **traced))
    by_time = sorted((each.stat().st_mtime_ns, each) for each in path.parent.glob("*.npz"))
    for _, old in by_time[:-_MOST_KEPT]:
        old.unlink(missing_ok=True)
