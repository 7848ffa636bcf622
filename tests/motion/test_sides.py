"""Which side of a person is the left one."""

import numpy as np
import pytest

from hmr.body.joints import COCOPLUS, COCOPLUS_FLIP
from hmr.motion.sides import contradicted_sides


def facing(width, odd=0.0):
    """Somebody upright (1, 19, 2) whose left is `width` to the right of their middle."""
    side = [width * (name.startswith("left") - name.startswith("right")) for name in COCOPLUS]
    return np.column_stack([np.array(side) + odd, np.linspace(-0.6, 0.6, 19)[SAME_HEIGHT]])[None]


SAME_HEIGHT = np.minimum(np.arange(19), COCOPLUS_FLIP)


@pytest.mark.parametrize(
    ("width", "other", "contradicted"),
    [
        (0.2, 0.15, False),  # both from the front
        (-0.2, -0.15, False),  # both from behind
        (0.2, -0.15, True),
        (-0.2, 0.15, True),
        (0.2, -0.01, False),  # the body is seen from the side: it does not tell
        (0.01, -0.2, False),
    ],
)
def test_what_looks_the_other_way_is_contradicted(width, other, contradicted):
    found = np.concatenate([facing(width), np.ones((1, 19, 1))], axis=-1)
    assert contradicted_sides(found, facing(other)) == contradicted


def test_nobody_is_contradicted_without_keypoints_or_by_a_body_elsewhere():
    found = np.concatenate([facing(0.2), np.ones((1, 19, 1))], axis=-1)
    assert not contradicted_sides(found * [1, 1, 0], facing(-0.2))
    assert not contradicted_sides(found, facing(-0.2, odd=1.5))
