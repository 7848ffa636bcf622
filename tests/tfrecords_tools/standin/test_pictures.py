"""The stand-in's cameras, silhouettes and honest visibility."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy.spatial.transform import Rotation

from tfrecords_tools.standin import backgrounds, scene
from tfrecords_tools.standin.characters import sample_betas, sample_outfit
from tfrecords_tools.standin.coco import label_keypoints
from tfrecords_tools.standin.mpi_inf_3dhp import build_rig, write_calibration
from tfrecords_tools.standin.picture import run_lengths, trace_silhouette, visible_joints
from tfrecords_tools.standin.scene import Lens, SceneStyle, View

LENS = Lens(300.0, (99.5, 79.5), 200, 160)
FLAT = np.full((160, 200), 3.0, np.float32)


def see(point_m, depth_m=FLAT, hidden=None, tolerance_m=0.1):
    hidden = np.zeros(depth_m.shape, bool) if hidden is None else hidden
    joints_m = np.array([point_m], np.float64)
    return visible_joints(joints_m, LENS.project(joints_m), depth_m, hidden, [tolerance_m])[0]


def test_projection_and_back():
    point = np.array([0.4, -0.2, 3.5])
    np.testing.assert_allclose(LENS.unproject(LENS.project(point), 3.5), point)
    pixel = LENS.intrinsics() @ point
    np.testing.assert_allclose(pixel[:2] / pixel[2], LENS.project(point))


def test_a_joint_just_below_the_surface_is_visible():
    assert see((0, 0, 3.08))


def test_a_joint_deep_behind_the_surface_is_hidden():
    assert not see((0, 0, 3.3))


def test_a_joint_before_the_background_is_visible():
    assert see((0, 0, 9.0), np.full_like(FLAT, np.inf))


def test_a_joint_under_an_occluder_is_hidden():
    hidden = np.zeros(FLAT.shape, bool)
    hidden[70:90, 90:110] = True
    assert not see((0, 0, 3.0), hidden=hidden)
    assert see((0.3, 0, 3.0), hidden=hidden)


@pytest.mark.parametrize("point", [(1.2, 0, 3), (-1.2, 0, 3), (0, 1.0, 3), (0, -1.0, 3)])
def test_a_joint_outside_the_picture_is_not_visible(point):
    assert not see(point)


@pytest.mark.parametrize("azimuth", [0.0, 140.0])
@pytest.mark.parametrize("pitch", [0.0, 25.0])
def test_yaw_is_counted_from_facing_the_camera(azimuth, pitch):
    view = View(pitch, 0.0, azimuth)
    upright = np.zeros(72)
    facing = Rotation.from_rotvec(scene.face_camera(upright, 0.0, view)[:3])
    assert facing.apply([0, 0, 1])[2] == pytest.approx(-np.cos(np.radians(pitch)))
    assert facing.apply([0, 1, 0])[1] == pytest.approx(-np.cos(np.radians(pitch)))
    away = Rotation.from_rotvec(scene.face_camera(upright, 180.0, view)[:3])
    assert away.apply([0, 0, 1])[2] == pytest.approx(np.cos(np.radians(pitch)))


def test_a_camera_tilted_down_sees_the_top_of_the_head():
    top = View(30.0, 0.0).rotation().apply([0, 1, 0])
    assert top[2] < -0.4


def test_people_are_placed_in_the_picture_unless_cut_on_purpose():
    lens = Lens(400.0, (159.5, 159.5), 320, 320)
    rng = np.random.default_rng(0)

    def overhang(truncation_odds):
        style = SceneStyle(truncation_odds=truncation_odds)
        pelvises = np.array([scene.sample_pelvis(rng, lens, style) for _ in range(200)])
        size = 400.0 * scene.BODY_HEIGHT_M / pelvises[:, 2]
        offset = np.abs(lens.project(pelvises) - 159.5)
        return np.max(offset + np.outer(size, (0.35, 0.5)) - 160, axis=1)

    assert (overhang(0.0) < 0).all()
    assert (overhang(1.0) > -0.15 * 190).all()
    assert (overhang(1.0) > 0).mean() > 0.7


def test_occluders_report_what_they_hide():
    rng = np.random.default_rng(2)
    picture = np.full((200, 200, 3), 7, np.uint8)
    hidden = scene.draw_occluders(rng, picture, (60, 40, 60, 120), backgrounds="plain")
    assert hidden.any()
    np.testing.assert_array_equal((picture != 7).any(axis=2), hidden)


def test_silhouettes_are_what_coco_reads():
    mask = np.zeros((60, 80), np.uint8)
    cv2.ellipse(mask, (40, 30), (18, 25), 20, 0, 360, 1, -1)
    mask[5:12, 70:78] = 1
    seen = trace_silhouette(mask > 0)
    assert len(seen.polygons) == 2
    merged = coco_mask.merge(coco_mask.frPyObjects(seen.polygons, 60, 80))
    drawn = coco_mask.decode(merged) > 0
    union = (drawn | (mask > 0)).sum()
    assert (drawn & (mask > 0)).sum() / union > 0.85
    rows, columns = np.nonzero(mask)
    assert seen.bbox == (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert seen.area == mask.sum()


@pytest.mark.parametrize("first", [0, 1])
def test_run_lengths_are_what_coco_reads(first):
    mask = np.random.default_rng(0).random((17, 23)) < 0.4
    mask[0, 0] = first
    rle = run_lengths(mask)
    decoded = coco_mask.decode(coco_mask.frPyObjects(rle, 17, 23))
    np.testing.assert_array_equal(decoded > 0, mask)


def test_labels_tell_visible_hidden_and_unlabelled_apart():
    seen = trace_silhouette(np.ones((100, 100), bool))
    points = np.tile([50.0, 50.0], (17, 1))
    points[1] = [400.0, 50.0]
    visible = np.zeros(17, bool)
    visible[0] = True
    labels = label_keypoints(np.random.default_rng(0), points, visible, seen)
    np.testing.assert_array_equal(labels[0], [50, 50, 2])
    np.testing.assert_array_equal(labels[1], [0, 0, 0])
    assert set(labels[2:, 2]) == {0, 1}
    assert (labels[labels[:, 2] == 0, :2] == 0).all()


@pytest.mark.parametrize("style", backgrounds.STYLES)
def test_backgrounds_fill_the_picture_and_differ(style):
    rng = np.random.default_rng(0)
    pictures = [backgrounds.draw_background(rng, 90, 120, style) for _ in range(12)]
    assert all(picture.shape == (90, 120, 3) for picture in pictures)
    assert all(picture.dtype == np.uint8 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


def test_loud_backgrounds_are_louder():
    def contrast(style):
        rng = np.random.default_rng(0)
        drawn = [backgrounds.draw_background(rng, 90, 120, style) for _ in range(30)]
        return np.mean([np.ptp(picture.astype(int), axis=2).mean() for picture in drawn])

    assert contrast("loud") > 2 * contrast("plain")


def test_people_differ_in_shape_and_clothes():
    rng = np.random.default_rng(0)
    betas = sample_betas(rng, 2000)
    assert np.abs(betas).max() <= 2.2
    assert 0.9 < betas.std() < 1.0
    outfits = [sample_outfit(rng) for _ in range(50)]
    assert len({tuple(outfit.shirt.colour) for outfit in outfits}) == 50
    apart = [np.abs(outfit.shirt.colour - outfit.trousers.colour).sum() for outfit in outfits]
    assert min(apart) >= 0.5


def test_cameras_of_a_rig_agree_on_the_world():
    rig = build_rig((1, 2), SceneStyle(), 320, seed=0)
    points = np.random.default_rng(0).normal(size=(5, 3)) * 300 + [0, 0, 4000]
    carried = rig.carry(points, 0, 5)
    np.testing.assert_allclose(rig.carry(carried, 5, 0), points, atol=1e-6)
    centre = np.append(1000 * np.array([0.0, 1.0, 0.0]), 1.0)
    for camera in range(14):
        np.testing.assert_allclose((rig.extrinsic(camera) @ centre)[:3], [0, 0, 4000], atol=1e-6)


def test_lenses_belong_to_the_cameras_and_views_to_the_sequences(tmp_path):
    first, second = (build_rig((0, n), SceneStyle(), 320, seed=0) for n in (1, 2))
    assert first.lenses == second.lenses
    assert first.views != second.views
    write_calibration(tmp_path / "camera.calibration", first)
    lines = (tmp_path / "camera.calibration").read_text().splitlines()
    assert len(lines) == 1 + 7 * 14
    assert [line.split()[1] for line in lines if line.startswith("name")] == [
        str(camera) for camera in range(14)
    ]
