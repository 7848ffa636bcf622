"""Every protocol from raw files in the official layouts to the numbers of the verb, by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.io import savemat
from scipy.spatial.transform import Rotation

from hmr.body.joints import H36M17_REGRESSED, LSP14
from hmr.body.model_file import NUM_FACES, NUM_VERTICES, save_body
from hmr.body.smpl import SMPL
from hmr.cli import evaluate as verb
from hmr.errors import UserError
from tests.evaluation.test_segmentation import as_vertices_m, plate, write_annotation
from tests.helpers.converting import read_people, run, write_picture
from tests.helpers.golden_inputs import made_body
from tests.tfrecords_tools import test_h36m, test_mpi_inf_3dhp, test_pw3d
from tfrecords_tools import h36m, lsp, mpi_inf_3dhp, pw3d


def _evaluate(tmp_path, protocol, *flags, **arrays):
    """The metrics and groups that the verb writes for these predictions."""
    np.savez(tmp_path / "theirs.npz", **arrays)
    given = ("--protocol", protocol, "--predictions", tmp_path / "theirs.npz")
    places = ("--data", tmp_path / "records", "--output", tmp_path / protocol)
    assert verb.main([str(flag) for flag in (*given, *places, *flags)]) == 0
    return json.loads((tmp_path / protocol / "metrics.json").read_text())


def _with_errors(joints3d_lsp_m, errors_mm):
    """Joints whose error is `errors_mm` on average over 14: the head top is moved, not the hips."""
    moved = np.array(joints3d_lsp_m, float)
    moved[:, 13, 0] += 14 * np.asarray(errors_mm) / 1000
    return moved


@pytest.mark.slow
def test_human36m(tmp_path):
    root = tmp_path / "h36m"
    test_h36m._metadata(root / "metadata.xml")
    test_h36m._write_take(root, 9, "Waiting 1", cameras=(0, 3))
    test_h36m._write_take(root, 11, "Directions", cameras=(3,))
    run(h36m.CONVERTER, root, tmp_path / "records", "--splits", "test")
    people = read_people(tmp_path / "records", "h36m", "test")
    sequences = [person["sequence"].decode() for person in people]
    errors = {"S9_Waiting_0_cam0": 10, "S9_Waiting_0_cam3": 30, "S11_Directions_1_cam3": 70}
    assert {name: sequences.count(name) for name in errors} == dict.fromkeys(errors, 3)
    joints3d = _with_errors(
        [person["joints3d_lsp_m"] for person in people], [errors[name] for name in sequences]
    )

    first = _evaluate(tmp_path, "h36m_p1", joints3d=joints3d)
    assert first["samples"] == 9
    assert first["metrics"]["mpjpe_mm"] == pytest.approx((10 + 30 + 70) / 3, rel=1e-5)
    assert first["metrics"]["group_mean_mpjpe_mm"] == pytest.approx((20 + 70) / 2, rel=1e-5)
    assert first["metrics"]["median_mpjpe_mm"] == pytest.approx(30, rel=1e-5)
    assert list(first["groups"]["action"]) == ["Directions", "Waiting"]
    assert first["groups"]["action"]["Waiting"]["median_mpjpe_mm"] == pytest.approx(20, rel=1e-5)

    for protocol, samples, error in (("h36m_p2", 3, 30), ("h36m_p2_both_trials", 6, 50)):
        second = _evaluate(tmp_path, protocol, joints3d=joints3d)
        assert second["samples"] == samples
        assert second["metrics"]["mpjpe_mm"] == pytest.approx(error, rel=1e-5)


@pytest.mark.slow
def test_mpi_inf_3dhp_test_set(tmp_path):
    root = tmp_path / "mpi"
    for name in ("TS1", "TS5"):
        test_mpi_inf_3dhp._write_test_sequence(
            root / "mpi_inf_3dhp_test_set" / "mpi_inf_3dhp_test_set" / name
        )
    run(mpi_inf_3dhp.CONVERTER, root, tmp_path / "records", "--splits", "test")
    people = read_people(tmp_path / "records", "mpi_inf_3dhp", "test")
    assert len(people) == 4
    wanted = _with_errors([person["joints3d_lsp_m"] for person in people], [10.1] * 4)
    seen = np.array([_seen_from_the_front(*pair) for pair in zip(people, wanted, strict=True)])
    found = _evaluate(tmp_path, "mpi_inf_3dhp", joints3d=seen)
    assert found["metrics"]["mpjpe_mm"] == pytest.approx(10.1, rel=1e-4)
    # One joint of 14 is off by 141.4 mm, which is under 2 of 31 thresholds; the others are right.
    assert found["metrics"]["pck150"] == 100
    assert found["metrics"]["auc150"] == pytest.approx(100 * (13 * 30 + 2) / (14 * 31), rel=1e-4)
    assert set(found["groups"]["scene"]) == {"green screen", "outdoor"}
    assert len(found["groups"]["activity"]) == 2


def _seen_from_the_front(person, joints_m):
    """Joints turned so that the ray through the crop's centre becomes the viewing axis."""
    focal, cx, cy = person["intrinsics_px"]
    ray = np.array([person["center_px"][0] - cx, person["center_px"][1] - cy, focal])
    away = Rotation.align_vectors([[0, 0, 1]], [ray / np.linalg.norm(ray)])[0]
    return away.apply(joints_m)


@pytest.mark.slow
def test_mpi_inf_3dhp_validation_subject(tmp_path):
    root = tmp_path / "mpi"
    for subject in ("S1", "S8"):
        test_mpi_inf_3dhp._write_session(root / subject / "Seq1", count=2)
    run(mpi_inf_3dhp.CONVERTER, root, tmp_path / "records", "--splits", "train,val")
    people = read_people(tmp_path / "records", "mpi_inf_3dhp", "val")
    joints3d = _with_errors([person["joints3d_lsp_m"] for person in people], [10] * len(people))
    for protocol in ("mpi_inf_3dhp_val", "stand_in"):
        numbers = _evaluate(tmp_path, protocol, joints3d=joints3d)["metrics"]
        assert numbers["mpjpe_mm"] == pytest.approx(10, rel=1e-4)
        assert numbers["mean_body_mpjpe_mm"] < 1  # training and validation show one pose


LSP_COUNT, LSP_HEIGHT, LSP_WIDTH = 4, 100, 90


@pytest.fixture
def lsp_records(tmp_path):
    """Two test pictures, im0003 and im0004; joint j lies at (10 + 5 j, 20 + 3 j)."""
    root = tmp_path / "lsp_dataset"
    joints = np.zeros((3, 14, LSP_COUNT))
    joints[0], joints[1] = (10 + 5 * np.arange(14))[:, None], (20 + 3 * np.arange(14))[:, None]
    for index in range(LSP_COUNT):
        write_picture(root / "images" / f"im{index + 1:04d}.jpg", LSP_HEIGHT, LSP_WIDTH)
    savemat(root / "joints.mat", {"joints": joints})
    run(lsp.CONVERTER, root, tmp_path / "records")
    return read_people(tmp_path / "records", "lsp", "test")


def test_lsp_keypoints(tmp_path, lsp_records):
    centers = np.array([person["center_px"] for person in lsp_records])
    truth = np.array([person["keypoints2d_px"] for person in lsp_records])
    predicted = 2 * (truth - centers[:, None] + 112) / 224 - 1
    predicted[0, 0, 0] += 2 * 6 / 224  # 6 px; the box is 65 px wide: 0.092 of it
    predicted[1, 1, 1] += 2 * 7 / 224  # 0.108
    numbers = _evaluate(tmp_path, "keypoints2d", keypoints2d=predicted)["metrics"]
    assert numbers["pck2d_005"] == pytest.approx(100 * 26 / 28)
    assert numbers["pck2d_010"] == pytest.approx(100 * 27 / 28)
    assert numbers["keypoint_error_px"] == pytest.approx(13 / 28, rel=1e-4)


@pytest.fixture
def plate_body(tmp_path):
    """A body file of two plates: vertices 0 to 3 hang on the head, 4 to 7 on the left elbow."""
    faces = np.zeros((NUM_FACES, 3), np.int32)
    faces[:4] = [[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]]
    weights = np.zeros((NUM_VERTICES, 24), np.float32)
    weights[:4, 15] = weights[4:, 18] = 1.0
    path = tmp_path / "plates.npz"
    save_body(path, replace(made_body(), faces=faces, lbs_weights=weights))
    return path


def test_lsp_segmentation(tmp_path, lsp_records, plate_body, capsys):
    head, left_arm = 1, 4
    parts = np.zeros((LSP_HEIGHT, LSP_WIDTH))
    parts[10:30, 10:20], parts[40:60, 30:40] = head, left_arm
    for name in ("im0003", "im0004"):
        write_annotation(tmp_path / "upi", name, parts > 0, parts)
    hits = np.concatenate([plate(10, 20, 10, 30), plate(30, 40, 40, 60)])
    misses = np.concatenate([plate(10, 20, 10, 30), plate(60, 70, 40, 60)])
    vertices = np.zeros((2, NUM_VERTICES, 3))
    for row, corners in enumerate((hits, misses)):
        vertices[row, :8] = as_vertices_m(corners, lsp_records[row]["center_px"])
    found = _evaluate(
        tmp_path, "lsp_segmentation", "--segmentation", tmp_path / "upi", "--body", plate_body,
        vertices=vertices, camera=np.tile([1.0, 0.0, 0.0], (2, 1)),
    )  # fmt: skip
    total, numbers = 2 * LSP_HEIGHT * LSP_WIDTH, found["metrics"]
    # Of 800 annotated pixels 600 are hit, 200 missed, and 200 others drawn instead.
    assert numbers["foreground_accuracy"] == pytest.approx(100 * (total - 400) / total)
    assert numbers["parts_accuracy"] == numbers["foreground_accuracy"]
    background = 2 * (total - 1000) / (2 * (total - 1000) + 400)
    assert numbers["foreground_f1"] == pytest.approx(50 * (background + 1200 / 1600))
    assert numbers["parts_f1"] == pytest.approx(100 / 3 * (background + 1 + 400 / 800))
    assert "skinning weights" in found["choices"]["parts"]
    assert "skinning weights" in capsys.readouterr().out.split("fg accuracy")[0]


def test_lsp_segmentation_says_what_is_missing(tmp_path, lsp_records):
    camera = np.tile([1.0, 0.0, 0.0], (2, 1))
    with pytest.raises(UserError, match="lsp_segmentation needs --segmentation"):
        _evaluate(tmp_path, "lsp_segmentation", camera=camera)
    with pytest.raises(UserError, match=r"upi-s1h\.zip, which holds data/lsp"):
        _evaluate(tmp_path, "lsp_segmentation", "--segmentation", tmp_path, camera=camera)
    (tmp_path / "data" / "lsp").mkdir(parents=True)
    with pytest.raises(UserError, match=r"predictions need camera, and vertices"):
        _evaluate(tmp_path, "lsp_segmentation", "--segmentation", tmp_path, camera=camera)
    with pytest.raises(UserError, match="keypoints2d does not read --segmentation"):
        _evaluate(tmp_path, "keypoints2d", "--segmentation", tmp_path, camera=camera)


@pytest.fixture
def pw3d_records(tmp_path):
    test_pw3d._write(tmp_path / "3dpw")
    run(pw3d.CONVERTER, tmp_path / "3dpw", tmp_path / "records")
    return read_people(tmp_path / "records", "3dpw", "test")


@pytest.fixture
def gendered(tmp_path):
    """Male and female bodies of different sizes."""
    bodies = {"m": 1.0, "f": 0.9}
    for gender, size in bodies.items():
        body = made_body()
        scaled = {key: size * getattr(body, key) for key in ("v_template", "shapedirs", "posedirs")}
        bodies[gender] = replace(body, **scaled)
        save_body(tmp_path / f"{gender}.npz", bodies[gender])
    return bodies


def _true_vertices(people, bodies):
    """(N, 6890, 3) m of the records' pose and shape, each on its own body."""

    def vertices(person):
        body = SMPL(bodies[person["gender"].decode()])
        return np.array(body(person["pose"][None], person["beta"][None])["vertices"])[0]

    return np.array([vertices(person) for person in people])


def test_3dpw(tmp_path, pw3d_records, gendered):
    """Truth enlarged by a tenth and moved: MPJPE and PVE are a tenth of the reach, PA is zero."""
    flags = ("--male", tmp_path / "m.npz", "--female", tmp_path / "f.npz")
    vertices = _true_vertices(pw3d_records, gendered)
    regressor = made_body().cocoplus_regressor[:14]
    found = _evaluate(
        tmp_path, "3dpw", *flags, vertices=1.1 * vertices + [0.3, 0.2, 4.0],
        joints3d=1.1 * np.einsum("jv,nvc->njc", regressor, vertices),
    )  # fmt: skip
    joints = np.einsum("jv,nvc->njc", regressor, vertices)
    hips = joints[:, 2:4].mean(axis=1, keepdims=True)
    numbers = found["metrics"]
    reach = np.linalg.norm(joints - hips, axis=2)
    assert numbers["mpjpe_mm"] == pytest.approx(100 * reach.mean(), rel=1e-3)
    assert numbers["pa_mpjpe_mm"] < 1e-2
    # The given vertices are moved and the given joints are not: each side has its own root.
    moved = 1.1 * (vertices - hips) + [0.3, 0.2, 4.0] - (vertices - hips)
    assert numbers["pve_mm"] == pytest.approx(1000 * np.linalg.norm(moved, axis=2).mean(), rel=1e-3)
    assert found["choices"]["root"] == "hip_midpoint"


def test_3dpw_from_parameters(tmp_path, pw3d_records, gendered):
    """Pose and shape of the truth on the male body: right for men, too large for women."""
    flags = ("--male", tmp_path / "m.npz", "--female", tmp_path / "f.npz")
    pose, beta = (np.array([p[key] for p in pw3d_records]) for key in ("pose", "beta"))
    body = ("--body", tmp_path / "m.npz")
    _evaluate(tmp_path, "3dpw", *flags, *body, pose=pose, beta=beta)
    rows = np.genfromtxt(tmp_path / "3dpw" / "samples.csv", delimiter=",", names=True, dtype=None)
    men = np.array([p["gender"] == b"m" for p in pw3d_records])
    assert rows["pve_mm"][men].max() < 0.1 and rows["mpjpe_mm"][men].max() < 0.1
    assert rows["pve_mm"][~men].min() > 20 and rows["pa_mpjpe_mm"][~men].max() < 0.1


def test_3dpw_with_human36ms_joints(tmp_path, pw3d_records, gendered):
    """A regressor of single vertices: joint k is vertex 100 k, the pelvis vertex 0."""
    regressor = np.zeros((17, NUM_VERTICES))
    regressor[np.arange(17), 100 * np.arange(17)] = 1
    np.save(tmp_path / "J_regressor_h36m.npy", regressor)
    vertices = _true_vertices(pw3d_records, gendered)
    predicted = vertices.copy()
    predicted[:, 0] += [0.014, 0, 0]  # the pelvis: every joint is off by 14 mm
    predicted[:, 100 * H36M17_REGRESSED.index("spine")] += 5.0  # none of the 14 joints
    flags = ("--male", tmp_path / "m.npz", "--female", tmp_path / "f.npz")
    more = ("--joint_regressor", tmp_path / "J_regressor_h36m.npy")
    found = _evaluate(tmp_path, "3dpw_h36m_joints", *flags, *more, vertices=predicted)
    assert found["metrics"]["mpjpe_mm"] == pytest.approx(14, rel=1e-3)
    assert found["metrics"]["pa_mpjpe_mm"] < 1e-2  # the 14 joints themselves have not moved
    assert found["choices"]["root"] == "pelvis_h36m17"
    assert len(LSP14) == 14
    np.save(tmp_path / "J_regressor_h36m.npy", regressor[:14])
    with pytest.raises(UserError, match=r"shape \(17, 6890\)"):
        _evaluate(tmp_path, "3dpw_h36m_joints", *flags, *more, vertices=predicted)


def test_3dpw_says_what_is_missing(tmp_path, pw3d_records, gendered):
    joints = np.zeros((len(pw3d_records), 14, 3))
    with pytest.raises(UserError, match="3dpw needs --male, --female"):
        _evaluate(tmp_path, "3dpw", joints3d=joints)
    with pytest.raises(UserError, match="pose and beta come together"):
        _evaluate(
            tmp_path, "3dpw", "--male", tmp_path / "m.npz", "--female", tmp_path / "f.npz",
            pose=np.zeros((len(pw3d_records), 72)),
        )  # fmt: skip
