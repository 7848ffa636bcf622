"""MPII in its own layouts: v5 structs with scipy's traps, and the 1-based json."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.io import savemat

from hmr.body.joints import MPII16
from hmr.errors import UserError
from tests.helpers.converting import (
    brightness_at,
    manifest_of,
    read_people,
    run,
    write_picture,
)
from tfrecords_tools.mpii import CONVERTER

# x, y of the 16 joints of a standing person, 0-based px.
POINTS = np.array(
    [
        (90, 270), (90, 220), (92, 170), (128, 170), (130, 220), (130, 270), (110, 170), (110, 90),
        (110, 80), (110, 50), (60, 160), (65, 130), (80, 95), (140, 95), (155, 130), (160, 160),
    ],
    float,
)  # fmt: skip
ALL = range(16)
NO_ANKLES = [i for i in ALL if "ankle" not in MPII16[i]]
_UNREADABLE = "person with unreadable joints"
BARE = [i for i in ALL if not MPII16[i].endswith(("ankle", "hip", "shoulder"))]


def _point(index, visible="1", points=POINTS) -> dict:
    return {
        "x": points[index, 0] + 1,
        "y": points[index, 1] + 1,
        "id": index,
        "is_visible": np.array([]) if visible is None else visible,
    }


def _structs(items) -> np.ndarray:
    """A MATLAB struct array of dicts with the same keys."""
    array = np.zeros(len(items), [(key, object) for key in items[0]])
    for row, item in enumerate(items):
        array[row] = tuple(item.values())
    return array


def _rectangle(indices=ALL, points=POINTS, **changes) -> dict:
    rectangle = {
        "x1": 1, "y1": 1, "x2": 2, "y2": 2, "scale": 1.0, "objpos": {"x": 5, "y": 6},
        "annopoints": {"point": _structs([_point(i, points=points) for i in indices])},
    }  # fmt: skip
    return {**rectangle, **changes}


def _write(root, pictures, train=None):
    """pictures: per picture its rectangles and its 1-based numbers of people that stand apart."""
    annolist = _structs(
        [
            {"image": {"name": f"{i:09d}.jpg"}, "annorect": rectangles, "frame_sec": 1, "vidx": 1}
            for i, (rectangles, _) in enumerate(pictures)
        ]
    )
    single = np.empty((len(pictures), 1), object)
    for i, (_, apart) in enumerate(pictures):
        single[i, 0] = np.array(apart, float)
    release = {
        "annolist": annolist,
        "img_train": np.ones(len(pictures)) if train is None else np.array(train, float),
        "single_person": single,
        "version": "12",
    }
    (root / "annotations").mkdir(parents=True)
    savemat(root / "annotations" / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": release})
    for i in range(len(pictures)):
        write_picture(root / "images" / f"{i:09d}.jpg", 300, 220, POINTS)


def _convert(root, tmp_path):
    run(CONVERTER, root, tmp_path / "out")
    return read_people(tmp_path / "out", "mpii", "train")


def test_one_rectangle_comes_bare(tmp_path):
    _write(tmp_path / "mpii", [(_rectangle(), [1]), (_structs([_rectangle()] * 2), [2])])
    people = _convert(tmp_path / "mpii", tmp_path)
    assert [person["filename"] for person in people] == [b"000000000.jpg", b"000000001.jpg"]


def test_keypoints_are_0_based_and_lie_on_the_picture(tmp_path):
    _write(tmp_path / "mpii", [(_rectangle(), [1])] * 2)
    person = _convert(tmp_path / "mpii", tmp_path)[0]
    assert brightness_at(person, np.arange(14)).min() > 180
    # The box from (60, 50) to (160, 270) has a diagonal of 241.66 px; the factors are whole pixels.
    rows, columns = person["scale_factors"]
    assert rows == pytest.approx(np.floor(300 * 150 / np.hypot(100, 220)) / 300, rel=1e-6)
    ankle = (person["keypoints2d_px"][0] + person["crop_origin_px"]) / (columns, rows)
    np.testing.assert_allclose(ankle, POINTS[0], atol=1e-3)


def test_neck_is_the_upper_neck(tmp_path):
    _write(tmp_path / "mpii", [(_rectangle(), [1])] * 2)
    person = _convert(tmp_path / "mpii", tmp_path)[0]
    rows, columns = person["scale_factors"]
    neck = (person["keypoints2d_px"][12] + person["crop_origin_px"]) / (columns, rows)
    np.testing.assert_allclose(neck, POINTS[8], atol=1e-3)


def test_every_kind_of_is_visible_counts_as_labelled(tmp_path):
    kinds = ["1", "0", 1, 0, None]
    points = _structs([_point(i, kinds[i % 5]) for i in ALL])
    without = np.zeros(16, [(key, object) for key in ("x", "y", "id")])
    for i in ALL:
        without[i] = (POINTS[i, 0] + 1, POINTS[i, 1] + 1, i)
    rectangles = [_rectangle(annopoints={"point": p}) for p in (points, without)]
    _write(tmp_path / "mpii", [(rectangle, [1]) for rectangle in rectangles])
    people = _convert(tmp_path / "mpii", tmp_path)
    assert [person["visibility"].sum() for person in people] == [14, 14]


def test_without_ankles_shoulders_to_hips_become_75_px(tmp_path):
    _write(tmp_path / "mpii", [(_rectangle(NO_ANKLES), [1])] * 2)
    points = _convert(tmp_path / "mpii", tmp_path)[0]["keypoints2d_px"]
    torso = [np.linalg.norm(points[8] - points[2]), np.linalg.norm(points[9] - points[3])]
    assert np.mean(torso) == pytest.approx(75, abs=0.5)


@pytest.mark.parametrize(
    ("rectangle", "reason"),
    [
        (_rectangle(BARE), "neither ankle nor torso labelled"),
        (_rectangle([3]), "person with one labelled joint"),
        (_rectangle(annopoints=np.array([])), "person without joints"),
        ({"scale": 1.0, "objpos": np.array([])}, "person without joints"),
        (_rectangle(points=np.tile(POINTS[:1], (16, 1))), "person of no extent"),
        (np.array([]), "person without rectangle"),
        (_rectangle(annopoints={"point": _structs([{**_point(0), "id": 16}] * 2)}), _UNREADABLE),
        (_rectangle(annopoints={"point": _structs([{**_point(0), "id": -1}] * 2)}), _UNREADABLE),
        (_rectangle(annopoints={"point": _structs([{**_point(0), "x": []}] * 2)}), _UNREADABLE),
        (_rectangle(points=POINTS * np.nan), "coordinates that are not finite"),
    ],
)
def test_each_broken_person_is_counted_and_loses_nothing_else(tmp_path, rectangle, reason):
    _write(tmp_path / "mpii", [(rectangle, [1]), (_rectangle(), [1])])
    assert len(_convert(tmp_path / "mpii", tmp_path)) == 1
    assert manifest_of(tmp_path / "out", "mpii", "train").dropped == {reason: 1}


def test_an_empty_objpos_is_no_reason_to_leave_a_person_out(tmp_path):
    _write(tmp_path / "mpii", [(_rectangle(objpos=np.array([])), [1])] * 2)
    assert len(_convert(tmp_path / "mpii", tmp_path)) == 2


def test_only_training_pictures_and_people_apart(tmp_path):
    pictures = [
        (_structs([_rectangle()] * 3), [1, 3]),
        (_rectangle(), []),
        (_rectangle(), [1]),
    ]
    _write(tmp_path / "mpii", pictures, train=[1, 1, 0])
    people = _convert(tmp_path / "mpii", tmp_path)
    assert [person["filename"] for person in people] == [b"000000000.jpg"] * 2


def test_a_release_of_one_picture(tmp_path):
    _write(tmp_path / "mpii", [(_structs([_rectangle()] * 2), [1, 2])])
    assert len(_convert(tmp_path / "mpii", tmp_path)) == 2


def _json_person(**changes) -> dict:
    person = {
        "image": "a.jpg",
        "center": [110.0, 160.0],
        "scale": 1.2,
        "joints": (POINTS + 1).tolist(),
        "joints_vis": [1] * 16,
    }
    return {**person, **changes}


def test_the_json_is_1_based_too(tmp_path):
    root = tmp_path / "mpii"
    write_picture(root / "images" / "a.jpg", 300, 220, POINTS)
    people = [
        _json_person(),
        _json_person(
            joints=[[0, 0]] * 10 + (POINTS[10:] + 1).tolist(), joints_vis=[0] * 10 + [1] * 6
        ),
        _json_person(center=[-1, -1]),
    ]
    (root / "annot").mkdir()
    (root / "annot" / "train.json").write_text(json.dumps(people))
    (root / "annot" / "valid.json").write_text(json.dumps(people[:1]))
    (first,) = _convert(root, tmp_path)
    assert brightness_at(first, np.arange(14)).min() > 180
    manifest = manifest_of(tmp_path / "out", "mpii", "train")
    assert manifest.dropped == {
        "person without joints": 1, "neither ankle nor torso labelled": 1,
    }  # fmt: skip
    assert manifest_of(tmp_path / "out", "mpii", "val").examples == 1


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"image": "a"}]', "["])
def test_a_damaged_json_is_named(tmp_path, text):
    (tmp_path / "annot").mkdir()
    (tmp_path / "annot" / "train.json").write_text(text)
    with pytest.raises(UserError, match=r"train"):
        run(CONVERTER, tmp_path, tmp_path / "out")


def test_another_mat_is_named(tmp_path):
    savemat(tmp_path / "mpii_human_pose_v1_u12_1.mat", {"RELEASE": {"version": 1}})
    with pytest.raises(UserError, match=r"lacks a field.*annolist"):
        run(CONVERTER, tmp_path, tmp_path / "out")
