"""COCO in its own layout: polygons, crowd run lengths, v = 0, 1, 2, several people a picture."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from hmr.body.joints import COCO17, COCOPLUS
from hmr.errors import UserError
from tests.helpers.converting import (
    brightness_at,
    manifest_of,
    read_people,
    run,
    write_picture,
)
from tfrecords_tools import coco
from tfrecords_tools.coco import (
    CONVERTER,
    find_files,
    mask_extent_px,
    read_annotations,
    rejection,
)
from tfrecords_tools.common.cli import build_parser
from tfrecords_tools.common.pictures import reorder

HEIGHT, WIDTH = 240, 320
# A standing person, 17 points: x, y.
STANDING = np.array(
    [
        (100, 30), (104, 26), (96, 26), (108, 28), (92, 28), (115, 50), (85, 50), (122, 80),
        (78, 80), (124, 108), (76, 108), (109, 110), (91, 110), (110, 150), (90, 150), (110, 190),
        (90, 190),
    ],
    float,
)  # fmt: skip


def _person(points=STANDING, flags=2, shift=0, **changes) -> dict:
    points = points + (shift, 0)
    flags = np.broadcast_to(flags, 17)
    keypoints = np.column_stack([points * (flags[:, None] > 0), flags]).ravel().tolist()
    x0, y0, x1, y1 = 70 + shift, 20, 130 + shift, 200
    person = {
        "image_id": 9,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": keypoints,
        "num_keypoints": int((flags > 0).sum()),
        "segmentation": [[x0, y0, x1, y0, x1, y1, x0, y1]],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
    }
    return {**person, **changes}


def _write(root, people, name="train2014", picture="COCO_train2014_000000000009.jpg", dots=None):
    for number, person in enumerate(people):
        person["id"] = number
    content = {
        "images": [{"id": 9, "file_name": picture, "height": HEIGHT, "width": WIDTH}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person"}],
    }
    path = root / "annotations" / f"person_keypoints_{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    write_picture(root / name / picture, HEIGHT, WIDTH, dots)
    return root


def test_two_people_of_one_picture(tmp_path):
    dots = np.concatenate([STANDING[5:], STANDING[5:] + (120, 0)])
    root = _write(tmp_path / "coco", [_person(), _person(shift=120)], dots=dots)
    run(CONVERTER, root, tmp_path / "out")
    people = read_people(tmp_path / "out", "coco", "train")
    assert len(people) == 2
    body = np.array([i for i in range(14) if COCOPLUS[i] not in ("neck", "head_top")])
    for person in people:
        assert brightness_at(person, body).min() > 200
        np.testing.assert_array_equal(person["visibility"], [1] * 12 + [0, 0] + [1] * 5)


def test_a_large_file_is_read_apart_to_the_same_plan(tmp_path, monkeypatch):
    people = [_person(), _person(flags=1), _person(shift=120)]
    root = _write(tmp_path / "coco", people, picture="COCO_train2014_000000000009.jpg")
    args = build_parser(CONVERTER).parse_args(["--input", str(root)])
    (here,) = CONVERTER.plan(args).jobs
    monkeypatch.setattr("tfrecords_tools.common.people.LARGE_BYTES", 1)
    monkeypatch.setattr("tfrecords_tools.common.processes.LARGE_BYTES", 1)
    (apart,) = CONVERTER.plan(args).jobs
    assert apart.samples == here.samples == 2 and apart.dropped == here.dropped
    assert repr(apart.units) == repr(here.units)
    assert apart.source_fingerprint == here.source_fingerprint
    (root / "annotations" / "person_keypoints_train2014.json").write_text('{"images": []}')
    with pytest.raises(UserError, match=r"holds \['images'\], expected COCO's keys"):
        CONVERTER.plan(args)


def test_scale_crop_and_centre(tmp_path):
    root = _write(tmp_path / "coco", [_person()])
    run(CONVERTER, root, tmp_path / "out")
    (person,) = read_people(tmp_path / "out", "coco", "train")
    # Box x 76..124, y 26..190: diagonal sqrt(48^2 + 164^2) = 170.88, scale 0.87781.
    scale = 150 / np.hypot(48, 164)
    size = np.floor(np.array([WIDTH, HEIGHT]) * scale)
    np.testing.assert_array_equal(size, [280, 210])
    np.testing.assert_allclose(person["scale_factors"], [210 / 240, 280 / 320], rtol=1e-6)
    center = np.array([100, 108]) * size / (WIDTH, HEIGHT)
    np.testing.assert_array_equal(person["center_px"], center.astype(int))
    np.testing.assert_array_equal(person["crop_origin_px"], [0, 0])
    nose = person["keypoints2d_px"][COCOPLUS.index("nose")]
    np.testing.assert_allclose(nose, np.array([100, 30]) * size / (WIDTH, HEIGHT), rtol=1e-6)


def test_each_axis_keeps_its_own_factor(tmp_path):
    """The original multiplies x by the rows' factor; here x follows the columns."""
    root = _write(tmp_path / "coco", [_person(STANDING * (1.0, 0.31))])
    run(CONVERTER, root, tmp_path / "out")
    (person,) = read_people(tmp_path / "out", "coco", "train")
    rows, columns = person["scale_factors"]
    assert rows != columns
    ankle = person["keypoints2d_px"][0] + person["crop_origin_px"]
    np.testing.assert_allclose(ankle, [90 * columns, 190 * 0.31 * rows], rtol=1e-5)


def test_a_person_without_ankles_gets_a_torso_of_75_px(tmp_path):
    flags = np.where(np.array([name.endswith("ankle") for name in COCO17]), 0, 2)
    root = _write(tmp_path / "coco", [_person(flags=flags)])
    run(CONVERTER, root, tmp_path / "out")
    (person,) = read_people(tmp_path / "out", "coco", "train")
    points = person["keypoints2d_px"]
    torso = [np.linalg.norm(points[8] - points[2]), np.linalg.norm(points[9] - points[3])]
    assert np.mean(torso) == pytest.approx(75, abs=0.5)


def test_a_person_without_torso_gets_a_diagonal_of_50_px(tmp_path):
    hidden = ("ankle", "hip")
    flags = np.array([0 if name.endswith(hidden) else 2 for name in COCO17])
    root = _write(tmp_path / "coco", [_person(flags=flags)])
    run(CONVERTER, root, tmp_path / "out")
    (person,) = read_people(tmp_path / "out", "coco", "train")
    points = person["keypoints2d_px"][person["visibility"] > 0]
    assert np.linalg.norm(np.ptp(points, axis=0)) == pytest.approx(50, abs=0.5)


def test_an_enlarged_person_keeps_its_keypoints_on_the_picture(tmp_path):
    small = (STANDING - (100, 108)) * 0.42 + (60, 200)
    corners = [[30, 160, 95, 160, 95, 239, 30, 239]]
    root = _write(tmp_path / "coco", [_person(small, segmentation=corners)], dots=small[5:])
    run(CONVERTER, root, tmp_path / "out")
    (person,) = read_people(tmp_path / "out", "coco", "train")
    assert person["scale_factors"][0] > 2
    assert brightness_at(person, np.arange(12)).min() > 150


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iscrowd": 1, "segmentation": {"size": [240, 320], "counts": [100, 76700]}}, "crowd"),
        ({"flags": 0}, "no labelled keypoint"),
        ({"flags": [2] * 5 + [1] * 12}, "fewer than 6 visible keypoints"),
        ({"flags": [2] * 7 + [0] * 10}, "only head and shoulders labelled"),
        ({"segmentation": []}, "mask without pixels"),
        ({"segmentation": [[10, 10, 10, 10, 10, 10]]}, "mask without pixels"),
        ({"segmentation": [[10, 10, 20]]}, "mask without pixels"),
        ({"segmentation": [[10, 10, 70, 10, 70, 70, 10, 70]]}, "mask of at most 60 px"),
        ({"keypoints": [1, 2, 3]}, "no keypoints"),
        ({"image_id": 77}, "annotation of an unknown picture"),
        ({"category_id": 18}, "no person"),
        ({"segmentation": [[10, 10, 90, 10, float("nan"), 90]]}, "mask without pixels"),
        ({"segmentation": {"counts": "no size"}}, "unreadable mask"),
        ({"points": STANDING * np.nan}, "coordinates that are not finite"),
    ],
)
def test_each_filter_counts_and_loses_nothing_else(tmp_path, changes, reason):
    root = _write(tmp_path / "coco", [_person(**changes), _person(shift=100)])
    run(CONVERTER, root, tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "coco", "train")
    assert manifest.dropped == {reason: 1} and manifest.examples == 1


def test_six_visible_points_are_enough():
    assert rejection(_person(flags=[1] * 11 + [2] * 6), HEIGHT, WIDTH) is None


def test_one_limb_is_enough():
    assert rejection(_person(flags=[2] * 7 + [1] + [0] * 9), HEIGHT, WIDTH) is None


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(
        np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30)), elements=st.integers(0, 1)
    )
)
def test_the_masks_extent_is_that_of_its_pixels(pixels):
    segmentation = coco_mask.encode(np.asfortranarray(pixels))
    rows, columns = np.nonzero(pixels)
    expected = max(np.ptp(rows), np.ptp(columns)) if len(rows) else None
    assert mask_extent_px(segmentation, *pixels.shape) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.integers(-5, 45), min_size=6, max_size=12), min_size=1, max_size=3))
def test_polygons_have_the_extent_of_their_mask(polygons):
    polygons = [polygon[: len(polygon) // 2 * 2] for polygon in polygons]
    decoded = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, 40, 40)))
    rows, columns = np.nonzero(decoded)
    expected = max(np.ptp(rows), np.ptp(columns)) if len(rows) else None
    assert mask_extent_px(polygons, 40, 40) == expected


def test_neck_and_head_top_are_never_labelled():
    labels = reorder(np.full((17, 3), 2.0), COCO17, "x")
    assert labels.visibility[12:14].tolist() == [0, 0]
    assert labels.visibility.sum() == 34


def test_a_missing_library_stops_the_conversion_and_is_no_unreadable_mask(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(UserError, match=r"needs pycocotools\.mask: make install EXTRAS=data"):
        rejection(_person(), HEIGHT, WIDTH)


def test_2014_comes_before_2017_and_both_layouts_are_found(tmp_path):
    _write(tmp_path, [_person()], "train2017", "000000000009.jpg")
    _, images = find_files(tmp_path, "train")
    assert images.name == "train2017"
    (tmp_path / "images").mkdir()
    (tmp_path / "train2017").rename(tmp_path / "images" / "train2017")
    assert find_files(tmp_path, "train")[1] == tmp_path / "images" / "train2017"
    _write(tmp_path, [_person()])
    assert find_files(tmp_path, "train")[0].name == "person_keypoints_train2014.json"
    assert find_files(tmp_path, "val") is None


def test_files_that_lie_elsewhere_can_be_named(tmp_path):
    root = _write(tmp_path / "mine", [_person()], "train2014", "a.jpg")
    (root / "annotations" / "person_keypoints_train2014.json").rename(root / "people.json")
    (root / "train2014").rename(root / "images")
    options = ("--annotations", "people.json", "--splits", "test")
    run(CONVERTER, root, tmp_path / "out", *options)
    assert manifest_of(tmp_path / "out", "coco", "test").examples == 1


def test_a_missing_picture_loses_only_its_people(tmp_path):
    root = _write(tmp_path / "coco", [_person(), _person(shift=100)])
    path = root / "annotations" / "person_keypoints_train2014.json"
    content = json.loads(path.read_text())
    content["images"].append({**content["images"][0], "id": 10, "file_name": "gone.jpg"})
    content["annotations"] += [_person(image_id=10, id=7), _person(image_id=10, id=8)]
    path.write_text(json.dumps(content))
    run(CONVERTER, root, tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "coco", "train")
    assert manifest.dropped == {"missing picture": 2} and manifest.examples == 2


def test_numbers_are_read_as_arrays_and_what_is_not_needed_is_left(tmp_path):
    root = _write(tmp_path, [_person()])
    content = read_annotations(root / "annotations" / "person_keypoints_train2014.json")
    (annotation,) = content["annotations"]
    assert "bbox" not in annotation and "num_keypoints" not in annotation
    assert annotation["keypoints"].shape == (51,) and annotation["segmentation"][0].shape == (8,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1, 2]",
        '{"images": []}',
        '{"images": [',
        '{"images": 3, "annotations": [{"image_id": 9}]}',
    ],
)
def test_a_damaged_json_is_named(tmp_path, text):
    root = _write(tmp_path / "coco", [_person()])
    (root / "annotations" / "person_keypoints_train2014.json").write_text(text)
    with pytest.raises(UserError, match=r"person_keypoints_train2014\.json"):
        run(CONVERTER, root, tmp_path / "out")


@pytest.mark.parametrize(
    "content",
    [
        {"images": [{"id": 9}], "annotations": [{"image_id": 9}]},
        {"images": [], "annotations": [{"id": 9}]},
        {"images": [None, {"file_name": "a.jpg"}], "annotations": [None, {"image_id": [9]}]},
    ],
)
def test_rows_that_lack_a_key_or_are_none_are_left_out(content):
    people = list(coco.read_people(content, Path("a.json")))
    assert len(people) == len(content["annotations"])
    assert {error.reason for _, error in people} == {"annotation of an unknown picture"}


def test_nothing_left_says_why(tmp_path):
    root = _write(tmp_path / "coco", [_person(flags=0)])
    with pytest.raises(UserError, match=r"none is left \(no labelled keypoint: 1\)"):
        run(CONVERTER, root, tmp_path / "out")


def _write_changed(tmp_path, change):
    """The manifest of a conversion of one person, whose file `change` alters."""
    root = _write(tmp_path / "coco", [_person()])
    path = root / "annotations" / "person_keypoints_train2014.json"
    content = json.loads(path.read_text())
    change(content, content["annotations"][0])
    path.write_text(json.dumps(content))
    run(CONVERTER, root, tmp_path / "out")
    return manifest_of(tmp_path / "out", "coco", "train")


@pytest.mark.parametrize(
    "change",
    [
        lambda content, person: (
            content["categories"][0].update(id=0), person.update(category_id=0)
        ),
        lambda content, person: person.update(image_id="9"),
        lambda content, person: person.update(image_id=9.0),
        lambda content, person: person.update(
            keypoints=np.reshape(person["keypoints"], (17, 3)).tolist()
        ),
        lambda content, person: content["images"][0].update(
            file_name="train2014\\" + content["images"][0]["file_name"]
        ),
    ],
    ids=["category_zero", "id_as_text", "id_as_float", "nested", "backslash"],
)  # fmt: skip
def test_files_of_other_writers(tmp_path, change):
    assert _write_changed(tmp_path, change).examples == 1


def test_a_missing_mask_is_named_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match=r"no mask \(tfrecords_tools\.from_labels needs none\): 1"):
        _write_changed(tmp_path, lambda content, person: person.pop("segmentation"))
