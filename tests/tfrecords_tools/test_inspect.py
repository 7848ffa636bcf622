"""What is drawn lies where the record says."""

from __future__ import annotations

import numpy as np
import pytest

from hmr.body.library import open_body
from hmr.body.smpl import SMPL
from tfrecords_tools.inspect import (
    contact_sheet,
    draw_body,
    draw_joints3d,
    fit_weak_perspective,
)


def test_bodies_are_placed_where_their_joints_meet_the_keypoints():
    points = np.random.default_rng(0).standard_normal((10, 2))
    scale, offset = fit_weak_perspective(points, 80 * points + (30, -7))
    assert scale == pytest.approx(80)
    np.testing.assert_allclose(offset, [30, -7])


def test_the_body_covers_its_vertices_and_nothing_else(body_path):
    pose = np.zeros(72, np.float32)
    pose[0] = np.pi
    posed = SMPL(open_body(body_path))(pose[None], np.zeros((1, 10), np.float32))
    joints, vertices = np.array(posed["joints3d"][0]), np.array(posed["vertices"][0])
    scale = 100 / np.ptp(vertices[:, :2], axis=0).max()
    person = {
        "pose": pose,
        "beta": np.zeros(10, np.float32),
        "visibility": np.ones(19),
        "keypoints2d_px": scale * joints[:, :2] + (90, 110),
    }
    drawn = draw_body(np.full((240, 200, 3), 255, np.uint8), person, body_path)
    rows, columns = np.nonzero((drawn != 255).any(axis=2))
    pixels = scale * vertices[:, :2] + (90, 110)
    np.testing.assert_allclose([columns.min(), rows.min()], pixels.min(axis=0), atol=1.5)
    np.testing.assert_allclose([columns.max(), rows.max()], pixels.max(axis=0), atol=1.5)


def test_3d_joints_are_seen_from_the_persons_side():
    """A point far from the camera is drawn left of a near one, at its height."""
    joints = np.zeros((14, 3))
    joints[0], joints[1] = (0, -1, 3), (0, 1, 2)
    canvas = draw_joints3d(joints).mean(axis=2)
    rows, columns = np.nonzero(canvas < 100)
    assert columns[rows.argmin()] < columns[rows.argmax()]


def test_cells_fill_rows():
    cells = [np.zeros((10, 20, 3), np.uint8)] * 5
    assert contact_sheet(cells, columns=2).shape == (30, 40, 3)
