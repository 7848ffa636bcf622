"""The spread of stand-in poses and views that the demo's figures are measured against."""

import numpy as np
import pytest

from hmr.body.joints import LSP14
from hmr.body.smpl import SMPL
from hmr.evaluation import metrics
from hmr.evaluation.baselines import constant_baseline
from tfrecords_tools.standin import characters, poses
from tfrecords_tools.standin.scene import SceneStyle, View, face_camera

TRAINING, HELD_OUT = 3000, 1500
PITCH_DEG = 10.0
MM_PER_M = 1000.0


@pytest.fixture(scope="module")
def smpl(standin) -> SMPL:
    return SMPL(standin)


def filmed_joints_mm(smpl: SMPL, seed: int, count: int, held_out: bool) -> np.ndarray:
    """(count, 14, 3) LSP joints of people as the stand-in pictures show them."""
    rng = np.random.default_rng(seed)
    posed = poses.dofs_to_pose(poses.sample_dofs(rng, count, held_out))
    betas = characters.sample_betas(rng, count).astype(np.float32)
    most = SceneStyle().max_yaw_deg
    yaws, pitches = rng.uniform(-most, most, count), rng.normal(0.0, PITCH_DEG, count)
    turned = [
        face_camera(pose, yaw, View(pitch, roll_deg=0.0))
        for pose, yaw, pitch in zip(posed, yaws, pitches, strict=True)
    ]
    joints_m = smpl.keypoints(np.array(turned, np.float32), betas)["joints3d"]
    return MM_PER_M * np.asarray(joints_m)[:, : len(LSP14)]


def test_no_constant_answer_comes_near(smpl):
    answer = constant_baseline(filmed_joints_mm(smpl, 0, TRAINING, held_out=False))
    truth = filmed_joints_mm(smpl, 1, HELD_OUT, held_out=True)
    arithmetic, procrustes = (
        np.broadcast_to(mean, truth.shape) for mean in (answer.arithmetic, answer.procrustes)
    )
    aligned = [metrics.pa_mpjpe(mean, truth).mean() for mean in (arithmetic, procrustes)]
    assert metrics.mpjpe(arithmetic, truth).mean() > 180
    assert min(aligned) > 90
