"""3DPW in its own layout: Python-2 pickles of several actors, OpenPose keypoints, cameras."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.joints import COCOPLUS, OPENPOSE18
from hmr.body.model_file import open_body
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from tests.helpers.converting import (
    brightness_at,
    manifest_of,
    read_people,
    run,
    write_picture,
)
from tests.tfrecords_tools.test_neutrmosh import python2_pickle
from tfrecords_tools.pw3d import CONVERTER

FRAMES, HEIGHT, WIDTH = 4, 400, 300
RNG = np.random.default_rng(8)
POSES = RNG.normal(0, 0.2, (2, FRAMES, 72))
CAMERAS = np.tile(np.eye(4), (FRAMES, 1, 1))
CAMERAS[:, :3, :3] = Rotation.from_euler("xyz", [180, 20, 5], degrees=True).as_matrix()
CAMERAS[:, :3, 3] = (0.1, 0.2, 4.0)
KEYPOINTS = RNG.uniform((60, 60), (240, 340), (18, 2)).round()


def _write(root, split="test", **changes):
    keypoints = np.tile(np.vstack([KEYPOINTS.T, np.full(18, 0.8)]), (FRAMES, 1, 1))
    undetected = keypoints.copy()
    undetected[2] = 0
    undetected[3, :, 5:] = 0
    take = {
        "sequence": "street_00",
        "poses": list(POSES),
        "betas": [np.arange(10) / 10, np.arange(300) / 10],
        "trans": list(RNG.normal(0, 0.3, (2, FRAMES, 3))),
        "genders": ["m", "f"],
        "poses2d": [keypoints, undetected],
        "campose_valid": [np.array([1, 0, 1, 1]), np.ones(FRAMES)],
        "cam_poses": CAMERAS,
        "cam_intrinsics": np.array([[1960.0, 0, 150], [0, 1970, 200], [0, 0, 1]]),
        "img_frame_ids": np.arange(FRAMES) * 2,
        **changes,
    }
    python2_pickle(root / "sequenceFiles" / split / "street_00.pkl", take)
    for frame in range(FRAMES):
        path = root / "imageFiles" / "street_00" / f"image_{frame:05d}.jpg"
        write_picture(path, HEIGHT, WIDTH, KEYPOINTS)
    return take


def _convert(root, out, *options):
    run(CONVERTER, root, out, *options)
    return read_people(out, "3dpw", "test")


def test_people_of_both_actors_picture_by_picture(tmp_path):
    _write(tmp_path / "3dpw")
    people = _convert(tmp_path / "3dpw", tmp_path / "out")
    found = [(p["sequence"].decode()[-1], int(p["frame"]), p["gender"]) for p in people]
    assert found == [
        ("0", 0, b"m"), ("1", 0, b"f"), ("1", 1, b"f"), ("0", 2, b"m"), ("0", 3, b"m"),
    ]  # fmt: skip
    assert manifest_of(tmp_path / "out", "3dpw", "test").dropped == {
        "picture without valid camera": 1, "fewer than 6 keypoints": 2,
    }  # fmt: skip


def test_keypoints_lie_on_the_picture_and_openposes_neck_is_left_out(tmp_path):
    _write(tmp_path / "3dpw")
    for person in _convert(tmp_path / "3dpw", tmp_path / "out"):
        labelled = np.flatnonzero(person["visibility"])
        assert len(labelled) == 17
        assert not {COCOPLUS.index("neck"), COCOPLUS.index("head_top")} & set(labelled)
        assert brightness_at(person, labelled).min() > 150
        rows, columns = person["scale_factors"]
        place = KEYPOINTS[OPENPOSE18.index("left_ear")]
        stored = person["keypoints2d_px"][COCOPLUS.index("left_ear")] + person["crop_origin_px"]
        np.testing.assert_allclose(stored / (columns, rows), place, atol=0.01)


def test_the_root_is_turned_into_the_camera_frame_and_betas_cut(tmp_path):
    _write(tmp_path / "3dpw")
    person = _convert(tmp_path / "3dpw", tmp_path / "out")[2]
    expected = CAMERAS[1, :3, :3] @ Rotation.from_rotvec(POSES[1, 1, :3]).as_matrix()
    stored = Rotation.from_rotvec(person["pose"][:3]).as_matrix()
    np.testing.assert_allclose(stored, expected, atol=1e-5)
    np.testing.assert_allclose(person["pose"][3:], POSES[1, 1, 3:], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(person["beta"], np.arange(10) / 10, rtol=1e-6)
    assert person["has_smpl"] == 1 and person["has_joints3d"] == 0
    scale = person["scale_factors"].mean()
    assert person["intrinsics_px"][0] / scale == pytest.approx(1965, rel=1e-4)


def test_joints_of_the_gendered_bodies_in_the_camera_frame(tmp_path, body_path):
    take = _write(tmp_path / "3dpw")
    options = ("--male", str(body_path), "--female", str(body_path))
    person = _convert(tmp_path / "3dpw", tmp_path / "out", *options)[0]
    shape = np.asarray(take["betas"][0], np.float32)[None]
    posed = SMPL(open_body(body_path))(POSES[0, :1].astype(np.float32), shape)
    world = np.array(posed["joints3d"])[0, :14] + take["trans"][0][0]
    expected = world @ CAMERAS[0, :3, :3].T + CAMERAS[0, :3, 3]
    np.testing.assert_allclose(person["joints3d_lsp_m"], expected, atol=1e-5)


def test_splits_have_the_datasets_folders(tmp_path):
    _write(tmp_path / "3dpw", split="validation")
    run(CONVERTER, tmp_path / "3dpw", tmp_path / "out")
    assert manifest_of(tmp_path / "out", "3dpw", "val").examples == 5
    with pytest.raises(UserError, match=r"no \.pkl in .*test"):
        run(CONVERTER, tmp_path / "3dpw", tmp_path / "out", "--splits", "test")


@pytest.mark.parametrize("change", [{"poses2d": []}, {"cam_poses": np.eye(4)}, {"genders": None}])
def test_another_layout_is_named(tmp_path, change):
    _write(tmp_path / "3dpw", **change)
    with pytest.raises(UserError, match=r"street_00\.pkl is not a sequence of 3DPW"):
        run(CONVERTER, tmp_path / "3dpw", tmp_path / "out")


def test_one_body_is_not_enough(tmp_path, body_path):
    _write(tmp_path / "3dpw")
    with pytest.raises(UserError, match="go together"):
        run(CONVERTER, tmp_path / "3dpw", tmp_path / "out", "--male", str(body_path))


def test_cameras_that_are_not_valid_may_hold_anything(tmp_path):
    cameras = CAMERAS.copy()
    cameras[1:3] = (np.zeros((4, 4)), np.full((4, 4), np.nan))
    valid = [np.array([1, 0, 0, 1])] * 2
    _write(tmp_path / "3dpw", cam_poses=cameras, campose_valid=valid)
    assert len(_convert(tmp_path / "3dpw", tmp_path / "out")) == 3
