"""The stand-in poses: within human ranges, smooth in time, and kept apart for held-out people."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.joints import AXIS_ANGLE_FLIP_SIGN, SMPL_FLIP, SMPL_JOINTS, SMPL_PARENTS
from tfrecords_tools.standin import keyposes, poses

COLUMN = {name: index for index, name in enumerate(poses.DOF_NAMES)}
BONE = {"left": np.array([1.0, 0, 0]), "right": np.array([-1.0, 0, 0])}
UP, FRONT, DOWN = np.array([0.0, 1, 0]), np.array([0.0, 0, 1]), np.array([0.0, -1, 0])


def draw(count: int = 500, held_out: bool = False) -> np.ndarray:
    return poses.sample_dofs(np.random.default_rng(3), count, held_out)


def single(**degrees: float) -> np.ndarray:
    dofs = np.zeros((1, len(poses.DOF_NAMES)))
    for name, value in degrees.items():
        dofs[0, COLUMN[name]] = value
    return poses.dofs_to_pose(dofs)[0].reshape(24, 3)


def world_rotation(pose: np.ndarray, joint: str) -> Rotation:
    """Rotation of a joint in the body's frame: the product down the tree."""
    index, rotation = SMPL_JOINTS.index(joint), Rotation.identity()
    while index >= 0:
        rotation = Rotation.from_rotvec(pose[index]) * rotation
        index = SMPL_PARENTS[index]
    return rotation


@pytest.mark.parametrize("held_out", [False, True])
def test_poses_stay_within_the_joint_ranges(held_out):
    dofs = draw(held_out=held_out)
    assert (dofs >= poses.DOF_RANGES[:, 0]).all()
    assert (dofs <= poses.DOF_RANGES[:, 1]).all()


def test_every_degree_of_freedom_is_used_over_much_of_its_range():
    dofs = draw(3000)
    used = np.percentile(dofs, 99.5, axis=0) - np.percentile(dofs, 0.5, axis=0)
    assert (used / np.ptp(poses.DOF_RANGES, axis=1) > 0.3).all()


def test_key_poses_lie_within_the_joint_ranges():
    for table in (poses._leg_table(), poses._trunk_table()):
        assert (table >= poses.DOF_RANGES[:, 0]).all()
        assert (table <= poses.DOF_RANGES[:, 1]).all()
    low, high = np.array([keyposes.LIMB_RANGES[name] for name in keyposes.ARM_DOFS[:4]]).T
    arms = np.array(list(keyposes.ARMS.values()))
    assert (arms >= low).all()
    assert (arms <= high).all()


def test_common_key_poses_exist():
    assert {*keyposes.LEGS, *keyposes.ARMS, *keyposes.TRUNKS} >= keyposes.COMMON


def test_knees_and_elbows_bend_one_way_only():
    pose = poses.dofs_to_pose(draw()).reshape(-1, 24, 3)
    knees = pose[:, [SMPL_JOINTS.index("left_knee"), SMPL_JOINTS.index("right_knee")]]
    assert (knees[..., 0] >= 0).all()
    np.testing.assert_allclose(knees[..., 1:], 0, atol=1e-9)
    assert (pose[:, SMPL_JOINTS.index("left_elbow"), 1] <= 0).all()
    assert (pose[:, SMPL_JOINTS.index("right_elbow"), 1] >= 0).all()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("elevation", "forward", "expected"), [(-85, 0, DOWN), (0, 90, FRONT), (85, 0, UP)]
)
def test_arm_angles_mean_what_they_say(side, elevation, forward, expected):
    pose = single(**{f"{side}_arm_elevation": elevation, f"{side}_arm_forward": forward})
    upper_arm = world_rotation(pose, f"{side}_shoulder").apply(BONE[side])
    assert upper_arm @ expected > 0.99


@pytest.mark.parametrize("side", ["left", "right"])
def test_leg_angles_mean_what_they_say(side):
    pose = single(**{f"{side}_hip_flex": 90, f"{side}_knee": 90})
    assert world_rotation(pose, f"{side}_hip").apply(DOWN) @ FRONT > 0.99
    assert world_rotation(pose, f"{side}_knee").apply(DOWN) @ DOWN > 0.99
    outwards = world_rotation(single(**{f"{side}_hip_out": 45}), f"{side}_hip").apply(DOWN)
    assert outwards @ BONE[side] > 0.7


def test_trunk_angles_mean_what_they_say():
    assert world_rotation(single(spine_flex=60), "spine3").apply(UP) @ FRONT > 0.8
    assert world_rotation(single(spine_side=30), "spine3").apply(UP)[0] > 0.4
    assert world_rotation(single(head_turn=60), "head").apply(FRONT)[0] > 0.8
    assert world_rotation(single(lean=80), "pelvis").apply(UP) @ FRONT > 0.9


def test_a_mirrored_pose_is_the_mirror_image():
    dofs = draw(50)
    pose = poses.dofs_to_pose(dofs).reshape(-1, 24, 3)
    mirrored = poses.dofs_to_pose(poses.mirror_dofs(dofs)).reshape(-1, 24, 3)
    np.testing.assert_allclose(mirrored, pose[:, SMPL_FLIP] * AXIS_ANGLE_FLIP_SIGN, atol=1e-9)
    np.testing.assert_allclose(poses.mirror_dofs(poses.mirror_dofs(dofs)), dofs)


def test_held_out_people_do_what_the_others_do_in_other_combinations():
    reserved = poses.reserved_pairs()
    rng = np.random.default_rng(0)
    trained = {tuple(pair) for pair in poses._key_pairs(rng, 5000, held_out=False).T}
    held_out = {tuple(pair) for pair in poses._key_pairs(rng, 5000, held_out=True).T}
    assert trained.isdisjoint(held_out)
    assert all(reserved[pair] for pair in held_out)
    assert reserved.any(axis=1).all()
    assert reserved.any(axis=0).all()
    assert 0.1 < reserved.mean() < 0.25


@pytest.mark.parametrize("frame_rate", [30.0, 120.0])
def test_motion_is_smooth_and_within_the_joint_ranges(frame_rate):
    motion = poses.sample_sequence(np.random.default_rng(1), 240, frame_rate)
    assert motion.shape == (240, len(poses.DOF_NAMES))
    assert (motion >= poses.DOF_RANGES[:, 0]).all()
    assert (motion <= poses.DOF_RANGES[:, 1]).all()
    fastest = np.ptp(poses.DOF_RANGES, axis=1).max() * 1.5 / 0.4
    assert np.abs(np.diff(motion, axis=0)).max() * frame_rate <= fastest
    assert np.ptp(motion, axis=0).max() > 20


def test_the_same_seed_gives_the_same_poses():
    np.testing.assert_array_equal(draw(20), draw(20))
