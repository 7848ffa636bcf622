"""One's own pictures and labels."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hmr.body.joints import COCO17, COCOPLUS, LSP14, joint_map
from hmr.errors import UserError
from tests.helpers.converting import (
    brightness_at,
    manifest_of,
    read_people,
    run,
    write_picture,
)
from tfrecords_tools.from_labels import CONVERTER

PLACES = np.random.default_rng(4).uniform((40, 40), (160, 260), (19, 2)).round()
ROWS = 3


def _points(names) -> np.ndarray:
    return PLACES[joint_map(COCOPLUS, names)]


def _write(root, names=LSP14, **arrays):
    points = np.tile(_points(names), (ROWS, 1, 1))
    for picture in ("a", "b"):
        write_picture(root / "images" / f"{picture}.jpg", 300, 200, PLACES)
    content = {"image": np.array(["a.jpg", "b.jpg", "a.jpg"]), "keypoints2d_px": points, **arrays}
    np.savez(root / "labels.npz", **{k: v for k, v in content.items() if v is not None})
    return root


@pytest.mark.parametrize("names", [LSP14, COCO17, COCOPLUS], ids=["lsp", "coco", "cocoplus"])
def test_the_number_of_points_tells_their_order(tmp_path, names):
    run(CONVERTER, _write(tmp_path / "mine", names), tmp_path / "out", "--name", "home")
    people = read_people(tmp_path / "out", "home", "train")
    assert [person["filename"] for person in people] == [b"a.jpg", b"a.jpg", b"b.jpg"]
    for person in people:
        assert person["visibility"].sum() == len(names) and person["dataset"] == b"home"
        assert brightness_at(person, np.flatnonzero(person["visibility"])).min() > 150


def test_what_is_known_besides_is_kept_and_nan_means_unknown(tmp_path):
    joints, pose, shape = np.ones((ROWS, 14, 3)), np.ones((ROWS, 72)), np.ones((ROWS, 10))
    joints[1], pose[2] = np.nan, np.nan
    extras = {"joints3d_m": joints, "pose": pose, "shape": shape, "camera": np.ones((ROWS, 3))}
    run(CONVERTER, _write(tmp_path / "mine", **extras), tmp_path / "out")
    people = read_people(tmp_path / "out", "mine", "train")
    # Rows 0 and 2 show a.jpg, row 1 b.jpg.
    assert [person["has_joints3d"] for person in people] == [1, 1, 0]
    assert [person["has_smpl"] for person in people] == [1, 0, 1]


def test_points_without_label(tmp_path):
    points = np.dstack([np.tile(_points(LSP14), (ROWS, 1, 1)), np.ones((ROWS, 14))])
    points[0, 3, 2] = 0
    points[1, 4, 0] = np.nan
    points[2, 2:, 2] = 0
    run(CONVERTER, _write(tmp_path / "mine", keypoints2d_px=points), tmp_path / "out")
    people = read_people(tmp_path / "out", "mine", "train")
    assert [np.flatnonzero(p["visibility"][:14] == 0).tolist() for p in people] == [[3], [4]]
    manifest = manifest_of(tmp_path / "out", "mine", "train")
    assert manifest.dropped == {"fewer than 6 labelled keypoints": 1}


def test_json_without_masks(tmp_path):
    root = _write(tmp_path / "mine")
    keypoints = np.column_stack([_points(COCO17), [2] * 10 + [1] * 5 + [0] * 2])
    content = {
        "images": [{"id": 5, "file_name": "b.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 5, "keypoints": keypoints.ravel().tolist()},
            {"id": 2, "image_id": 6, "keypoints": keypoints.ravel().tolist()},
            {"id": 3, "image_id": 5, "keypoints": [1, 2, 2]},
        ],
    }
    (root / "people.json").write_text(json.dumps(content))
    run(CONVERTER, root, tmp_path / "out", "--labels", "people.json", "--splits", "test")
    manifest = manifest_of(tmp_path / "out", "mine", "test")
    assert manifest.examples == 1
    assert manifest.dropped == {"unknown picture or number of keypoints": 2}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"image": None}, r"missing \['image'\]"),
        ({"boxes": np.zeros(3)}, r"unknown \['boxes'\]"),
        ({"keypoints2d_px": np.zeros((ROWS, 16, 2))}, r"\(3, 16, 2\), expected"),
        ({"pose": np.zeros((ROWS, 69))}, r"pose has shape \(3, 69\), expected \(3, 72\)"),
        ({"image": np.array([{}], dtype=object)}, "not a readable npz of plain arrays"),
    ],
)
def test_wrong_arrays_are_named(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
        run(CONVERTER, _write(tmp_path / "mine", **arrays), tmp_path / "out")


def test_a_name_that_is_no_folder_name_is_refused(tmp_path):
    with pytest.raises(UserError, match="names a folder"):
        run(CONVERTER, _write(tmp_path / "mine"), tmp_path / "out", "--name", "../away")
