"""Drawn points lie where the numbers say; views turn the right way."""

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from hmr.body.joints import COCOPLUS
from hmr.geometry.camera import weak_perspective_px
from hmr.geometry.crop import CropBox
from hmr.rendering.draw import (
    draw_skeleton,
    overlay,
    person_color,
    person_row,
    side_by_side,
    turn,
    turned_view,
    zoomed,
)
from tests.helpers.shapes import CUBE_FACES, cube

WHITE = np.full((120, 160, 3), 255, np.uint8)


def test_a_lone_keypoint_is_drawn_where_it_is():
    points = np.full((19, 2), np.nan)
    points[3] = 70.25, 40.75
    changed = (draw_skeleton(WHITE, points) != 255).any(axis=2)
    y, x = center_of_mass(changed)
    assert abs(x - 70.25) < 0.3 and abs(y - 40.75) < 0.3


def test_left_is_blue_and_right_is_orange():
    points = np.full((19, 2), np.nan)
    points[COCOPLUS.index("left_wrist")] = 40, 60
    points[COCOPLUS.index("right_wrist")] = 110, 60
    picture = draw_skeleton(WHITE, points).astype(int)
    assert picture[60, 40, 2] > picture[60, 40, 0]
    assert picture[60, 110, 0] > picture[60, 110, 2]


def test_invisible_keypoints_and_their_bones_are_left_out(rng):
    points = rng.uniform(20, 100, (19, 2))
    visible = np.zeros(19)
    np.testing.assert_array_equal(draw_skeleton(WHITE, points, visible), WHITE)
    visible[:2] = 1
    assert (draw_skeleton(WHITE, points, visible) != WHITE).any()


def test_drawing_leaves_the_given_picture_alone(rng):
    before = WHITE.copy()
    draw_skeleton(WHITE, rng.uniform(20, 100, (19, 2)))
    overlay(WHITE, [cube([50, 50, 0], 20)], CUBE_FACES)
    np.testing.assert_array_equal(WHITE, before)


def test_overlay_colours_people_apart_and_draws_the_nearer_last():
    large, small = cube([60, 60, 0], 60), cube([60, 60, 0], 20)
    picture = overlay(WHITE, [large, small], CUBE_FACES, opacity=1)
    alone = overlay(WHITE, [large], CUBE_FACES, opacity=1)
    np.testing.assert_array_equal(picture, alone)
    assert person_color(0) != person_color(1) and person_color(6) == person_color(0)


def test_turning_by_ninety_degrees_brings_the_right_to_the_front():
    box = np.array([[-1, -2, -0.5], [1, 2, 0.5]])
    turned = turn(box, 90)
    # The point with x = 1, at the right of the photograph, comes nearest to the viewer.
    np.testing.assert_allclose(turned[1], [0.5, 2, -1], atol=1e-12)
    np.testing.assert_allclose(turn(turned, -90), box, atol=1e-12)


@pytest.mark.parametrize("angle", [0, 90, 37])
def test_turned_view_fits_and_is_centred(angle):
    picture = turned_view(cube([5, -3, 2], 1.7), CUBE_FACES, angle, 100, 140)
    changed = (picture != 255).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert abs((rows.min() + rows.max()) / 2 - 49.5) < 1
    assert rows.min() > 2 and rows.max() < 97 and columns.min() > 2 and columns.max() < 137


def test_zoomed_crop_shows_the_same_place():
    image = np.zeros((400, 500, 3), np.uint8)
    image[195:206, 295:306] = 255
    crop, box = zoomed(image, CropBox([300, 200], 1.0), 448)
    assert box.scale == 2
    y, x = center_of_mass(crop[..., 0])
    np.testing.assert_allclose(box.to_crop([300, 200], 448), [x, y], atol=0.1)


def test_person_row_aligns_body_and_skeleton():
    box, camera = CropBox([80, 60], 1.5), np.array([0.8, 0.05, -0.1])
    weak = weak_perspective_px(camera, box)
    points = np.tile(weak.project(np.zeros(3))[:2], (19, 1))
    row = person_row(WHITE, box, points, cube([0, 0, 0], 0.3), weak, CUBE_FACES, size=200)
    assert row.shape == (200, 1200, 3)
    skeleton, body = ((part != 255).any(axis=2) for part in (row[:, 200:400], row[:, 400:600]))
    np.testing.assert_allclose(center_of_mass(skeleton), center_of_mass(body), atol=0.5)


def test_side_views_come_one_per_person():
    assert side_by_side(WHITE, [cube([0, 0, 0], 1)] * 2, CUBE_FACES).shape == (224, 448, 3)
    assert (side_by_side(WHITE, [], CUBE_FACES) == 255).all()
