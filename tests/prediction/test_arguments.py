"""Each argument of the Python interface, of another kind, shape or range, is answered in a line."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from hmr.errors import UserError
from hmr.prediction.predictor import Predictor
from tests.helpers.small_predictor import SIZE

BOXES = [(30, 20, 60, 100)]
POINTS = np.column_stack([np.linspace(30, 90, 17), np.linspace(20, 120, 17), np.ones(17)])
NAN = float("nan")
LIKE_A_BODY = SimpleNamespace(beta=np.zeros(10))
CROP = np.zeros((1, SIZE, SIZE, 3), np.float32)

PREDICT = {
    "image": [None, 3, [1, 2], "absent.jpg", b"abc", np.full((5, 5, 3), NAN), np.zeros(5)],
    "boxes": [3, "1,2,3,4", [(1, 2, 3)], [("a", 2, 3, 4)], [(NAN, 1, 2, 3)], [None], {"x": 1},
              [(1, 2, 3, 4), (1, 2)], np.array(3.0), [(1j, 2, 3, 4)], [(900, 900, 5, 5)]],
    "keypoints": [3, POINTS, [POINTS[:, :2]], [None], [[[1, 2, 3], [1, 2]]], [POINTS * 1j],
                  [{"nose": (1, 2, 3)}], [np.full((17, 3), NAN)], "abc"],
    "min_score": [-0.1, 1, "0.2", NAN, None, True],
    "find": ["yolo", None, 3, ["none"], np.array(["none", "yolo"])],
    "fit": ["yes", 3, np.array([True, False])],
}  # fmt: skip
BODIES = [None, 3, "a", [1], [LIKE_A_BODY], LIKE_A_BODY]
PATHS = [None, 3, "", "a\0b", b"a", "folder/"]


@pytest.mark.parametrize(("name", "wrong"), [(k, v) for k, row in PREDICT.items() for v in row])
def test_predict(predictor, image, name, wrong):
    arguments = {"image": image, "boxes": BOXES, name: wrong}
    if name in ("keypoints", "find", "min_score"):
        del arguments["boxes"]
    refused(lambda: predictor.predict(**arguments))


def refused(call):
    with pytest.raises(UserError) as error:
        call()
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize("wrong", BODIES)
def test_bodies(tmp_path, predictor, image, wrong):
    refused(lambda: predictor.draw(image, wrong))
    refused(lambda: predictor.save(tmp_path / "a", image, wrong))
    refused(lambda: predictor.measure(wrong))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [0, -1, 182, "1.8", NAN, [1.8], True])
def test_heights(predictor, image, wrong):
    (body,) = predictor.predict(image, boxes=BOXES)
    refused(lambda: predictor.measure(body, wrong))


@pytest.mark.parametrize("wrong", PATHS)
def test_paths(predictor, image, wrong):
    refused(lambda: predictor.save(wrong, image, []))
    refused(lambda: Predictor.load(wrong))


WRONG_CROPS = [None, [[1]], CROP[0], CROP[:0], CROP.astype(float), CROP + NAN, CROP + 200]


@pytest.mark.parametrize("wrong", WRONG_CROPS)
def test_crops(predictor, wrong):
    refused(lambda: predictor.predict_crops(wrong))


@pytest.mark.parametrize("wrong", [None, 3, [(1, [])], [("a.jpg", [])], [(CROP[0], [])], [CROP]])
def test_pictures_with_people(predictor, wrong):
    refused(lambda: predictor.predict_people(wrong))
    refused(lambda: predictor.predict_people([], fit="yes"))


OPTIONS = {
    "batch_size": [0, 1.5, "2", None, True],
    "focal_px": [0, -1, "5", NAN, [5], True],
    "fit": ["yes"],
    "model": [None, "models"],
}


@pytest.mark.parametrize(("name", "wrong"), [(k, v) for k, row in OPTIONS.items() for v in row])
def test_options(predictor, name, wrong):
    refused(lambda: Predictor(**{"model": predictor.model, name: wrong}))


def test_numbers_of_another_kind_for_all_of_keras_are_named(monkeypatch):
    monkeypatch.setattr(keras.config, "floatx", lambda: "float16")
    with pytest.raises(UserError, match=r"floatx must be float32\. Received: .?float16"):
        Predictor.load("anywhere")
