"""The network against what the published graph answered, in single precision."""

from pathlib import Path

import numpy as np
import pytest

from hmr.files.safe_npz import load_npz
from hmr.finding.movenet import MoveNet

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def golden():
    """A picture (160, 192, 3), and rows of 17 x (y, x, score), ymin, xmin, ymax, xmax, score."""
    return load_npz(ROOT / "tests" / "golden" / "movenet.npz")


@pytest.fixture(scope="module")
def weights():
    return load_npz(ROOT / "models" / "finder" / "movenet_multipose.npz")


def test_published_graph_is_matched(golden, weights):
    seen = MoveNet(weights)(golden["image"][None])
    height, width = golden["image"].shape[:2]
    expected = golden["output"]
    points = expected[:, :51].reshape(6, 17, 3)
    to_px = [width, height, 1]
    people = expected[:, 55] > 0.01
    assert people.any()
    np.testing.assert_allclose(seen.scores[0], expected[:, 55], atol=2e-5)
    corners = expected[:, [52, 51, 54, 53]] * [width, height, width, height]
    np.testing.assert_allclose(seen.corners_px[0], corners, atol=5e-3)
    keypoints = points[..., [1, 0, 2]] * to_px
    np.testing.assert_allclose(seen.keypoints_px[0, people], keypoints[people], atol=5e-3)


def test_a_batch_is_its_pictures(golden, weights):
    network = MoveNet(weights, people=3)
    pair = np.stack([golden["image"], golden["image"][:, ::-1]])
    together = network(pair)
    for index in (0, 1):
        alone = network(pair[index : index + 1])
        np.testing.assert_allclose(together.scores[index], alone.scores[0], atol=1e-5)
        np.testing.assert_allclose(
            together.keypoints_px[index, 0], alone.keypoints_px[0, 0], atol=1e-2
        )
