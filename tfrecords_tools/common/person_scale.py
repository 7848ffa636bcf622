"""How large a person is made when only a part of the body is labelled."""

from __future__ import annotations

import numpy as np

from hmr.body.joints import COCOPLUS
from hmr.geometry.crop import PERSON_DIAGONAL_PX
from tfrecords_tools.common.pictures import Labels, full_body_scale

TORSO_PX = 75.0
NO_TORSO_PX = 50.0
_ANKLES = [COCOPLUS.index(f"{side}_ankle") for side in ("right", "left")]
_TORSO_SIDES = [
    (COCOPLUS.index(f"{side}_shoulder"), COCOPLUS.index(f"{side}_hip"))
    for side in ("right", "left")
]


def person_scale(labels: Labels, without_torso_px: float | None = NO_TORSO_PX) -> float | None:
    """The original's rule for people that may be cut off by the picture.

    With an ankle labelled, the keypoints' box gets a diagonal of 150 px. Else the mean distance
    of a shoulder and the hip of its side becomes 75 px. Else the box's diagonal becomes
    `without_torso_px`.

    Returns:
        stored pixels per picture pixel; None if there is no torso and `without_torso_px` is None.
    Raises:
        SampleError: no keypoint is labelled, or all lie in one point.
    """
    labelled = np.asarray(labels.visibility) > 0
    if labelled[_ANKLES].any():
        return full_body_scale(labels)
    points = np.asarray(labels.keypoints2d_px, np.float64)
    lengths = [
        np.linalg.norm(points[shoulder] - points[hip])
        for shoulder, hip in _TORSO_SIDES
        if labelled[shoulder] and labelled[hip]
    ]
    if lengths and np.mean(lengths) > 0:
        return TORSO_PX / float(np.mean(lengths))
    return without_torso_px and full_body_scale(labels) * without_torso_px / PERSON_DIAGONAL_PX
