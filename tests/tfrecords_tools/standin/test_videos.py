"""Made videos and their truth."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.model_file import save_body
from hmr.body.smpl import SMPL
from hmr.files.video import Video
from tfrecords_tools.standin import videos
from tfrecords_tools.standin.scene import SceneStyle
from tfrecords_tools.standin.studio import Studio
from tfrecords_tools.standin.walks import FEET, SOLE_M, sample_walk


@pytest.fixture(scope="module")
def body_file(tmp_path_factory, standin):
    path = tmp_path_factory.mktemp("body") / "standin_body.npz"
    save_body(path, standin)
    return path


@pytest.fixture(scope="module")
def smpl(standin):
    return SMPL(standin)


def test_standing_feet_stay_on_the_floor_and_people_turn_round(smpl):
    rate, count = 25.0, 200
    walk = sample_walk(np.random.default_rng(3), smpl, np.zeros(10), count, rate, 0.5, 0.55)
    poses, betas = walk.pose.astype(np.float32), np.zeros((count, 10), np.float32)
    joints = np.asarray(smpl.keypoints(poses, betas)["smpl_joints"], np.float64)
    turns = Rotation.from_euler("Y", walk.heading_deg[:, None], degrees=True).as_matrix()
    feet = (joints[:, FEET] - joints[:, None, None, 0]) @ turns[:, None].swapaxes(-1, -2)
    feet = (feet + walk.pelvis_m[:, None, None]).mean(axis=2)  # (T, 2, 3)
    stands = walk.contact[1:] & walk.contact[:-1]
    moved = np.linalg.norm(np.diff(feet, axis=0), axis=-1)
    assert moved[stands].mean() < 0.003 and moved[~stands].mean() > 0.03
    assert 0.35 < walk.contact.mean() < 0.8
    assert feet[..., 1].min() > -SOLE_M
    assert np.abs(walk.pelvis_m[:, 0]).max() < 0.55 * 10 + 1


def test_a_video_lies_beside_its_truth(tmp_path, monkeypatch, body_file):
    monkeypatch.setattr(videos, "SECONDS", 0.2)
    with Studio(body_file, 1) as studio:
        videos.write_videos(tmp_path / "videos", 1, SceneStyle(), 0, studio)
    path = tmp_path / "videos" / "video_00.mp4"
    assert sorted(p.name for p in path.parent.iterdir()) == ["video_00.mp4", "video_00.npz"]
    assert len(list(Video(path))) == 5
    with np.load(path.with_suffix(".npz")) as truth:
        assert truth["pose"].shape == (2, 5, 72) and truth["contact"].shape == (2, 5, 2)
        joints, intrinsics = truth["smpl_joints_m"], truth["focal_px"]
        pixels = intrinsics * joints[..., :2] / joints[..., 2:] + truth["principal_point_px"]
        assert np.isfinite(pixels).all() and (joints[..., 2] > 1).all()
        body = studio.smpl.keypoints(
            truth["pose"][0].astype(np.float32), np.repeat(truth["beta"][:1], 5, 0).astype("f4")
        )
        placed = np.asarray(body["smpl_joints"]) + truth["translation_m"][0][:, None]
        np.testing.assert_allclose(placed, joints[0], atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(truth["up"]), 1)
