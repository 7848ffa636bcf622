"""The similarity of keypoints against COCO's own evaluation."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hmr.body.joints import COCO17_SIGMAS
from hmr.geometry.oks import oks


def as_coco(people, **more):
    """COCO's results or annotations of (P, 17, 3) keypoints."""
    dataset = {"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": []}
    for number, points in enumerate(people, start=1):
        own = {key: values[number - 1] for key, values in more.items()}
        dataset["annotations"].append({
            "id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "ignore": 0,
            "bbox": [0, 0, 9, 9], "num_keypoints": int((points[:, 2] > 0).sum()),
            "keypoints": points.ravel().tolist(), **own,
        })  # fmt: skip
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco


def test_coco_says_the_same(rng):
    true = rng.uniform(0, 200, (3, 17, 3))
    true[..., 2] = rng.random((3, 17)) < 0.7
    found = true + rng.normal(0, 8, true.shape)
    areas = [900.0, 4000.0, 30000.0]
    evaluation = COCOeval(as_coco(true, area=areas), as_coco(found, score=[0.9, 0.8, 0.7],
                                                             area=areas), "keypoints")  # fmt: skip
    evaluation._prepare()
    np.testing.assert_allclose(evaluation.params.kpt_oks_sigmas, COCO17_SIGMAS)
    expected = evaluation.computeOks(1, 1)  # (found, true)
    for index, (points, area) in enumerate(zip(true, areas, strict=True)):
        similar = oks(found[..., :2], points[:, :2], area, points[:, 2] > 0)
        np.testing.assert_allclose(similar, expected[:, index], rtol=1e-9)


@pytest.mark.parametrize(("seen", "value"), [(True, 1.0), (False, 0.0)])
def test_equal_points_agree_where_any_counts(seen, value):
    points = np.ones((17, 2))
    assert oks(points, points, 100.0, np.full(17, seen)) == value
