"""An exported model behind Triton's Python backend: one signature, named as the model's folder.

Triton joins requests to batches as config.pbtxt says. Here a batch is one call of the SavedModel,
and a bad request is answered with its own error, whatever it was joined to. The environment's
`HMR_EXPORT` is the folder that `python -m src.export` wrote; its newest version is served.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import triton_python_backend_utils as triton

KINDS = {tf.string: "TYPE_STRING", tf.float32: "TYPE_FP32", tf.int32: "TYPE_INT32"}
# Names of a graph's nodes in TensorFlow's messages.
_GRAPH_PLACES = re.compile(r"\{\{[^}]*\}\}\s*|\n\s*\[\[.*", re.DOTALL)
Arrays = dict[str, np.ndarray]


class Refusal(NamedTuple):
    """Why a request has no answer, and whether the request is to blame.

    It stands for TensorFlow's error, whose traceback keeps the whole batch's pictures: its frames
    reach the list of answers, a cycle that Python collects only after hundreds of megabytes.
    """

    reason: str
    is_bad: bool


def open_signature(name: str) -> Callable[..., Mapping[str, tf.Tensor]]:
    """A signature of the newest exported version.

    Raises:
        ValueError: there is no version, or no such signature.
    """
    folder = Path(os.environ.get("HMR_EXPORT", "runs/export"))
    versions = [path for path in folder.glob("*") if path.name.isdecimal()]
    if not versions:
        raise ValueError(f"HMR_EXPORT: no exported version in {folder.absolute()}")
    served = tf.saved_model.load(str(max(versions, key=lambda path: int(path.name)))).signatures
    if name not in served:
        raise ValueError(f"the model's folder must be one of {sorted(served)}. Received: {name}")
    return served[name]


def answers(
    signature: Callable[..., Mapping[str, tf.Tensor]], requests: Sequence[Arrays]
) -> list[Arrays | Refusal]:
    """Each request's outputs, or the refusal that it alone is answered with.

    The SavedModel refuses a whole batch for one bad request: then each half is asked again.
    """
    joined = {name: np.concatenate([r[name] for r in requests]) for name in requests[0]}
    refusal = None
    try:
        outputs = signature(**{name: tf.constant(value) for name, value in joined.items()})
    except tf.errors.OpError as error:
        # The last line says what is wrong; those before it, where in the graph.
        reason = _GRAPH_PLACES.sub("", error.message).strip().rpartition("\n")[2]
        refusal = Refusal(reason, isinstance(error, tf.errors.InvalidArgumentError))
    if refusal and len(requests) == 1:
        return [refusal]
    if refusal:
        middle = len(requests) // 2
        return answers(signature, requests[:middle]) + answers(signature, requests[middle:])
    ends = np.cumsum([len(next(iter(request.values()))) for request in requests])[:-1]
    parts = {name: np.split(value.numpy(), ends) for name, value in outputs.items()}
    return [{name: parts[name][index] for name in parts} for index in range(len(requests))]


def _described(name: str, spec: tf.TensorSpec) -> dict[str, Any]:
    """A tensor as Triton declares it: without the batch, and with one axis at least."""
    sizes = [size or -1 for size in spec.shape[1:]]
    return {"name": name, "data_type": KINDS[spec.dtype], "dims": sizes or [1]}


def _warm_up(signature: Callable[..., Mapping[str, tf.Tensor]], names: Sequence[str]) -> None:
    """Asks for one grey picture, so that the first client does not wait for what is made once."""
    picture = tf.io.encode_jpeg(tf.fill((64, 64, 3), tf.constant(128, tf.uint8)))
    known = {"image_bytes": picture[None], "boxes": tf.constant([[8.0, 8.0, 48.0, 48.0]])}
    if all(name in known for name in names):
        signature(**{name: known[name] for name in names})


class TritonPythonModel:
    """What Triton's Python backend asks for: the methods' names are Triton's."""

    @staticmethod
    def auto_complete_config(config: Any) -> Any:
        """Adds the inputs and outputs of the signature."""
        signature = open_signature(config.as_dict()["name"])
        for name, spec in signature.structured_input_signature[1].items():
            config.add_input(_described(name, spec))
        for name, spec in signature.structured_outputs.items():
            config.add_output(_described(name, spec))
        return config

    def initialize(self, options: dict[str, str]) -> None:
        """Loads the signature and calls it once, so that it is ready when Triton says so."""
        self._signature = open_signature(options["model_name"])
        self._specs = self._signature.structured_input_signature[1]
        _warm_up(self._signature, list(self._specs))

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """The responses to requests that Triton has joined, in their order."""
        received = answers(self._signature, [self._inputs(request) for request in requests])
        return list(map(self._response, requests, received))

    def _inputs(self, request: Any) -> Arrays:
        arrays = {n: triton.get_input_tensor_by_name(request, n).as_numpy() for n in self._specs}
        # What has no axis but the batch came as (B, 1).
        return {n: v[:, 0] if self._specs[n].shape.rank == 1 else v for n, v in arrays.items()}

    def _response(self, request: Any, answer: Arrays | Refusal) -> Any:
        if isinstance(answer, Refusal):
            code = triton.TritonError.INVALID_ARG if answer.is_bad else triton.TritonError.INTERNAL
            return triton.InferenceResponse(error=triton.TritonError(answer.reason, code))
        wanted = request.requested_output_names()
        return triton.InferenceResponse(
            [triton.Tensor(n, v.reshape(len(v), *v.shape[1:] or (1,)))
             for n, v in answer.items() if n in wanted]
        )  # fmt: skip
