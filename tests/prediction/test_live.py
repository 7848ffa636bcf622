"""A camera's bodies, calmed."""

from dataclasses import replace

import numpy as np

from hmr.prediction.live import LiveSmoother
from hmr.prediction.result import Result


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
