"""Photos, boxes and files behind the page."""

import cv2
import numpy as np
import pytest

from hmr.body.model_file import save_body
from hmr.errors import UserError
from hmr.files.images import read_image
from hmr.network.build import build_model
from hmr.prediction.predictor import Predictor
from hmr.prediction.writers.numbers import load_result
from hmr.prediction.writers.save import KINDS
from hmr.settings import ModelSpec
from hmr.web import estimator
from hmr.web.estimator import (
    SAMPLES_FOLDER,
    SHOWN_HEIGHT_PX,
    Estimator,
    Photo,
    box_of_drawing,
    discard,
    drawing_of_box,
    open_photo,
)
from tests.helpers.shapes import round_body


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    body = tmp_path_factory.mktemp("body") / "egg.npz"
    save_body(body, round_body())
    spec = ModelSpec("resnet14_v2_narrow", input_size=64, hidden_units=32, body=str(body))
    return Predictor(build_model(spec, seed=5))


@pytest.fixture
def photo(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (1680, 800, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "tall.png"), cv2.GaussianBlur(noise, (0, 0), 4))
    return open_photo(tmp_path / "tall.png")


def test_a_large_photo_is_shown_smaller_and_boxes_follow(photo):
    assert photo.image.shape == (1680, 800, 3) and photo.shown.shape[0] == SHOWN_HEIGHT_PX
    drawn = {"xmin": 20, "ymin": 40, "xmax": 120, "ymax": 340}
    box = box_of_drawing([drawn], photo)
    np.testing.assert_allclose(box, [60, 120, 300, 900], rtol=2e-3)
    assert drawing_of_box(box, photo) == drawn
    assert box_of_drawing([], photo) is None


@pytest.mark.slow
def test_files_of_an_estimate_and_their_end(predictor, photo, tmp_path):
    page = Estimator(predictor, tmp_path)
    made = page.estimate(photo, (60, 120, 300, 900))
    assert len(made.files) == len(KINDS) and all(file.is_file() for file in made.files)
    assert made.overlay.shape == photo.shown.shape and made.shown in made.files
    (npz,) = (file for file in made.files if file.suffix == ".npz")
    saved = load_result(npz)
    assert saved.name == "tall.png"
    np.testing.assert_array_equal(saved.bodies[0].rectangle_px, [60, 120, 300, 900])
    discard(made)
    assert not any(file.exists() for file in made.files)


@pytest.mark.slow
def test_everyone_is_found_where_no_box_is_drawn(predictor, photo, tmp_path):
    page = Estimator(predictor, tmp_path)
    with pytest.raises(UserError, match=r"^nobody found in tall\.png: drag a box"):
        page.estimate(photo, None)
    pair = np.hstack(
        [read_image(SAMPLES_FOLDER / name) for name in ("striding.jpg", "turning.jpg")]
    )
    made = page.estimate(Photo("pair.png", pair, pair), None)
    assert {"pair_0.glb", "pair_1.glb"} <= {file.name for file in made.files}
    matched = load_result(made.shown.with_name("pair.npz")).bodies
    assert len(matched) == 2 and all(np.isfinite(body.reprojection_px).all() for body in matched)
    assert made.about.startswith("2 people")
    left = min(body.vertices_px[:, 0].min() for body in matched) / pair.shape[1]
    assert 100 * left - 2.1 < made.seen_from < 100 * left, "the slider starts beside them"
    plain = page.estimate(Photo("pair.png", pair, pair), None, match=False)
    for body in load_result(plain.shown.with_name("pair.npz")).bodies:
        assert np.isnan(body.reprojection_px[1]) and body.uncertain
    assert "2 people, 2 uncertain: person 1 (far from the keypoints" in plain.about


def test_bad_photos_and_boxes_are_named_without_their_folder(predictor, photo, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(cv2.imencode(".jpg", photo.image)[1].tobytes()[:5000])
    with pytest.raises(UserError, match=r"^cut\.jpg is damaged or cut short"):
        open_photo(tmp_path / "cut.jpg")
    with pytest.raises(UserError, match="positive width and height"):
        Estimator(predictor, tmp_path).estimate(photo, (60, 120, 0, 900))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("list.mp4", b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n", "not a video"),
        ("photo.mp4", b"\xff\xd8\xff\xe0", "not a video"),
        ("cut.mp4", b"\0\0\0\x18ftypmp42" + bytes(100), "cannot be opened as a video"),
    ],
)
def test_what_is_no_video_is_not_opened_and_leaves_nothing(
    predictor, tmp_path, name, content, told
):
    (tmp_path / "results").mkdir()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"^{name}.*{told}"):
        Estimator(predictor, tmp_path / "results").estimate_video(tmp_path / name)
    assert not list((tmp_path / "results").iterdir())


def test_videos_of_large_frames_are_refused(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(estimator, "MOST_FRAME_PIXELS", 64 * 64)
    path = str(tmp_path / "large.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 80))
    writer.write(np.zeros((80, 64, 3), np.uint8))
    writer.release()
    with pytest.raises(UserError, match=r"^large\.avi: its frames have more than 4,096 pixels"):
        Estimator(predictor, tmp_path).estimate_video(path)
