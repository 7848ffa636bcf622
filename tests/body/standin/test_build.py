"""The stand-in body has SMPL's structure, moves like a person and means what its betas say."""

import numpy as np
import pytest

from hmr.body.joints import COCOPLUS, COCOPLUS_FLIP, SMPL_FLIP, SMPL_JOINTS, SMPL_PARENTS
from hmr.body.model_file import BodyModel, load_body, save_body
from hmr.body.standin.build import build_standin_body
from hmr.body.standin.rig import axis_angle_matrices, rest_joints_m, shares_from_weights
from hmr.body.standin.shapes import SHAPE_NAMES


@pytest.fixture(scope="module")
def body(standin) -> BodyModel:
    return standin


@pytest.fixture(scope="module")
def mirror(body):
    """Index of each vertex's mirror image."""
    keys = {tuple(vertex): index for index, vertex in enumerate(body.v_template.tolist())}
    return np.array([keys[-x if x else x, y, z] for x, y, z in body.v_template.tolist()])


def volume_litres(vertices_m, faces) -> float:
    a, b, c = (vertices_m[faces[:, i]].astype(float) for i in range(3))
    return float(np.einsum("fc,fc->", a, np.cross(b, c)) / 6.0 * 1000.0)


def pose_body(body, turns_deg=None, beta=(), correctives=True):
    """Linear blend skinning in numpy; `turns_deg` maps joint names to axis-angle in degrees."""
    axis_angle = np.zeros((24, 3))
    for name, turn in (turns_deg or {}).items():
        axis_angle[SMPL_JOINTS.index(name)] = np.deg2rad(turn)
    angle = np.linalg.norm(axis_angle, axis=1)
    rotation = axis_angle_matrices(axis_angle / np.maximum(angle, 1e-12)[:, None], angle)
    shaped = body.v_template + body.shapedirs[..., : len(beta)] @ np.asarray(beta, float)
    joints_m = body.joint_regressor @ shaped
    if correctives:
        shaped = shaped + body.posedirs @ (rotation[1:] - np.eye(3)).ravel()
    transform = np.zeros((24, 4, 4))
    for joint, parent in enumerate(SMPL_PARENTS):
        local = np.eye(4)
        local[:3, :3] = rotation[joint]
        local[:3, 3] = joints_m[joint] - (joints_m[parent] if parent >= 0 else 0.0)
        transform[joint] = local if parent < 0 else transform[parent] @ local
    posed_joints_m = transform[:, :3, 3].copy()
    transform[:, :3, 3] -= np.einsum("jab,jb->ja", transform[:, :3, :3], joints_m)
    blended = np.einsum("vj,jab->vab", body.lbs_weights, transform)
    vertices_m = np.einsum("vab,vb->va", blended[:, :3, :3], shaped) + blended[:, :3, 3]
    return vertices_m, posed_joints_m


def directed_edges(faces):
    return np.concatenate([faces[:, [i, (i + 1) % 3]] for i in range(3)])


def test_surface_is_closed_oriented_and_genus_zero(body):
    edges = directed_edges(body.faces)
    keys = edges[:, 0].astype(np.int64) * 6890 + edges[:, 1]
    reversed_keys = edges[:, 1].astype(np.int64) * 6890 + edges[:, 0]
    assert len(np.unique(keys)) == len(keys)
    assert set(keys) == set(reversed_keys)
    assert 6890 - len(keys) // 2 + 13776 == 2
    assert volume_litres(body.v_template, body.faces) > 0


def test_surface_is_one_piece_without_pinched_vertices(body):
    following: dict[int, dict[int, int]] = {vertex: {} for vertex in range(6890)}
    for face in body.faces.tolist():
        for i in range(3):
            following[face[i]][face[i - 2]] = face[i - 1]
    for ring in following.values():
        walked = [next(iter(ring))]
        while ring[walked[-1]] != walked[0]:
            walked.append(ring[walked[-1]])
        assert len(walked) == len(ring)
    reached, frontier = {0}, [0]
    while frontier:
        new = set(following[frontier.pop()]) - reached
        reached |= new
        frontier.extend(new)
    assert len(reached) == 6890


def test_triangles_are_well_shaped(body):
    corners = body.v_template[body.faces].astype(float)
    side = [np.linalg.norm(corners[:, i] - corners[:, i - 1], axis=1) for i in range(3)]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    smallest_sine = area / np.max([side[i] * side[i - 1] for i in range(3)], axis=0)
    assert smallest_sine.min() > np.sin(np.deg2rad(10))
    assert np.median(smallest_sine) > np.sin(np.deg2rad(40))
    assert max(s.max() for s in side) < 0.05


def test_figure_has_a_persons_measures(body):
    v = body.v_template
    assert 1.68 < np.ptp(v[:, 1]) < 1.73
    assert 1.65 < np.ptp(v[:, 0]) < 1.80
    assert 55 < volume_litres(v, body.faces) < 75
    head = v[v[:, 1] > 0.40]
    assert head[np.argmax(head[:, 2]), 0] == pytest.approx(0.0, abs=0.015)  # the nose faces +z
    toes = v[(v[:, 1] < -1.10) & (v[:, 0] > 0)]
    assert toes[:, 2].max() > 0.13 > -0.05 > toes[:, 2].min()


def test_body_is_its_own_mirror_image(body, mirror):
    signs = np.array([-1.0, 1.0, 1.0])[:, None]
    np.testing.assert_allclose(body.lbs_weights, body.lbs_weights[mirror][:, SMPL_FLIP], atol=1e-6)
    np.testing.assert_allclose(body.shapedirs, body.shapedirs[mirror] * signs, atol=1e-6)
    np.testing.assert_array_equal(body.joint_regressor, body.joint_regressor[SMPL_FLIP][:, mirror])
    np.testing.assert_array_equal(
        body.cocoplus_regressor, body.cocoplus_regressor[COCOPLUS_FLIP][:, mirror]
    )


def test_mirrored_pose_gives_the_mirrored_body(body, mirror):
    left, _ = pose_body(body, {"left_hip": (-70, 20, 30), "left_elbow": (10, -80, 0)})
    right, _ = pose_body(body, {"right_hip": (-70, -20, -30), "right_elbow": (10, 80, 0)})
    np.testing.assert_allclose(left, right[mirror] * [-1.0, 1.0, 1.0], atol=2e-3)


def test_skinning_weights(body):
    weights = body.lbs_weights
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    assert (weights > 0).sum(axis=1).max() <= 4
    edges = directed_edges(body.faces)
    assert np.abs(weights[edges[:, 0]] - weights[edges[:, 1]]).max() < 0.45


@pytest.mark.parametrize(
    ("joint", "low", "high"),
    [
        ("left_hip", (-0.04, -1.20, -0.2), (0.20, -0.15, 0.2)),
        ("left_knee", (0.04, -1.20, -0.2), (0.20, -0.60, 0.2)),
        ("left_ankle", (0.04, -1.20, -0.2), (0.20, -1.00, 0.2)),
        ("left_collar", (0.00, 0.03, -0.2), (0.90, 0.32, 0.2)),
        ("left_shoulder", (0.07, 0.10, -0.2), (0.90, 0.31, 0.2)),
        ("left_elbow", (0.37, 0.10, -0.2), (0.90, 0.30, 0.2)),
        ("left_wrist", (0.63, 0.10, -0.2), (0.90, 0.30, 0.2)),
        ("neck", (-0.15, 0.20, -0.2), (0.15, 0.60, 0.2)),
        ("head", (-0.10, 0.28, -0.2), (0.10, 0.60, 0.2)),
        ("spine1", (-0.90, -0.22, -0.2), (0.90, 0.60, 0.2)),
    ],
)
def test_no_part_hangs_on_a_strange_joint(body, joint, low, high):
    share = shares_from_weights(body.lbs_weights.astype(float))[:, SMPL_JOINTS.index(joint)]
    held = body.v_template[share > 0.02]
    assert (held >= low).all()
    assert (held <= high).all()
    assert share.max() > 0.999


def test_legs_are_apart_below_the_crotch(body):
    shares = shares_from_weights(body.lbs_weights.astype(float))
    left_share = shares[:, SMPL_JOINTS.index("left_hip")]
    right = body.v_template[:, 0] < 0
    assert left_share[right & (body.v_template[:, 1] < -0.45)].max() < 0.03
    assert left_share[right & (body.v_template[:, 1] < -0.52)].max() == 0


def test_regressor_rows_are_sparse_averages(body):
    for regressor in (body.joint_regressor, body.cocoplus_regressor):
        np.testing.assert_allclose(regressor.sum(axis=1), 1.0, atol=1e-5)
        assert regressor.min() >= 0
        assert (regressor > 0).sum(axis=1).max() <= 400


def test_joints_lie_on_the_bones_and_follow_the_betas(body):
    rest = body.joint_regressor @ body.v_template
    np.testing.assert_allclose(rest, rest_joints_m(), atol=5e-5)
    tall = body.joint_regressor @ (body.v_template + 2.0 * body.shapedirs[..., 0])
    leg, long_leg = rest[1, 1] - rest[7, 1], tall[1, 1] - tall[7, 1]
    assert 1.08 < long_leg / leg < 1.16


def test_keypoints_are_where_a_person_would_click(body):
    keypoints = dict(zip(COCOPLUS, body.cocoplus_regressor @ body.v_template, strict=True))
    joints = dict(zip(SMPL_JOINTS, rest_joints_m(), strict=True))
    for name in set(keypoints) & set(joints) - {"neck"}:
        np.testing.assert_allclose(keypoints[name], joints[name], atol=1e-3, err_msg=name)
    face = {n: keypoints[n] for n in ("nose", "left_eye", "left_ear", "head_top", "right_ear")}
    for name, point in face.items():
        assert np.linalg.norm(body.v_template - point, axis=1).min() < 0.012, name
    head = body.v_template[body.v_template[:, 1] > 0.38]
    assert face["nose"][2] > head[:, 2].max() - 0.006
    assert face["head_top"][1] > head[:, 1].max() - 0.006
    assert face["left_ear"][0] > head[:, 0].max() - 0.012
    assert face["right_ear"][0] < head[:, 0].min() + 0.012
    assert face["nose"][1] < face["left_eye"][1] < face["head_top"][1]


@pytest.mark.parametrize(
    "turns_deg",
    [
        {"left_knee": (100, 0, 0)},
        {"left_elbow": (0, -110, 0)},
        {"left_shoulder": (0, 0, -70)},
        {"left_hip": (-90, 0, 0), "left_knee": (90, 0, 0)},
        {"left_hip": (-60, 0, 25), "spine1": (20, 15, 0), "left_shoulder": (30, -60, 20)},
    ],
)
def test_keypoints_stay_inside_their_joints(body, turns_deg):
    vertices_m, joints_m = pose_body(body, turns_deg)
    keypoints = body.cocoplus_regressor @ vertices_m
    for index, name in enumerate(COCOPLUS):
        if name in SMPL_JOINTS and name != "neck":
            distance_m = np.linalg.norm(keypoints[index] - joints_m[SMPL_JOINTS.index(name)])
            assert distance_m < 0.025, (name, distance_m)


@pytest.mark.parametrize(
    "turns_deg",
    [
        {"left_knee": (90, 0, 0), "right_knee": (90, 0, 0)},
        {"left_elbow": (0, -120, 0), "right_elbow": (0, 120, 0)},
        {"left_hip": (-90, 0, 0), "right_hip": (-90, 0, 0)},
        {"left_shoulder": (0, 0, -70), "right_shoulder": (0, 0, 70)},
        {"left_elbow": (80, 0, 0), "left_wrist": (80, 0, 0)},
    ],
)
def test_correctives_keep_the_volume(body, turns_deg):
    rest = volume_litres(body.v_template, body.faces)
    plain = volume_litres(pose_body(body, turns_deg, correctives=False)[0], body.faces)
    corrected = volume_litres(pose_body(body, turns_deg)[0], body.faces)
    assert corrected > plain
    assert corrected == pytest.approx(rest, rel=0.05)


def test_bent_knee_keeps_its_girth(body):
    knee = SMPL_JOINTS.index("left_knee")
    near = np.linalg.norm(body.v_template - rest_joints_m()[knee], axis=1) < 0.06
    rest_m = np.linalg.norm(body.v_template[near] - rest_joints_m()[knee], axis=1).mean()
    shrinkage = []
    for correctives in (False, True):
        vertices_m, joints_m = pose_body(body, {"left_knee": (100, 0, 0)}, correctives=correctives)
        girth_m = np.linalg.norm(vertices_m[near] - joints_m[knee], axis=1).mean()
        shrinkage.append(abs(rest_m - girth_m))
    assert shrinkage[1] < 0.4 * shrinkage[0]


def shaped(body, name: str, amount: float):
    beta = np.zeros(10)
    beta[SHAPE_NAMES.index(name)] = amount
    return body.v_template + body.shapedirs @ beta


def test_height_changes_the_height(body):
    step = np.ptp(shaped(body, "height", 1.0)[:, 1]) - np.ptp(body.v_template[:, 1])
    assert 0.07 < step < 0.10


def test_girth_changes_the_volume_but_not_the_height(body):
    heavy, light = shaped(body, "girth", 2.0), shaped(body, "girth", -2.0)
    assert np.ptp(heavy[:, 1]) == pytest.approx(np.ptp(body.v_template[:, 1]), abs=0.01)
    rest = volume_litres(body.v_template, body.faces)
    assert volume_litres(heavy, body.faces) > 1.2 * rest
    assert volume_litres(light, body.faces) < 0.85 * rest


@pytest.mark.parametrize(
    ("name", "first", "second", "low_m", "high_m"),
    [
        ("leg length", "left_hip", "left_ankle", 0.025, 0.045),
        ("arm length", "left_shoulder", "left_wrist", 0.015, 0.030),
        ("shoulder width", "left_shoulder", "right_shoulder", 0.015, 0.035),
        ("hip width", "left_hip", "right_hip", 0.005, 0.015),
    ],
)
def test_betas_change_the_bones_they_name(body, name, first, second, low_m, high_m):
    ends = [SMPL_JOINTS.index(first), SMPL_JOINTS.index(second)]
    rest, moved = (body.joint_regressor[ends] @ v for v in (body.v_template, shaped(body, name, 1)))
    growth_m = np.linalg.norm(moved[0] - moved[1]) - np.linalg.norm(rest[0] - rest[1])
    assert low_m < growth_m < high_m


@pytest.mark.parametrize("name", SHAPE_NAMES)
@pytest.mark.parametrize("amount", [-3.0, 3.0])
def test_three_deviations_still_make_a_person(body, name, amount):
    vertices_m = shaped(body, name, amount)
    assert 1.40 < np.ptp(vertices_m[:, 1]) < 2.05
    assert 35 < volume_litres(vertices_m, body.faces) < 130
    before, after = (
        np.cross(c[:, 1] - c[:, 0], c[:, 2] - c[:, 0])
        for c in (body.v_template[body.faces], vertices_m[body.faces])
    )
    assert (np.einsum("fc,fc->f", before, after) > 0).mean() > 0.999
    left = body.v_template[:, 0] > 0
    assert vertices_m[left, 0].min() > -0.002


def test_body_file_round_trip(body, tmp_path):
    save_body(tmp_path / "standin.npz", body)
    loaded = load_body(tmp_path / "standin.npz")
    np.testing.assert_array_equal(loaded.posedirs, body.posedirs)
    assert loaded.source == body.source


@pytest.mark.slow
def test_two_builds_are_identical(body):
    again = build_standin_body()
    for key in ("v_template", "shapedirs", "posedirs", "joint_regressor", "lbs_weights", "faces"):
        assert getattr(again, key).tobytes() == getattr(body, key).tobytes(), key
    assert again.cocoplus_regressor.tobytes() == body.cocoplus_regressor.tobytes()
