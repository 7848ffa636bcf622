"""The exported SavedModel, as a server sees it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hmr.errors import UserError
from hmr.files.images import read_image
from hmr.geometry.crop import box_from_xywh, crop_image, from_normalized, network_input
from hmr.prediction.people import MIN_SCORE, from_keypoints
from hmr.prediction.predictor import Predictor
from hmr.serving import rerun, saved_model
from hmr.serving.saved_model import export_saved_model, next_version
from hmr.serving.signatures import crop_requests, signatures
from hmr.web.estimator import SAMPLES_FOLDER

BOXES = np.array([[40, 20, 90, 180], [10, 30, 120, 150]], np.float32)


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
    assert set(report["differences"]) == {"from_images", "from_pictures", "from_crops"}
    assert [path.name for path in folder.iterdir()] == ["1"]


def test_folders_with_characters_of_patterns_are_exported_to(exported):
    folder, printed = exported
    assert folder.resolve().name == "ex [v1]*" and str(folder.resolve() / "1") in printed
    assert (folder / "1" / "saved_model.pb").is_file()


def test_signatures_are_those_documented(served):
    documented = signatures(64)
    assert set(served) == {*documented, "serving_default"}
    for name, parts in documented.items():
        assert set(served[name].structured_input_signature[1]) == set(parts["inputs"])
        assert set(served[name].structured_outputs) == set(parts["outputs"])
    assert set(served["serving_default"].structured_outputs) == set(
        documented["from_images"]["outputs"]
    )


def test_crops_of_any_batch_size_give_the_models_numbers(served, model):
    for count in (1, 3, 5):
        crops = np.random.default_rng(count).uniform(-1, 1, (count, 64, 64, 3)).astype(np.float32)
        expected = model(crops, vertices=True)
        for name, value in served["from_crops"](crops=tf.constant(crops)).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-4, err_msg=name)


def test_pictures_give_what_the_projects_own_crop_gives(served, model, pictures):
    answer = served["from_images"](image_bytes=_encode(pictures), boxes=tf.constant(BOXES))
    crop, cut = crop_image(pictures[0], box_from_xywh(*BOXES[0]))
    outputs = model(network_input(crop, 64)[None])
    np.testing.assert_allclose(answer["theta"][0], outputs["theta"][0], atol=2e-3)
    keypoints_px = cut.to_image(from_normalized(answer["keypoints2d"][0].numpy()))
    np.testing.assert_allclose(answer["keypoints2d_px"][0], keypoints_px, atol=1e-2)
    np.testing.assert_allclose(answer["crop_scale"][0], cut.scale, rtol=1e-6)


def test_everyone_is_found_in_encoded_pictures(served, model, pictures):
    """Two people, nobody, one person: as the project's own finder and crop have it, roughly."""
    one = read_image(SAMPLES_FOLDER / "standing.jpg")
    two = np.hstack([read_image(SAMPLES_FOLDER / n) for n in ("striding.jpg", "turning.jpg")])
    answer = served["from_pictures"](
        image_bytes=_encode([two, pictures[0], one], (".png", ".jpg", ".png"))
    )
    answer = {name: value.numpy() for name, value in answer.items()}
    assert answer["count"].tolist() == [2, 0, 1]
    assert answer["vertices"].shape == (3, 6, 6890, 3)
    assert all(not value[1].any() for value in answer.values())
    assert all(not value[2, 1:].any() for name, value in answer.items() if name != "count")
    predictor = Predictor(model)
    for row, image in ((0, two), (2, one)):
        bodies = {body.label: body for body in predictor.predict(image)}
        assert len(bodies) == answer["count"][row]
        middles = np.array([body.box_center_px for body in bodies.values()])
        for found in answer["crop_center_px"][row, : answer["count"][row]]:
            nearest = np.linalg.norm(middles - found, axis=1).min()
            assert nearest < 8  # the predictor looks twice more, from near
        assert (np.diff(answer["scores"][row]) <= 0).all()


def test_people_of_pictures_are_cropped_as_their_keypoints_say(served, model):
    one = read_image(SAMPLES_FOLDER / "standing.jpg")
    answer = served["from_pictures"](image_bytes=_encode([one], [".png"]))
    points = answer["found_keypoints_px"][0, 0].numpy()
    person = from_keypoints(points, MIN_SCORE)
    crop, cut = crop_image(one, person.box)
    np.testing.assert_allclose(answer["crop_center_px"][0, 0], cut.center_px, atol=0.6)
    outputs = model(network_input(crop, 64)[None])
    np.testing.assert_allclose(answer["theta"][0, 0], outputs["theta"][0], atol=2e-3)


def test_files_that_are_no_picture_are_refused_by_all_signatures(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="JPEG or PNG"):
        served["from_pictures"](image_bytes=tf.constant([b"GIF89a"]))


GOOD_BOX = [40.0, 20, 90, 180]


def _cut_short(file):
    return file[: len(file) // 2]


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("spoil", [_cut_short, lambda file: b"GIF89a" + file, lambda file: b""])
def test_bytes_that_are_no_picture_are_refused(served, pictures, suffix, spoil):
    file = spoil(_encode(pictures[:1], [suffix]).numpy()[0])
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["from_images"](image_bytes=tf.constant([file]), boxes=tf.constant([GOOD_BOX]))


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ([0, 0, np.nan, 10], "finite"),
        ([np.inf, 0, 10, 10], "finite"),
        ([20, 20, 0, 10], "positive width and height|touch"),
        ([90, 180, -50, -160], "positive width and height|touch"),
        ([500, 20, 90, 180], "must touch its picture"),
        ([-100, 20, 90, 180], "must touch its picture"),
        ([0, 0, 3e38, 3e38], "positive width and height"),
    ],
)
def test_boxes_without_a_person_in_them_are_refused(served, pictures, box, message):
    good_and_bad = tf.constant([GOOD_BOX, box], tf.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served["from_images"](image_bytes=_encode(pictures), boxes=good_and_bad)


@given(box=arrays(np.float32, 4, elements=st.floats(width=32)))
@settings(max_examples=60, deadline=None)
def test_a_box_gives_finite_numbers_or_an_error(served, pictures, box):
    image_bytes = _encode(pictures[:1], [".jpg"])
    try:
        answer = served["from_images"](image_bytes=image_bytes, boxes=tf.constant(box[None]))
    except tf.errors.InvalidArgumentError:
        return
    assert all(np.isfinite(value).all() for value in answer.values())


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((1, 32, 32, 3), np.float32),
        np.zeros((1, 64, 64, 1), np.float32),
        np.full((1, 64, 64, 3), np.nan, np.float32),
        np.full((2, 64, 64, 3), 255, np.float32),
    ],
    ids=["size", "channels", "nan", "bytes instead of -1 to 1"],
)
def test_other_crops_are_refused(served, crops):
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["from_crops"](crops=tf.constant(crops))


def test_boxes_are_one_for_each_picture_and_four_numbers(served, pictures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="one box for each picture"):
        served["from_images"](image_bytes=_encode(pictures), boxes=tf.constant([GOOD_BOX]))
    with pytest.raises(tf.errors.InvalidArgumentError):
        served["from_images"](image_bytes=_encode(pictures), boxes=tf.zeros((2, 5)))


def test_neither_the_project_nor_keras_is_needed(exported):
    """The script that the export is checked with cannot import them."""
    script = Path(rerun.__file__).read_text().split("run_requests(sys.argv")[0]
    probe = "\n    import hmr"
    command = [sys.executable, "-I", "-c", script + probe, str(exported[0] / "1")]
    finished = subprocess.run(command, capture_output=True)
    assert b"ModuleNotFoundError" in finished.stderr


@pytest.mark.slow
def test_a_difference_above_the_limit_fails_and_leaves_nothing(
    exported, model, tmp_path, monkeypatch
):
    """What is compared is crops, and the export that is there already: more would take long."""

    def write(_, folder):
        shutil.copytree(exported[0] / "1", folder, dirs_exist_ok=True)

    monkeypatch.setattr(saved_model, "_write", write)
    monkeypatch.setattr(saved_model, "example_requests", crop_requests)
    with pytest.raises(UserError, match="differs from the Keras model by more than -1"):
        export_saved_model(model, tmp_path, max_abs_diff=-1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_saved_model_cli_shows_signatures_and_shapes(exported):
    command = [Path(sys.executable).with_name("saved_model_cli"), "show"]
    command += ["--dir", exported[0] / "1", "--tag_set", "serve", "--signature_def", "from_images"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for kind, names in signatures(64)["from_images"].items():
        assert all(f"{kind}['{name}'] tensor_info:" in shown for name in names)
    assert "shape: (-1, 6890, 3)" in shown and "dtype: DT_STRING" in shown


def test_the_next_version_is_one_more_than_the_largest(tmp_path):
    assert next_version(tmp_path) == 1
    for name in ("2", "10", "notes"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 11
