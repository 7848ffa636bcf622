import numpy as np
import pytest

from src.errors import UserError
from src.evaluation.protocols import PROTOCOLS, describe, find_protocol
from src.evaluation.samples import Prediction, Truth
from src.evaluation.scoring import MEASURES, group_means, score

STAND_IN = find_protocol("stand_in")


def make_truth(count=6, seed=0):
    rng = np.random.default_rng(seed)
    return Truth(
        joints3d_m=rng.normal(scale=0.4, size=(count, 14, 3)),
        has_joints3d=np.ones(count, bool),
        keypoints2d=rng.uniform(-0.7, 0.7, (count, 19, 2)),
        visibility=rng.random((count, 19)) < 0.7,
        names=np.array([f"{index}.jpg" for index in range(count)]),
        sequences=np.array(["S8/Seq1"] * (count // 2) + ["S8/Seq2"] * (count - count // 2)),
        activities=np.array([""] * count),
    )


def perfect(truth):
    return Prediction(truth.joints3d_m, truth.keypoints2d)


def test_a_perfect_prediction():
    truth = make_truth()
    numbers = score(STAND_IN, perfect(truth), truth).summary()
    assert numbers["mpjpe_mm"] == 0 and numbers["keypoint_error_px"] == 0
    assert numbers["pa_mpjpe_mm"] < 1e-9
    numbers = score(find_protocol("mpi_inf_3dhp_val"), perfect(truth), truth).summary()
    assert numbers["pck150"] == numbers["pa_pck150"] == 100
    assert numbers["auc150"] == pytest.approx(100 * 30 / 31)


def test_metres_become_millimetres_and_the_root_is_taken_off():
    truth = make_truth()
    joints = truth.joints3d_m + 5.0
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
    scores = score(STAND_IN, Prediction(truth.joints3d_m, keypoints), truth)
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
    joints = truth.joints3d_m.copy()
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
    centred = train.joints3d_m - train.joints3d_m[:, [2, 3]].mean(1, keepdims=True)
    mean_body = np.broadcast_to(centred.mean(0), truth.joints3d_m.shape)
    alone = score(STAND_IN, Prediction(mean_body, truth.keypoints2d), truth).summary()
    assert numbers["mean_body_mpjpe_mm"] == pytest.approx(alone["mpjpe_mm"])
    assert numbers["mean_body_pa_mpjpe_mm"] <= alone["pa_mpjpe_mm"]
    assert numbers["mean_body_keypoint_error_px"] > 10


def test_a_prediction_without_3d_is_scored_in_2d_only():
    truth = make_truth()
    scores = score(STAND_IN, Prediction(None, truth.keypoints2d), truth, make_truth(seed=1))
    assert list(scores.measures) == list(scores.constant) == ["keypoint_error_px"]
    with pytest.raises(UserError, match="hold nothing"):
        score(find_protocol("keypoints2d"), Prediction(truth.joints3d_m, None), truth)


def test_groups():
    truth = make_truth()
    joints = truth.joints3d_m.copy()
    joints[:3, 0, 0] += 0.014
    scores = score(STAND_IN, Prediction(joints, None), truth)
    groups = group_means(scores, truth.sequences)
    assert groups["S8/Seq1"] == {
        "samples": 3,
        "mpjpe_mm": pytest.approx(1.0),
        "pa_mpjpe_mm": pytest.approx(scores.measures["pa_mpjpe_mm"].values[:3].mean()),
    }
    assert groups["S8/Seq2"]["mpjpe_mm"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_protocol_names_measures_that_exist_and_says_its_choices(protocol):
    assert set(protocol.measures) <= MEASURES.keys()
    text = describe(protocol, 12)
    for choice in (protocol.name, protocol.dataset, protocol.joints, protocol.root):
        assert choice in text


def test_an_unknown_protocol_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r"stand_in.*Received: 'p3'"):
        find_protocol("p3")
