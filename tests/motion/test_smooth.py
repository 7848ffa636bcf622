"""Motion without trembling."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.motion.clip import Clip
from hmr.motion.online import OneEuro
from hmr.motion.smooth import continuous, low_pass, smooth

RATE = 25.0


def turning(angles, noise=0.0, seen=None, seed=0):
    """A body that turns about y by (N,) angles, with noise at every joint."""
    rng, count = np.random.default_rng(seed), len(angles)
    turns = Rotation.from_rotvec(np.column_stack([0 * angles, angles, 0 * angles]))
    rough = Rotation.from_rotvec(noise * rng.normal(size=(count * 24, 3)))
    matrices = np.repeat(turns.as_matrix()[:, None], 24, axis=1) @ rough.as_matrix().reshape(
        count, 24, 3, 3
    )
    place = np.column_stack([np.linspace(0, 2, count), np.ones(count), np.full(count, 6.0)])
    seen = np.ones(count, bool) if seen is None else seen
    return Clip("0", 0, RATE, seen, matrices, np.zeros(10), place), turns.as_matrix()


def apart(first, second):
    """Mean angle between rotations, radians."""
    turn = np.swapaxes(first, -1, -2) @ second
    return Rotation.from_matrix(turn.reshape(-1, 3, 3)).magnitude().mean()


def test_trembling_goes_and_a_turn_through_pi_stays():
    clip, truth = turning(np.linspace(2.0, 5.0, 100), noise=0.1)
    calm = smooth(clip, 0.5).rotations
    assert apart(calm, truth[:, None]) < 0.5 * apart(clip.rotations, truth[:, None])
    steps = np.swapaxes(calm[:-1], -1, -2) @ calm[1:]
    assert Rotation.from_matrix(steps.reshape(-1, 3, 3)).magnitude().max() < 0.2


def test_nothing_lags():
    time = np.arange(200) / RATE
    clip, truth = turning(0.8 * np.sin(2 * np.pi * 0.5 * time))
    assert apart(smooth(clip, 0.5).rotations[20:-20], truth[20:-20, None]) < 0.01


def test_missing_frames_are_filled_by_the_shortest_turn():
    seen = np.ones(50, bool)
    seen[20:30] = False
    clip, truth = turning(np.linspace(0, 2, 50), seen=seen)
    clip.rotations[~seen], clip.translation_m[~seen] = np.eye(3), 1.0
    filled = smooth(clip, 0.0)
    assert apart(filled.rotations, truth[:, None]) < 1e-6
    np.testing.assert_allclose(filled.translation_m[:, 0], np.linspace(0, 2, 50), atol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_clips(count):
    clip, _ = turning(np.linspace(0, 0.1, count))
    calm = smooth(clip, 1.0)
    assert calm.rotations.shape == clip.rotations.shape
    np.testing.assert_allclose(calm.translation_m[:, 2], 6)


def test_strength_is_monotonous():
    clip, _ = turning(np.zeros(100), noise=0.1)
    left = [apart(smooth(clip, strength).rotations, np.eye(3)) for strength in (0, 0.3, 0.6, 1)]
    assert left == sorted(left, reverse=True) and left[-1] < 0.4 * left[0]


def test_quaternions_do_not_jump_and_low_pass_keeps_what_is_constant():
    quaternions = np.array([[0, 0, 0, 1.0], [0, 0, 0, -1.0], [0, 0, 0.1, 1.0]])
    assert (continuous(quaternions)[:, 3] > 0).all()
    np.testing.assert_allclose(low_pass(np.ones((30, 2)), 3, RATE), 1)


def test_on_line_what_rests_is_calm_and_what_moves_hardly_lags():
    rng, time = np.random.default_rng(0), np.arange(200) / RATE
    noise, fast = rng.normal(0, 0.05, (200, 1)), np.where(time < 4, 0, 4 * (time - 4))[:, None]
    calm = OneEuro(1.0)
    at_rest = np.array([calm(value, now) for value, now in zip(noise, time, strict=True)])
    assert np.diff(at_rest[25:], axis=0).std() < 0.3 * np.diff(noise[25:], axis=0).std()
    follow = OneEuro(1.0)
    behind = fast - np.array([follow(value, now) for value, now in zip(fast, time, strict=True)])
    assert behind[-1, 0] / 4 < 0.08  # seconds


def test_on_line_quaternions_keep_their_length_whatever_their_sign():
    calm = OneEuro(1.0, unit=True)
    turns = Rotation.from_euler("Y", np.linspace(3, 3.4, 40)[:, None]).as_quat()
    turns[::2] *= -1
    out = np.array([calm(turn, frame / RATE) for frame, turn in enumerate(turns)])
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 1)
    assert (Rotation.from_quat(out).inv() * Rotation.from_quat(turns)).magnitude().max() < 0.15
