"""Warm-up requests: TensorFlow Serving replays them before it takes traffic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

WARMUP_FILE = "tf_serving_warmup_requests"


def write_warmup_requests(
    saved_model: Path, requests: Sequence[tuple[str, dict[str, np.ndarray]]]
) -> int:
    """Writes assets.extra/tf_serving_warmup_requests into a SavedModel.

    Args:
        saved_model: its folder.
        requests: (signature, input name -> array).

    Returns:
        how many were written: 0, with a line in the log, without tensorflow-serving-api.
    """
    try:
        from tensorflow_serving.apis import predict_pb2, prediction_log_pb2
    except ImportError:
        logging.info('no warm-up requests: pip install -e ".[serving]" brings what writes them')
        return 0
    path = saved_model / "assets.extra" / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = "hmr"
            request.model_spec.signature_name = signature
            for name, array in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
    return len(requests)
