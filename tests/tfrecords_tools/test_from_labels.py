"""One's own pictures and labels."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from hmr.body.joints import COCO17, COCOPLUS, LSP14, joint_map
from hmr.errors import UserError
from tests.helpers.converting import (
    brightness_at,
    manifest_of,
    read_people,
    run,
    write_picture,
)
from tests.helpers.crowds import render_crowd
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
    assert manifest.dropped == {
        "annotation of an unknown picture": 1, "another number of keypoints than 14, 17 or 19": 1,
    }  # fmt: skip


def test_pictures_alone_are_labelled_by_the_finder(tmp_path, standin):
    """Made people in a picture that is stored on its side, beside one without any and a damaged."""
    crowd = render_crowd(standin, tmp_path, 2, (250, 350), (700, 500), 5)
    images = tmp_path / "mine" / "images"
    (images / "beach").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees to be looked at
    on_its_side = Image.fromarray(np.rot90(crowd.image).copy())
    on_its_side.save(images / "beach" / "two.jpg", exif=exif, quality=95)
    Image.fromarray(np.full((300, 200, 3), 90, np.uint8)).save(images / "empty.png")
    (images / "damaged.jpg").write_bytes((images / "beach" / "two.jpg").read_bytes()[:900])
    run(CONVERTER, tmp_path / "mine", tmp_path / "out", "--labels", "find")
    people = read_people(tmp_path / "out", "mine", "train")
    assert [person["filename"] for person in people] == [b"two.jpg"] * 2
    dropped = manifest_of(tmp_path / "out", "mine", "train").dropped
    assert dropped == {"nobody found": 1, "unreadable picture": 1}
    truth = crowd.keypoints_px[:, [COCO17.index(f"{side}_hip") for side in ("left", "right")], :2]
    for person in people:
        # Where the hips lie in the upright picture, from where they lie in the stored window.
        hips = person["keypoints2d_px"][[COCOPLUS.index(f"{s}_hip") for s in ("left", "right")]]
        upright = (hips + person["crop_origin_px"]) / person["scale_factors"][::-1]
        assert np.abs(truth - upright).max(axis=(1, 2)).min() < 15


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


def _write_json(root, *annotations, **image):
    (root / "images").mkdir(parents=True, exist_ok=True)
    whole = {"id": 1, "keypoints": np.insert(_points(COCO17), 2, 2, axis=1).tolist()}
    content = {
        "images": [{"id": 5, "file_name": "images\\a.jpg", **image}],
        "annotations": [{"image_id": "5", **whole}, *annotations],
    }
    (root / "labels.json").write_text(json.dumps(content))
    return root


def _convert_json(tmp_path, root, *options):
    run(CONVERTER, root, tmp_path / "out", "--labels", "labels.json", *options)
    return read_people(tmp_path / "out", "mine", "train")


def test_rows_of_no_use_are_left_out_and_counted(tmp_path):
    root = _write_json(tmp_path / "mine", {"id": 2, "image_id": 5}, {"id": 3, "keypoints": []})
    write_picture(root / "images" / "a.jpg", 300, 200, PLACES)
    assert len(_convert_json(tmp_path, root)) == 1
    dropped = manifest_of(tmp_path / "out", "mine", "train").dropped
    assert dropped == {"no keypoints": 1, "annotation of an unknown picture": 1}


def _write_turned(path, height=300, width=200, orientation=6):
    """The dotted picture on its side, with the EXIF that turns it upright."""
    write_picture(path, height, width, PLACES)
    stored = Image.open(path).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(path, quality=95, exif=exif)


@pytest.mark.parametrize(
    ("image", "options"),
    [({"width": 200, "height": 300}, ()), ({}, ("--labels_on", "turned"))],
)
def test_labels_of_the_picture_as_exif_turns_it(tmp_path, image, options):
    root = _write_json(tmp_path / "mine", **image)
    _write_turned(root / "images" / "a.jpg")
    (person,) = _convert_json(tmp_path, root, *options)
    assert brightness_at(person, np.flatnonzero(person["visibility"])).min() > 150


def test_labels_of_the_stored_picture_stay_where_they_are(tmp_path):
    """Its EXIF would turn it; the json's size, or nothing, says that it is the stored one."""
    root = _write_json(tmp_path / "mine", width=200, height=300)
    write_picture(root / "images" / "a.jpg", 300, 200, PLACES)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.open(root / "images" / "a.jpg")
    picture.save(root / "images" / "a.jpg", quality=95, exif=exif)
    for options in ((), ("--labels_on", "turned", "--overwrite")):
        (person,) = _convert_json(tmp_path, root, *options)
        assert brightness_at(person, np.flatnonzero(person["visibility"])).min() > 150


def test_labels_made_on_another_size_are_left_out(tmp_path):
    root = _write_json(tmp_path / "mine", width=100, height=150)
    write_picture(root / "images" / "a.jpg", 300, 200, PLACES)
    with pytest.raises(UserError, match="picture of another size than its labels say: 1"):
        _convert_json(tmp_path, root)


def test_metadata_of_a_picture_does_not_decide_whether_it_is_read(tmp_path):
    root = _write_json(tmp_path / "mine", file_name="a.png")
    write_picture(root / "images" / "a.png", 300, 200, PLACES)
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", " " * 2_000_000, zip=True)
    Image.open(root / "images" / "a.png").save(root / "images" / "a.png", pnginfo=text)
    assert len(_convert_json(tmp_path, root)) == 1
