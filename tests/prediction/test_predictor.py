"""Bodies from pictures by the Python interface, on a small network with fresh weights."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hmr.body.joints import COCO17, COCOPLUS, take_joints
from hmr.body.measurements import DEFINITIONS
from hmr.cli.predict import EPILOG
from hmr.errors import UserError
from hmr.geometry.camera import PinholeCamera
from hmr.geometry.crop import from_normalized
from hmr.prediction.predictor import Predictor
from hmr.prediction.result import ARRAY_FIELDS, QUANTITIES, Result
from hmr.prediction.writers.numbers import load_result
from hmr.prediction.writers.save import KINDS
from tests.helpers.small_predictor import SIZE

BOXES = [(30, 20, 60, 100), (80, 30, 50, 90)]


def through_pinhole(body, points):
    camera = PinholeCamera(body.focal_px, body.principal_point_px, body.translation_full_m)
    return camera.project(points)


def test_bodies_come_in_the_order_of_the_boxes(predictor, image):
    bodies = predictor.predict(image, boxes=BOXES)
    assert [body.label for body in bodies] == ["0", "1"]
    alone = predictor.predict(image, boxes=BOXES[1:])[0]
    np.testing.assert_allclose(bodies[1].theta, alone.theta, atol=1e-5)
    np.testing.assert_array_equal(bodies[1].rectangle_px, BOXES[1])


def test_quantities_have_the_documented_shapes(predictor, image):
    body = predictor.predict(image, boxes=BOXES[:1])[0]
    assert set(QUANTITIES) == {*ARRAY_FIELDS, "label", "score", "uncertain", "doubts"}
    for name in ARRAY_FIELDS:
        text = QUANTITIES[name]
        value = np.asarray(getattr(body, name))
        if text.startswith("("):
            shape = text[1 : text.index(")")].replace("T", str(value.shape[0]))
            assert value.shape == tuple(int(part) for part in shape.split(",") if part.strip())
        else:
            assert value.shape == ()


def test_page_of_the_docs_tells_every_kind_quantity_and_figure():
    text = Path("docs/prediction.md").read_text()
    described = {**QUANTITIES, **DEFINITIONS}
    missing = [name for name in described if f"| `{name}` | {described[name]} |" not in text]
    assert not missing
    assert not [kind for kind in KINDS if f"| {kind} | `" not in text]
    assert not [kind for kind in KINDS if not re.search(rf"^  .*\b{kind}\b.*  ", EPILOG, re.M)]


def test_measurements_of_a_body(predictor, image):
    (body,) = predictor.predict(image, boxes=BOXES[:1])
    figures = predictor.measure(body, height_m=1.8)
    assert list(figures) == list(DEFINITIONS) and figures["height"] == pytest.approx(1.8)


def test_keypoints_mesh_and_cameras_agree_in_the_picture(predictor, image):
    for body in predictor.predict(image, boxes=BOXES):
        weak = body.weak_camera.project(body.joints3d_m)[:, :2]
        np.testing.assert_allclose(body.keypoints2d_px, weak, atol=1e-2)
        through = through_pinhole(body, body.vertices_m)
        assert np.abs(through - body.vertices_px[:, :2]).max() < 0.5
        np.testing.assert_allclose(body.theta[-1, :3], body.camera_crop)


def test_keypoints_of_the_crop_are_the_networks(predictor, image):
    from hmr.geometry.crop import box_from_xywh, crop_image, network_input

    crop, box = crop_image(image, box_from_xywh(*BOXES[0]))
    outputs = predictor.predict_crops(network_input(crop, SIZE)[None])
    expected = box.to_image(from_normalized(outputs["keypoints2d"][0]))
    found = predictor.predict(image, boxes=BOXES[:1])[0]
    np.testing.assert_allclose(found.keypoints2d_px, expected, atol=1e-3)
    assert len(COCOPLUS) == len(expected)


def test_known_lens_sets_the_distance(model_folder, image):
    body = Predictor.load(model_folder, focal_px=500.0).predict(image, boxes=BOXES[:1])[0]
    side = 224 / body.box_scale
    assert body.translation_full_m[2] == pytest.approx(2 * 500 / (side * body.camera_crop[0]))
    np.testing.assert_array_equal(body.translation_full_m, body.translation_room_m)


def test_keypoints_and_the_whole_picture(predictor, image):
    points = np.array([[30, 20, 0.9], [90, 120, 0.8], [170, 130, 0.1]])
    by_points = predictor.predict(image, keypoints=[points])[0]
    by_box = predictor.predict(image, boxes=BOXES[:1])[0]
    np.testing.assert_allclose(by_points.theta, by_box.theta, atol=1e-5)
    whole = predictor.predict(image, find="none")[0]
    np.testing.assert_array_equal(whole.rectangle_px, [0, 0, 180, 140])


def test_nobody_found_is_no_error(predictor, image):
    assert predictor.predict(image) == []


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"boxes": [(0, 0, -1, 5)]}, "positive width"),
        ({"boxes": [(500, 500, 5, 5)]}, "outside"),
        ({"keypoints": [np.zeros((3, 3))]}, "no keypoint"),
        ({"boxes": BOXES, "keypoints": []}, "not both"),
        ({"find": "yolo"}, "multipose, none. Received: 'yolo'"),
    ],
)
def test_unusable_people_are_named(predictor, image, call, reason):
    with pytest.raises(UserError, match=reason):
        predictor.predict(image, **call)


@pytest.mark.parametrize(
    "wrong", [np.zeros((5, 5), np.int64), np.zeros((5, 5, 2)), np.zeros((0, 5, 3), np.uint8)]
)
def test_only_rgb_bytes_are_pictures(predictor, wrong):
    with pytest.raises(UserError, match="a picture"):
        predictor.predict(wrong)


def test_drawing_and_saving(tmp_path, predictor, image):
    bodies = predictor.predict(image, boxes=BOXES)
    assert (predictor.draw(image, bodies) != image).any()
    files = predictor.save(tmp_path / "person", image, bodies, kinds=KINDS)
    assert all(path.is_file() for path in files) and len(files) == 8 + 2 * 3
    loaded = load_result(tmp_path / "person.npz")
    for name in ARRAY_FIELDS:
        np.testing.assert_array_equal(
            getattr(loaded.bodies[1], name), getattr(bodies[1], name), name
        )
    content = json.loads((tmp_path / "person.json").read_text())
    found = np.array(content["people"][0]["keypoints2d_px"], np.float32)
    np.testing.assert_array_equal(found, bodies[0].keypoints2d_px)
    assert content["quantities"]["camera_crop"] and "vertices_m" not in content["people"][0]


def write_alone(kind, path, image, bodies, body):
    result = Result("", *image.shape[:2], bodies, image)
    KINDS[kind].write(path, bodies[0] if KINDS[kind].per_person else result, body)


def test_a_body_without_faces_gives_numbers_but_no_surfaces(
    tmp_path, model_folder, bare_body, image
):
    predictor = Predictor.load(model_folder, body=str(bare_body))
    bodies = predictor.predict(image, boxes=BOXES[:1])
    with pytest.raises(UserError, match="has none"):
        predictor.draw(image, bodies)
    for kind in ("overlay", "side", "crop", "page", "obj", "glb"):
        with pytest.raises(UserError, match="has none"):
            predictor.save(tmp_path / "out" / "person", image, bodies, kinds=("npz", kind))
        with pytest.raises(UserError, match="has none"):
            write_alone(kind, tmp_path / "out" / "person", image, bodies, predictor.body)
    assert not (tmp_path / "out").exists()
    files = predictor.save(tmp_path / "person", image, bodies, kinds=("npz", "bvh"))
    assert all(path.is_file() for path in files) and len(files) == 2


def test_npz_of_another_kind_is_not_taken(tmp_path):
    np.savez(tmp_path / "other.npz", a=1)
    (tmp_path / "broken.npz").write_bytes(b"PK broken")
    for name in ("other", "broken", "absent"):
        assert load_result(tmp_path / f"{name}.npz") is None


def test_fit_moves_bodies_onto_their_keypoints(predictor, image):
    seen = predictor.predict(image, boxes=BOXES[:1])[0]
    given = take_joints(seen.keypoints2d_px, COCOPLUS, COCO17) * 1.1
    given = np.column_stack([given, np.ones(17)])
    unnamed = given[:14]
    fitting = Predictor(predictor.model, fit=True)
    plain = fitting.predict(image, keypoints=[given], min_score=0.1, fit=False)[0]
    assert plain.theta.shape == (3, 85) and np.isnan(plain.reprojection_px[1])
    fitted, kept = fitting.predict(image, keypoints=[given, unnamed], min_score=0.1)
    before, after = fitted.reprojection_px
    assert plain.reprojection_px[0] == pytest.approx(before, abs=1e-3)
    kept_points = take_joints(fitted.source_keypoints_px, COCOPLUS, COCO17)
    np.testing.assert_allclose(kept_points, given)
    assert after < 0.5 * before
    assert fitted.theta.shape == kept.theta.shape == (4, 85)
    np.testing.assert_array_equal(fitted.theta[-1, 3:75], fitted.pose)
    np.testing.assert_array_equal(kept.theta[-1], kept.theta[-2])
    assert np.isnan(kept.reprojection_px).all()
    points = take_joints(fitted.keypoints2d_px, COCOPLUS, COCO17)
    off_px = np.linalg.norm(points - given[:, :2], axis=1).mean() * fitted.box_scale
    assert off_px == pytest.approx(after, abs=1)  # the crop is cut at whole pixels
    alone = predictor.predict(image, keypoints=[given], min_score=0.1)[0]
    np.testing.assert_allclose(fitted.theta[:3], alone.theta, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"keypoints": np.ones((17, 2))}, r"\(K, 3\) x, y, confidence. Received: shape \(2,\)"),
        ({"keypoints": [np.ones((17, 2))]}, r"\(K, 3\).*Received: shape \(17, 2\)"),
        ({"keypoints": np.ones((17, 3))}, r"\(K, 3\).*Received: shape \(3,\)"),
        ({"keypoints": np.ones(51)}, r"keypoints must be a list, per person \(K, 3\)"),
        ({"keypoints": [np.ones(51)]}, r"Received: shape \(51,\)"),
        ({"keypoints": [["a", "b", "c"]]}, "numbers"),
        ({"keypoints": 3}, "must be a list"),
        ({"boxes": (40, 20, 18, 40)}, "boxes must be a list, per person left, top"),
        ({"boxes": "40,20,18,40"}, "must be a list"),
        ({"boxes": [("a", 1, 2, 3)]}, "four numbers"),
        ({"boxes": BOXES, "min_score": "high"}, "min_score is from 0"),
        ({"boxes": BOXES, "min_score": 1.5}, "min_score is from 0"),
    ],
)
def test_arguments_of_another_shape_are_named(predictor, image, arguments, expected):
    with pytest.raises(UserError, match=expected):
        predictor.predict(image, **arguments)


@pytest.mark.parametrize("kinds", ["overlay", ("fbx",), [None]])
def test_kinds_of_another_name_are_named(predictor, image, tmp_path, kinds):
    with pytest.raises(UserError, match=r"kinds must be a list of npz, json.*Received"):
        predictor.save(tmp_path / "a", image, [], kinds=kinds)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "expected"),
    [({"batch_size": "4"}, "whole"), ({"batch_size": 2.5}, "whole"), ({"focal_px": "f"}, "pixels")],
)
def test_options_of_another_kind_are_named(predictor, option, expected):
    with pytest.raises(UserError, match=expected):
        Predictor(predictor.model, **option)
