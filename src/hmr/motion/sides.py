"""Which side of a person is the left one: what the finder says, checked by the network's body."""

from __future__ import annotations

import numpy as np

from hmr.body.joints import COCO17, COCOPLUS, COCOPLUS_FLIP, take_joints
from hmr.geometry.crop import CROP_SIZE, PERSON_DIAGONAL_PX
from hmr.geometry.oks import AREA_OF_DIAGONAL, oks

# Chosen on made videos: less mends more finds and spoils more that were right (docs/motion.md).
_TIMES_AS_LIKE = 1.5
# Added to both, so that a body which is far from the keypoints either way decides nothing.
_LEAST_OKS = 0.05
# Of a person in their own crop, whose sides are 2 long.
_AREA = np.array(AREA_OF_DIAGONAL * (2 * PERSON_DIAGONAL_PX / CROP_SIZE) ** 2)


def contradicted_sides(found: np.ndarray, body: np.ndarray) -> np.ndarray:
    """Whether keypoints are much more like the body's with left and right exchanged, (N,) bool.

    A finder that takes somebody's back for the front exchanges left and right.

    Args:
        found: (N, 19, 3) cocoplus x, y in the crop, from -1 to 1, and confidence, 0 where unknown.
        body: (N, 19, 2) x, y of the network's body in the same crop.
    """
    both = np.stack([found, found[:, COCOPLUS_FLIP]])  # (2, N, 19, 3)
    points, known = np.split(take_joints(both, COCOPLUS, COCO17), [2], axis=-1)
    alike = oks(points, take_joints(body, COCOPLUS, COCO17), _AREA, known[..., 0] > 0)  # (2, N)
    as_is, exchanged = alike + _LEAST_OKS
    return exchanged > _TIMES_AS_LIKE * as_is
