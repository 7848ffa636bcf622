"""The exported SavedModel, as a server sees it."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import tensorflow as tf

from src import export as verb
from src.errors import UserError
from src.imaging.crop import box_from_xywh, crop_image, from_normalized, network_input
from src.network.build import ModelSpec, build_model
from src.network.checkpoint import load_model, save_model
from src.serving.saved_model import export_saved_model, signatures

BOXES = np.array([[40, 20, 90, 180], [10, 30, 120, 150]], np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, body_path):
    folder = tmp_path_factory.mktemp("model")
    spec = ModelSpec("resnet14_v2_narrow", input_size=64, hidden_units=32, body=str(body_path))
    save_model(build_model(spec, seed=5), spec, folder)
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """The verb's output folder, and what it printed, from a process of its own."""
    folder = tmp_path_factory.mktemp("export")
    command = [sys.executable, "-m", "src.export"]
    command += ["--checkpoint", str(checkpoint), "--output", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    return folder, finished.stdout


@pytest.fixture(scope="module")
def served(exported):
    return tf.saved_model.load(str(exported[0] / "1")).signatures


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (len(BOXES), 240, 200, 3)).astype(np.uint8)
    return [cv2.GaussianBlur(picture, (0, 0), 2) for picture in noise]


def _encode(pictures, suffixes=(".png", ".jpg")):
    return tf.constant(
        [
            cv2.imencode(suffix, p[..., ::-1])[1].tobytes()
            for p, suffix in zip(pictures, suffixes, strict=True)
        ]
    )


def test_the_check_ran_and_is_reported(exported):
    folder, printed = exported
    report = json.loads((folder / "1" / "assets.extra" / "export.json").read_text())
    assert 0 <= report["export_max_abs_diff"] <= 1e-4
    assert f"{report['export_max_abs_diff']:.2g}" in printed
    assert set(report["differences"]) == {"from_images", "from_crops"}
    assert [path.name for path in folder.iterdir()] == ["1"]


def test_signatures_are_those_documented(served):
    documented = signatures(64)
    assert set(served) == {*documented, "serving_default"}
    for name, parts in documented.items():
        assert set(served[name].structured_input_signature[1]) == set(parts["inputs"])
        assert set(served[name].structured_outputs) == set(parts["outputs"])
    assert set(served["serving_default"].structured_outputs) == set(
        documented["from_images"]["outputs"]
    )


def test_crops_of_any_batch_size_give_the_models_numbers(served, checkpoint):
    model = load_model(checkpoint)
    for count in (1, 3, 5):
        crops = np.random.default_rng(count).uniform(-1, 1, (count, 64, 64, 3)).astype(np.float32)
        expected = model(crops, vertices=True)
        for name, value in served["from_crops"](crops=tf.constant(crops)).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-4, err_msg=name)


def test_pictures_give_what_the_projects_own_crop_gives(served, checkpoint, pictures):
    answer = served["from_images"](image_bytes=_encode(pictures), boxes=tf.constant(BOXES))
    model = load_model(checkpoint)
    crop, cut = crop_image(pictures[0], box_from_xywh(*BOXES[0]))
    outputs = model(network_input(crop, 64)[None])
    np.testing.assert_allclose(answer["theta"][0], outputs["theta"][0], atol=2e-3)
    keypoints_px = cut.to_image(from_normalized(answer["keypoints2d"][0].numpy()))
    np.testing.assert_allclose(answer["keypoints2d_px"][0], keypoints_px, atol=1e-2)
    np.testing.assert_allclose(answer["crop_scale"][0], cut.scale, rtol=1e-6)


@pytest.mark.parametrize(
    ("files", "boxes"),
    [
        ([b"no picture"], [[0.0, 0, 10, 10]]),
        ([b"\xff\xd8\xff cut short"], [[0.0, 0, 10, 10]]),
        ([b"no picture", b"no picture"], [[0.0, 0, 10, 10]]),
    ],
)
def test_bad_requests_are_refused(served, files, boxes):
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["from_images"](image_bytes=tf.constant(files), boxes=tf.constant(boxes))


def test_other_sizes_are_refused(served):
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["from_crops"](crops=tf.zeros((1, 32, 32, 3)))
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["from_images"](image_bytes=tf.constant([b""]), boxes=tf.zeros((1, 5)))


@pytest.mark.slow
def test_a_difference_above_the_limit_fails_and_leaves_nothing(checkpoint, tmp_path):
    with pytest.raises(UserError, match="differs from the Keras model by more than -1"):
        export_saved_model(load_model(checkpoint), tmp_path, max_abs_diff=-1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_next_version_is_written_beside_the_last(checkpoint, tmp_path):
    (tmp_path / "7").mkdir()
    report = export_saved_model(load_model(checkpoint), tmp_path)
    assert report.path == str(tmp_path / "8")


def test_warmup_requests_replay(exported, served):
    apis = pytest.importorskip(
        "tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api"
    )
    file = exported[0] / "1" / "assets.extra" / "tf_serving_warmup_requests"
    logs = [apis.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(file))]
    assert len(logs) == 4
    for log in logs:
        request = log.predict_log.request
        inputs = {
            name: tf.constant(tf.make_ndarray(proto)) for name, proto in request.inputs.items()
        }
        answer = served[request.model_spec.signature_name](**inputs)
        assert np.isfinite(answer["vertices"]).all()


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(UserError, match=r"model\.json"):
        verb.main(["--checkpoint", str(tmp_path), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
