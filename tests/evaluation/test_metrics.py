import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hmr.errors import UserError
from hmr.evaluation import metrics
from tests.helpers.golden_inputs import golden


def _skeletons(seed, count=4, joints=14):
    return np.random.default_rng(seed).normal(scale=0.4, size=(count, joints, 3))


def test_mpjpe_and_pa_mpjpe_equal_the_original_on_its_twenty_pairs():
    figures = golden("evaluation")
    predicted, truth = figures["predicted_m"] * 1000, figures["truth_m"] * 1000
    np.testing.assert_allclose(metrics.mpjpe(predicted, truth), figures["mpjpe_mm"], atol=1e-9)
    np.testing.assert_allclose(
        metrics.pa_mpjpe(predicted, truth), figures["pa_mpjpe_mm"], atol=1e-9
    )


def test_alignment_equals_the_original():
    figures = golden("evaluation")
    aligned = metrics.procrustes_align(figures["predicted_m"], figures["truth_m"])
    np.testing.assert_allclose(aligned, figures["aligned_m"], atol=1e-12)


def test_mpjpe_by_hand():
    truth = np.zeros((1, 4, 3))
    predicted = truth.copy()
    predicted[0, 0] = [3.0, 4.0, 0.0]
    assert metrics.mpjpe(predicted, truth, root=(2, 3))[0] == pytest.approx(5.0 / 4)


def test_each_side_is_centred_on_its_own_root():
    truth = np.zeros((1, 4, 3))
    predicted = truth.copy()
    predicted[0, 3] = [2.0, 0.0, 0.0]  # the hip midpoint moves by 1
    assert metrics.mpjpe(predicted, truth)[0] == pytest.approx(1.0)
    assert metrics.mpjpe(predicted, truth, root="none")[0] == pytest.approx(0.5)


def test_unknown_root_is_named():
    with pytest.raises(UserError, match=r"pelvis_mpi_inf_3dhp17.*root='spine'"):
        metrics.centre(np.zeros((1, 14, 3)), "spine")


def test_a_mirrored_skeleton_does_not_score():
    truth = _skeletons(0)
    mirrored = truth * [-1, 1, 1]
    assert metrics.pa_mpjpe(mirrored, truth).min() > 0.1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    scale=st.floats(0.1, 10),
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
    shift=st.tuples(*[st.floats(-5, 5)] * 3),
)
def test_similarity_of_the_prediction_leaves_pa_mpjpe_alone(seed, scale, turn, shift):
    predicted, truth = _skeletons(seed), _skeletons(seed + 1)
    moved = scale * predicted @ Rotation.from_rotvec(turn).as_matrix().T + shift
    np.testing.assert_allclose(
        metrics.pa_mpjpe(moved, truth), metrics.pa_mpjpe(predicted, truth), rtol=1e-7
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), turn=st.tuples(*[st.floats(-3, 3)] * 3))
def test_rotating_both_sides_leaves_mpjpe_alone(seed, turn):
    predicted, truth = _skeletons(seed), _skeletons(seed + 1)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    np.testing.assert_allclose(
        metrics.mpjpe(predicted @ rotation, truth @ rotation + 7.0),
        metrics.mpjpe(predicted, truth),
        rtol=1e-9,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_no_small_change_of_the_alignment_does_better(seed):
    predicted, truth = _skeletons(seed, count=1), _skeletons(seed + 1, count=1)
    best = metrics.procrustes_align(predicted, truth)
    rng = np.random.default_rng(seed)
    nudge = Rotation.from_rotvec(rng.normal(scale=1e-2, size=3)).as_matrix()
    nudged = best @ nudge.T * (1 + rng.normal(scale=1e-2)) + rng.normal(scale=1e-2, size=3)
    assert np.sum((best - truth) ** 2) <= np.sum((nudged - truth) ** 2)


@pytest.mark.parametrize("flat_axes", [1, 2])
def test_planar_and_straight_skeletons_align_exactly(flat_axes):
    truth = _skeletons(3)
    truth[..., 3 - flat_axes :] = 0
    turned = 2 * truth @ Rotation.from_rotvec([0.3, -1, 2]).as_matrix().T + 1
    assert metrics.pa_mpjpe(turned, truth).max() < 1e-12


def test_a_prediction_without_extent_goes_to_the_mean_of_the_truth():
    truth = _skeletons(4)
    expected = np.linalg.norm(truth - truth.mean(1, keepdims=True), axis=-1).mean(1)
    np.testing.assert_allclose(metrics.pa_mpjpe(np.ones_like(truth), truth), expected)


def test_a_sample_that_is_not_finite_is_named():
    predicted = _skeletons(5)
    predicted[2, 1, 0] = np.nan
    with pytest.raises(UserError, match=r"predicted: 1 of 4 .* sample 2"):
        metrics.pa_mpjpe(predicted, _skeletons(6))


def test_shapes_that_differ_are_refused():
    with pytest.raises(UserError, match=r"\(4, 14, 3\), truth \(4, 17, 3\)"):
        metrics.mpjpe(_skeletons(0), _skeletons(0, joints=17))


def test_pck_is_strict():
    assert metrics.pck([0.0, 149.999, 150.0, 151.0]) == 50.0


def test_perfect_auc_is_thirty_of_thirty_one():
    assert metrics.auc(np.zeros((3, 14))) == pytest.approx(100 * 30 / 31)


def test_auc_is_the_mean_of_pck_over_the_thresholds():
    errors = np.random.default_rng(0).gamma(2, 60, size=(50, 14))
    errors[0] = metrics.AUC_THRESHOLDS_MM[:14]  # exactly on thresholds
    by_definition = np.mean([metrics.pck(errors, t) for t in range(0, 151, 5)])
    assert metrics.auc(errors) == pytest.approx(by_definition)
    assert metrics.auc(errors, axis=1).mean() == pytest.approx(by_definition)


def test_only_what_counts_is_averaged():
    errors = np.array([[1.0, 3.0, 99.0], [5.0, 7.0, 9.0]])
    counted = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_array_equal(metrics.mean_error(errors, 1, counted), [2, np.nan])
    np.testing.assert_array_equal(metrics.pck(errors, 2.0, 1, counted), [50, np.nan])
    np.testing.assert_allclose(metrics.auc(errors, np.array([0.0, 2, 4]), 1, counted), [50, np.nan])
    assert metrics.mean_error(errors, where=counted) == 2


def test_a_joint_behind_those_that_count_may_be_the_root():
    truth = np.zeros((1, 15, 3))
    predicted = truth.copy()
    predicted[0, 14, 0] = 5.0  # the pelvis alone has moved: the 14 joints lie 5 from it
    assert metrics.mpjpe(predicted, truth, "pelvis_h36m17", num_joints=14)[0] == 5


def test_the_longer_side_of_the_box_around_visible_keypoints():
    keypoints = np.array([[[0.0, 0], [3, 4], [99, 99]], [[1, 1], [2, 2], [3, 3]]])
    visible = np.array([[True, True, False], [True, False, False]])
    np.testing.assert_array_equal(metrics.box_sides(keypoints, visible), [[4], [0]])


def test_pve_is_taken_about_each_pelvis():
    truth = _skeletons(7, joints=50)
    pelvis = truth[:, 0]
    moved = truth + 3.0
    assert metrics.pve(moved, truth, pelvis + 3.0, pelvis).max() < 1e-12
    np.testing.assert_allclose(metrics.pve(moved, truth, pelvis, pelvis), np.sqrt(27))
