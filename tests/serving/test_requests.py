"""Requests as TensorFlow Serving's clients build them, on the exported SavedModel."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

from hmr.serving.saved_model import WARMUP_FILE

apis = pytest.importorskip("tensorflow_serving.apis", reason="needs tensorflow-serving-api")
from tensorflow.core.protobuf import saved_model_pb2  # noqa: E402
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2  # noqa: E402


@pytest.fixture(scope="module")
def signature_defs(exported):
    """What the server reads: the signatures in saved_model.pb."""
    model = saved_model_pb2.SavedModel.FromString(
        (exported[0] / "1" / "saved_model.pb").read_bytes()
    )
    return model.meta_graphs[0].signature_def


def answer(request, signature_defs, served):
    """As the server does it: inputs checked against the signature, outputs put into protos."""
    name = request.model_spec.signature_name or "serving_default"
    wanted = signature_defs[name].inputs
    assert set(request.inputs) == set(wanted)
    inputs = {}
    for key, proto in request.inputs.items():
        assert proto.dtype == wanted[key].dtype
        shape = tf.TensorShape(proto.tensor_shape)
        assert shape.is_compatible_with(tf.TensorShape(wanted[key].tensor_shape))
        inputs[key] = tf.constant(tf.make_ndarray(proto))
    response = predict_pb2.PredictResponse()
    outputs = served[name](**inputs)
    for key in request.output_filter or outputs:
        response.outputs[key].CopyFrom(tf.make_tensor_proto(outputs[key]))
    return predict_pb2.PredictResponse.FromString(response.SerializeToString())


def test_warm_up_requests_play_back(exported, signature_defs, served):
    records = tf.data.TFRecordDataset(str(exported[0] / "1" / "assets.extra" / WARMUP_FILE))
    logs = [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in records]
    asked = [log.predict_log.request.model_spec.signature_name for log in logs]
    assert asked == [*["from_images"] * 2, *["from_pictures"] * 2, *["from_crops"] * 2]
    for log in logs:
        response = answer(log.predict_log.request, signature_defs, served)
        assert np.isfinite(tf.make_ndarray(response.outputs["vertices"])).all()


def photo():
    noise = np.random.default_rng(0).integers(0, 256, (300, 240, 3)).astype(np.uint8)
    return cv2.imencode(".jpg", cv2.GaussianBlur(noise, (0, 0), 2))[1].tobytes()


def test_a_request_without_signature_name_asks_for_pictures(signature_defs, served):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "hmr"
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([photo()]))
    request.inputs["boxes"].CopyFrom(tf.make_tensor_proto([[40.0, 20.0, 180.0, 250.0]]))
    request.output_filter.append("vertices")
    whole = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    response = answer(whole, signature_defs, served)
    assert list(response.outputs) == ["vertices"]
    expected = served["from_images"](
        image_bytes=tf.constant([photo()]), boxes=tf.constant([[40.0, 20, 180, 250]])
    )["vertices"]
    np.testing.assert_array_equal(tf.make_ndarray(response.outputs["vertices"]), expected)
