"""Fitting: a made body, moved off by a known amount, comes back to its own keypoints."""

import keras
import numpy as np
import pytest
from keras import ops

from hmr.body.model_file import load_body
from hmr.body.smpl import SMPL
from hmr.fitting.fit import FitSettings, Fitter, pseudo_huber, reprojection_px
from hmr.geometry.projection import project
from hmr.network.discriminator import Discriminator

PEOPLE = 5


@pytest.fixture(scope="module")
def smpl(body_path):
    return SMPL(load_body(body_path))


@pytest.fixture(scope="module")
def fitter(smpl):
    return Fitter(smpl)


@pytest.fixture
def truth(rng):
    theta = np.zeros((PEOPLE, 85), np.float32)
    theta[:, 0] = rng.uniform(0.7, 1.1, PEOPLE)
    theta[:, 1:3] = rng.uniform(-0.2, 0.2, (PEOPLE, 2))
    theta[:, 3] = np.pi
    theta[:, 6:75] = 0.2 * rng.standard_normal((PEOPLE, 69))
    theta[:, 75:] = 0.5 * rng.standard_normal((PEOPLE, 10))
    return theta


@pytest.fixture
def start(truth, rng):
    """The truth, off by about 0.15 rad in each joint, and with a camera of its own."""
    off = truth + 0.0
    off[:, 3:75] += 0.15 * rng.standard_normal((PEOPLE, 72)) / np.sqrt(3)
    off[:, 0] *= 1.08
    off[:, 1:3] += 0.03
    return off.astype(np.float32)


@pytest.fixture
def keypoints2d(smpl, truth):
    return np.asarray(project(joints3d(smpl, truth), truth[:, :3]))


@pytest.fixture
def everything():
    return np.ones((PEOPLE, 19), np.float32)


def joints3d(smpl, theta):
    return np.asarray(smpl.keypoints(theta[:, 3:75], theta[:, 75:])["joints3d"])


def off_px(smpl, theta, keypoints2d, confidence):
    projected = np.asarray(project(joints3d(smpl, theta), theta[:, :3]))
    return reprojection_px(projected, keypoints2d, confidence)


def test_a_known_truth_is_found_again(smpl, fitter, truth, start, keypoints2d, everything):
    fitted = fitter.fit(start, keypoints2d, everything)
    before, after = (off_px(smpl, theta, keypoints2d, everything) for theta in (start, fitted))
    assert (after < 0.15 * before).all() and before.min() > 3
    wrong, left = (
        np.linalg.norm(joints3d(smpl, theta) - joints3d(smpl, truth), axis=-1).mean()
        for theta in (start, fitted)
    )
    assert left < 0.8 * wrong


def test_a_person_is_fitted_the_same_alone(fitter, start, keypoints2d, everything):
    together = fitter.fit(start, keypoints2d, everything)
    alone = fitter.fit(start[2:3], keypoints2d[2:3], everything[2:3])
    # In radians: kernels of other sizes round otherwise, and the steps of Adam enlarge that.
    np.testing.assert_allclose(alone[0], together[2], atol=2e-2)


def test_the_network_s_answer_stays_where_it_already_fits(
    smpl, fitter, truth, keypoints2d, everything
):
    fitted = fitter.fit(truth, keypoints2d, everything)
    assert off_px(smpl, fitted, keypoints2d, everything).max() < 0.5
    assert np.abs(fitted - truth).max() < 0.05


def test_points_without_confidence_are_not_read(smpl, fitter, start, keypoints2d, everything, rng):
    confidence = everything * (rng.random(everything.shape) > 0.3)
    confidence[0] = 0
    unread = np.where(confidence[..., None] > 0, keypoints2d, np.nan)
    fitted = fitter.fit(start, unread, confidence)
    assert np.isfinite(fitted).all()
    np.testing.assert_array_equal(fitted[0], start[0])
    np.testing.assert_array_equal(fitted, fitter.fit(start, keypoints2d, confidence))
    errors_px = off_px(smpl, fitted, unread, confidence)
    assert np.isnan(errors_px[0]) and errors_px[1:].max() < 1


def test_one_keypoint_far_off_moves_the_body_little(smpl, fitter, truth, keypoints2d, everything):
    wrong = keypoints2d.copy()
    wrong[:, 6] += 0.8  # the right wrist, by 127 px
    fitted = fitter.fit(truth, wrong, everything)
    everything[:, 6] = 0
    assert off_px(smpl, fitted, keypoints2d, everything).max() < 6


@pytest.mark.parametrize("scale", [-0.4, 0.0, 1e-4])
def test_the_camera_s_scale_comes_out_positive(
    fitter, start, truth, keypoints2d, everything, scale
):
    start[:, 0] = scale
    fitted = fitter.fit(start, keypoints2d, everything)
    np.testing.assert_allclose(fitted[:, 0], truth[:, 0], rtol=0.2)


def test_gradients_are_finite_also_at_the_solution_and_at_zero_pose(smpl, keypoints2d, everything):
    fitter = Fitter(smpl, FitSettings(steps=1))
    for theta in (np.zeros((PEOPLE, 85), np.float32), 1e-12 * np.ones((PEOPLE, 85), np.float32)):
        exact = np.asarray(
            project(
                joints3d(smpl, theta),
                np.where(theta[:, :3] < 0.1, [0.9, 0, 0], 0).astype(np.float32),
            )
        )
        for target in (keypoints2d, exact):
            assert np.isfinite(fitter.fit(theta, target, everything)).all()


def test_the_discriminators_pull_where_their_loss_has_a_weight(
    smpl, start, keypoints2d, everything
):
    keras.utils.set_random_seed(0)
    critic = Discriminator(8)

    def loss(settings):
        fitted = Fitter(smpl, settings, critic).fit(start, keypoints2d, everything)
        posed = smpl.keypoints(fitted[:, 3:75], fitted[:, 75:])
        scores = np.asarray(critic(posed["rotations"][:, 1:], fitted[:, 75:]))
        return np.square(scores - 1).sum()

    assert loss(FitSettings(adversarial=300.0)) < 0.7 * loss(FitSettings(adversarial=0.0))


def test_pseudo_huber_is_square_near_and_linear_far():
    near, far = ops.convert_to_numpy(pseudo_huber(ops.convert_to_tensor([0.01, 1e8]), 20.0))
    assert near == pytest.approx(0.01, rel=2e-2) and far == pytest.approx(40 * 1e4, rel=1e-2)
