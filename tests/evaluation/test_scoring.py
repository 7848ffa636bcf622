from dataclasses import replace

import numpy as np
import pytest

from hmr.errors import UserError
from hmr.evaluation.protocols import find_protocol
from hmr.evaluation.samples import Prediction, Truth
from hmr.evaluation.scoring import group_means, score
from tests.helpers.golden_inputs import golden

STAND_IN = find_protocol("stand_in")


def make_truth(count=6, seed=0):
    rng = np.random.default_rng(seed)
    return Truth(
        joints3d_lsp_m=rng.normal(scale=0.4, size=(count, 14, 3)),
        has_joints3d=np.ones(count, bool),
        keypoints2d=rng.uniform(-0.7, 0.7, (count, 19, 2)),
        visibility=rng.random((count, 19)) < 0.7,
        record=np.arange(count),
        ray=np.tile([0.0, 0.0, 1.0], (count, 1)),
        center_px=np.tile([112.0, 112.0], (count, 1)),
        size_px=np.tile([224, 224], (count, 1)),
        whole=np.ones(count, bool),
        pose=np.zeros((count, 72)),
        beta=np.zeros((count, 10)),
        gender=np.array([""] * count),
        filename=np.array([f"{index}.jpg" for index in range(count)]),
        sequence=np.array(["S8/Seq1"] * (count // 2) + ["S8/Seq2"] * (count - count // 2)),
        activity=np.array([""] * count),
    )


def perfect(truth):
    return Prediction(truth.joints3d_lsp_m, truth.keypoints2d)


def test_a_perfect_prediction():
    truth = make_truth()
    numbers = score(STAND_IN, perfect(truth), truth).summary()
    assert numbers["mpjpe_mm"] == 0 and numbers["keypoint_error_px"] == 0
    assert numbers["pa_mpjpe_mm"] < 1e-9
    numbers = score(find_protocol("mpi_inf_3dhp_val"), perfect(truth), truth).summary()
    assert numbers["pck150"] == numbers["pa_pck150"] == 100
    assert numbers["auc150"] == pytest.approx(100 * 30 / 31)


def test_a_report_holds_the_figures_of_the_original_on_its_twenty_pairs():
    figures = golden("evaluation")
    truth = replace(make_truth(20), joints3d_lsp_m=figures["truth_m"])
    scores = score(STAND_IN, Prediction(figures["predicted_m"], truth.keypoints2d), truth)
    for name in ("mpjpe_mm", "pa_mpjpe_mm"):
        np.testing.assert_allclose(scores.measures[name].values, figures[name], atol=1e-9)
        assert scores.summary()[name] == pytest.approx(figures[name].mean())


def test_metres_become_millimetres_and_the_root_is_taken_off():
    truth = make_truth()
    joints = truth.joints3d_lsp_m + 5.0
    joints[:, 0, 0] += 0.014  # one of 14 joints off by 14 mm
    scores = score(STAND_IN, Prediction(joints, truth.keypoints2d), truth)
    assert scores.summary()["mpjpe_mm"] == pytest.approx(1.0)


def test_2d_errors_are_pixels_of_a_224_crop_and_each_visible_keypoint_counts_alike():
    truth = make_truth(2)
    truth.visibility[:] = False
    truth.visibility[0, :3] = True
    truth.visibility[1, 0] = True
    keypoints = truth.keypoints2d.copy()
    keypoints[0, :, 0] += 2 / 224  # one pixel
    keypoints[1, :, 1] += 10 / 224
    keypoints[0, 5] = 99  # not visible
    scores = score(STAND_IN, Prediction(truth.joints3d_lsp_m, keypoints), truth)
    assert scores.summary()["keypoint_error_px"] == pytest.approx((3 * 1 + 1 * 5) / 4)


def test_pck_of_keypoints_is_relative_to_the_longer_side_of_the_visible_box():
    truth = make_truth(1)
    truth.visibility[:] = False
    truth.visibility[0, :2] = True
    truth.keypoints2d[0, :2] = [[-0.5, 0.0], [0.5, 0.2]]  # 112 px wide
    keypoints = truth.keypoints2d.copy()
    keypoints[0, 0, 1] += 2 * 8 / 224  # 8 px: 0.071 of the box
    keypoints[0, 1, 1] += 2 * 2 / 224
    numbers = score(find_protocol("keypoints2d"), Prediction(None, keypoints), truth).summary()
    assert numbers["pck2d_005"] == 50 and numbers["pck2d_010"] == 100


def test_samples_without_3d_joints_do_not_count():
    truth = make_truth()
    truth.has_joints3d[1] = False
    joints = truth.joints3d_lsp_m.copy()
    joints[1] += np.arange(42).reshape(14, 3)
    scores = score(STAND_IN, Prediction(joints, truth.keypoints2d), truth)
    assert scores.summary()["mpjpe_mm"] == 0
    assert np.isnan(scores.measures["mpjpe_mm"].values[1])


def test_records_without_any_3d_joints_are_refused():
    truth = make_truth()
    truth.has_joints3d[:] = False
    with pytest.raises(UserError, match="none of the 6 records of mpi_inf_3dhp/val"):
        score(STAND_IN, perfect(truth), truth)


def test_constant_answers_use_the_stricter_mean_body():
    truth, train = make_truth(seed=0), make_truth(30, seed=1)
    scores = score(STAND_IN, perfect(truth), truth, train)
    numbers = scores.summary()
    centred = train.joints3d_lsp_m - train.joints3d_lsp_m[:, [2, 3]].mean(1, keepdims=True)
    mean_body = np.broadcast_to(centred.mean(0), truth.joints3d_lsp_m.shape)
    alone = score(STAND_IN, Prediction(mean_body, truth.keypoints2d), truth).summary()
    assert numbers["mean_body_mpjpe_mm"] == pytest.approx(alone["mpjpe_mm"])
    assert numbers["mean_body_pa_mpjpe_mm"] <= alone["pa_mpjpe_mm"]
    assert numbers["mean_body_keypoint_error_px"] > 10


def test_a_prediction_without_3d_is_scored_in_2d_only():
    truth = make_truth()
    scores = score(STAND_IN, Prediction(None, truth.keypoints2d), truth, make_truth(seed=1))
    assert list(scores.measures) == list(scores.constant) == ["keypoint_error_px"]
    with pytest.raises(UserError, match="hold nothing"):
        score(find_protocol("keypoints2d"), Prediction(truth.joints3d_lsp_m, None), truth)


def test_groups():
    truth = make_truth()
    joints = truth.joints3d_lsp_m.copy()
    joints[:3, 0, 0] += 0.014
    scores = score(STAND_IN, Prediction(joints, None), truth)
    groups = group_means(scores.measures, truth.sequence)
    assert groups["S8/Seq1"] == {
        "samples": 3,
        "mpjpe_mm": pytest.approx(1.0),
        "median_mpjpe_mm": pytest.approx(1.0),
        "pa_mpjpe_mm": pytest.approx(scores.measures["pa_mpjpe_mm"].values[:3].mean()),
        "median_pa_mpjpe_mm": pytest.approx(np.median(scores.measures["pa_mpjpe_mm"].values[:3])),
    }
    assert groups["S8/Seq2"]["mpjpe_mm"] == 0


def _h36m_truth():
    """Two sequences of Directions (1 and 3 frames) and one of Eating (2 frames)."""
    truth = make_truth(6)
    names = ["S9_Directions_0_cam0", *["S11_Directions_1_cam3"] * 3, *["S9_Eating_0_cam3"] * 2]
    return replace(truth, sequence=np.array(names))


def test_h36m_averages_over_frames_and_over_actions():
    truth = _h36m_truth()
    joints = truth.joints3d_lsp_m.copy()
    errors_mm = np.array([10.0, 20.0, 20.0, 20.0, 40.0, 40.0])
    joints[:, 0, 0] += errors_mm * 14 / 1000
    scores = score(find_protocol("h36m_p1"), Prediction(joints, None), truth)
    numbers = scores.summary()
    assert numbers["mpjpe_mm"] == pytest.approx(150 / 6)
    assert numbers["group_mean_mpjpe_mm"] == pytest.approx((15 + 40) / 2)
    assert numbers["median_mpjpe_mm"] == pytest.approx(20)
    actions = scores.groups["action"]
    assert actions["Directions"]["mpjpe_mm"] == pytest.approx(70 / 4)
    assert actions["Directions"]["median_mpjpe_mm"] == pytest.approx(20)
    assert actions["Eating"]["samples"] == 2


def test_actions_stand_in_the_papers_order():
    truth = make_truth(4)
    actions = ("WalkTogether", "WakingDog", "Walking", "Directions")
    sequences = np.array([f"S9_{action}_0_cam0" for action in actions])
    truth = replace(truth, sequence=sequences)
    scores = score(find_protocol("h36m_p1"), perfect(truth), truth)
    assert list(scores.groups["action"]) == ["Directions", "WalkDog", "Walking", "WalkTogether"]


def test_a_sequence_that_cannot_be_read_is_named():
    truth = make_truth()
    with pytest.raises(UserError, match=r"S9_Directions_0_cam3.*Received: 'S8/Seq1'"):
        score(find_protocol("h36m_p1"), perfect(truth), truth)


def test_mpi_inf_3dhp_turns_predictions_by_the_crops_ray():
    truth = make_truth()
    rays = np.random.default_rng(3).normal([0, 0, 2], 0.4, (6, 3))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    sequences = np.array(["TS1", "TS1", "TS3", "TS5", "TS6", "TS6"])
    truth = replace(truth, ray=rays, sequence=sequences)
    as_seen = np.stack(
        [joints @ _turn(ray) for joints, ray in zip(truth.joints3d_lsp_m, rays, strict=True)]
    )
    scores = score(find_protocol("mpi_inf_3dhp"), Prediction(as_seen, None), truth)
    numbers = scores.summary()
    assert numbers["mpjpe_mm"] < 1e-9
    assert numbers["pck150"] == 100
    assert list(scores.groups["scene"]) == ["green screen", "no green screen", "outdoor"]
    assert scores.groups["scene"]["outdoor"]["samples"] == 3


def _turn(ray):
    """The rotation that takes z to the ray by the shortest way, by Rodrigues' other formula."""
    axis = np.cross([0, 0, 1], ray)
    skew = np.cross(np.eye(3), axis)
    return np.eye(3) + skew + skew @ skew / (1 + ray[2])


def test_a_record_without_its_camera_is_refused_where_the_ray_counts():
    truth = make_truth()
    truth.ray[4] = np.nan
    with pytest.raises(UserError, match=r"1 of 6 records lack the camera"):
        score(find_protocol("mpi_inf_3dhp"), perfect(truth), truth)
