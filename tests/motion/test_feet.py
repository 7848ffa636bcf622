"""Feet that stand."""

import dataclasses

import numpy as np
import pytest

from hmr.body.model_file import rest_body
from hmr.motion.clip import Clip, joints_m
from hmr.motion.feet import FARTHEST_M, feet_of, find_contact, plant
from hmr.motion.ground import find_ground
from tests.helpers.shapes import round_body

RATE = 25.0


def feet_that_step(count=100):
    """A left foot that stands for half a second and steps for half a second, a right one after."""
    time = np.arange(count) / RATE
    feet = np.zeros((count, 2, 3))
    for side in range(2):
        phase = time + 0.5 * side
        feet[:, side, 0] = np.floor(phase) + np.clip(2 * (phase % 1) - 1, 0, 1)
    return feet


def test_feet_that_stand_are_found_by_their_speed():
    contact = find_contact(feet_that_step(), RATE)
    truth = np.linalg.norm(np.diff(feet_that_step(), axis=0), axis=-1) < 1e-9
    assert (contact[1:] == truth).mean() > 0.9


def test_a_body_that_slides_is_held_and_no_joint_moves_farther_than_stated():
    body = round_body()
    count, rng = 100, np.random.default_rng(0)
    rotations = np.tile(np.eye(3), (count, 24, 1, 1))
    place = np.array([0, 0, 5.0]) + np.cumsum(rng.normal(0, 0.004, (count, 3)), axis=0)
    clip = Clip("0", 0, RATE, np.ones(count, bool), rotations, np.zeros(10), place)
    held = plant(clip, body)
    assert held.contact.mean() > 0.9
    rest = rest_body(body, clip.beta)[1]
    before, after = (feet_of(joints_m(rotations, c.translation_m, rest)) for c in (clip, held))
    slides = [np.linalg.norm(np.diff(feet, axis=0), axis=-1).mean() for feet in (before, after)]
    assert slides[1] < 0.3 * slides[0]
    far = np.linalg.norm(held.translation_m - clip.translation_m, axis=1).max()
    assert far <= FARTHEST_M + 1e-9
    drift = np.array([0, 0, 5.0]) + np.linspace(0, 1.2, count)[:, None] * (1, 0, 0)
    fast = dataclasses.replace(clip, translation_m=drift)
    moved = np.linalg.norm(plant(fast, body).translation_m - fast.translation_m, axis=1)
    assert moved.max() == pytest.approx(FARTHEST_M)


def test_the_floor_is_the_plane_of_the_feet():
    rng = np.random.default_rng(0)
    up = np.array([0.1, -0.95, -0.3]) / np.linalg.norm([0.1, -0.95, -0.3])
    points = rng.uniform(-3, 3, (500, 3)) + (0, 0, 6)
    points += (-1.4 - points @ up)[:, None] * up + rng.normal(0, 0.02, (500, 3))
    points[:20] += 2.0  # feet seen wrongly
    ground = find_ground(points, up)
    assert np.degrees(np.arccos(ground.up @ up)) < 1
    assert ground.height_m == pytest.approx(1.4, abs=0.05)
    level = points @ ground.levelled[:3, :3].T + ground.levelled[:3, 3]
    assert np.abs(np.median(level[:, 1])) < 0.02
    assert np.linalg.det(ground.levelled[:3, :3]) == pytest.approx(1)


def test_without_feet_the_camera_is_level():
    ground = find_ground(np.zeros((0, 3)), np.zeros(3))
    np.testing.assert_allclose(ground.levelled, np.eye(4), atol=1e-9)
