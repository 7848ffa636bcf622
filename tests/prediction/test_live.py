"""A camera's bodies, calmed."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hmr.files.video import Video
from hmr.prediction.live import LiveSmoother
from hmr.prediction.people import WholePicture
from hmr.prediction.result import Result
from hmr.prediction.run import PictureRun, RunOptions
from hmr.prediction.writers.numbers import load_result


def test_what_rests_stays_and_what_jumps_is_followed_late(predictor, image):
    (body,) = predictor.predict(image, find="none")
    live = LiveSmoother(predictor.model.smpl, 0.5)
    height, width = image.shape[:2]

    def calmed(person, seconds):
        return live.calm(Result("camera", height, width, [person], image), seconds).bodies[0]

    for frame in range(3):
        still = calmed(body, frame / 25)
    for name in ("vertices_m", "camera_crop", "keypoints2d_px", "beta"):
        np.testing.assert_allclose(getattr(still, name), getattr(body, name), atol=2e-3)
    np.testing.assert_allclose(still.translation_room_m, body.translation_room_m, rtol=1e-4)
    jumped = replace(body, camera_crop=body.camera_crop * (1.1, 1, 1))
    scale = calmed(jumped, 3 / 25).camera_crop[0] / body.camera_crop[0]
    assert 1.001 < scale < 1.099


class MadeCamera:
    """Stands in for `cv2.VideoCapture(0)`: a picture that trembles, without a known rate or end."""

    frame = 0

    def __init__(self, image):
        self._image = image

    isOpened = staticmethod(lambda: True)  # noqa: N815
    get = staticmethod(lambda name: 0.0)

    def read(self):
        self.frame += 1
        noise = np.random.default_rng(self.frame).normal(0, 25, self._image.shape)
        return True, np.clip(self._image + noise, 0, 255).astype(np.uint8)

    release = staticmethod(lambda: None)


@pytest.fixture
def clock(monkeypatch):
    """A clock on which every look at it takes a thirtieth of a second."""
    ticks = iter(range(10**6))
    monkeypatch.setattr("hmr.files.video.time.monotonic", lambda: next(ticks) / 30)


def test_a_cameras_bodies_tremble_less_and_are_written_as_frames_come(
    predictor, image, tmp_path, monkeypatch, clock
):
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: MadeCamera(image))

    def tremble(strength):
        folder = tmp_path / str(strength)
        options = RunOptions(folder, ("npz",), smooth=strength)
        run = PictureRun(predictor, WholePicture(), options)
        video = Video(0, max_frames=12)
        assert run.run(video).predicted == 12
        assert [round(30 * task.seconds) for task in video] == list(range(1, 13))
        results = [load_result(path) for path in sorted((folder / "camera0").glob("*.npz"))]
        vertices = np.array([result.bodies[0].vertices_m for result in results])
        return np.linalg.norm(np.diff(vertices, axis=0), axis=-1).mean()

    assert 0 < tremble(0.5) < 0.5 * tremble(0.0)
