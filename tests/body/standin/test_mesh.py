"""Meshing of implicit surfaces: what comes out is a clean half surface of the wanted size."""

import numpy as np
import pytest

from hmr.body.standin.form import body_field
from hmr.body.standin.mesh import (
    edges_of,
    half_surface,
    mirror_whole,
    relax,
    simplify,
    to_surface,
)

RADIUS_M = 0.1


def ball_field(points_m):
    return np.linalg.norm(points_m, axis=1) - RADIUS_M


@pytest.fixture(scope="module")
def half_ball():
    return half_surface(ball_field)


def test_half_surface_lies_on_the_field_and_faces_outward(half_ball):
    vertices_m, faces = half_ball
    assert vertices_m[:, 0].min() == 0.0
    np.testing.assert_allclose(np.linalg.norm(vertices_m, axis=1), RADIUS_M, atol=2.5e-3)
    corners = vertices_m[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fc,fc->f", normal, corners.mean(axis=1)) > 0).all()


def test_half_surface_has_one_border_on_the_mirror_plane(half_ball):
    vertices_m, faces = half_ball
    edges, opposite = edges_of(faces)
    border = edges[(opposite < 0).any(axis=1)]
    assert (vertices_m[border, 0] == 0).all()
    assert len(vertices_m) - len(edges) + len(faces) == 1
    assert len(np.unique(border)) == len(border)


@pytest.fixture(scope="module")
def half_skull():
    """The figure above the mouth: a small closed piece with detail."""
    return half_surface(lambda points_m: np.maximum(body_field(points_m), 0.40 - points_m[:, 1]))


@pytest.mark.parametrize("count", [1200, 1201, 900])
def test_simplify_reaches_any_count_and_keeps_the_surface_whole(half_skull, count):
    vertices_m, faces = simplify(*half_skull, count)
    whole_m, whole_faces, _ = mirror_whole(vertices_m, faces)
    assert len(whole_m) == count
    assert len(whole_faces) == 2 * count - 4
    edges, opposite = edges_of(whole_faces)
    assert (opposite >= 0).all()
    assert len(edges) == 3 * count - 6


@pytest.mark.slow
def test_relax_keeps_the_counts_and_evens_the_triangles():
    start_m, start_faces = half_surface(body_field)
    vertices_m, faces = simplify(start_m, start_faces, 3000)
    relaxed_m, relaxed_faces = relax(vertices_m, faces)
    assert relaxed_m.shape == vertices_m.shape
    assert relaxed_faces.shape == faces.shape
    assert median_smallest_angle_deg(relaxed_m, relaxed_faces) > median_smallest_angle_deg(
        vertices_m, faces
    )
    assert np.abs(body_field(relaxed_m)).max() < 2e-3


def median_smallest_angle_deg(vertices_m, faces) -> float:
    corners = vertices_m[faces]
    angles = []
    for i in range(3):
        u, v = corners[:, i - 1] - corners[:, i], corners[:, i - 2] - corners[:, i]
        cosine = np.einsum("fc,fc->f", u, v) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
        angles.append(np.arccos(np.clip(cosine, -1, 1)))
    return float(np.rad2deg(np.median(np.min(angles, axis=0))))


def test_mirror_partners_undo_themselves(half_ball):
    *_, partners = mirror_whole(*half_ball)
    np.testing.assert_array_equal(partners[partners], np.arange(len(partners)))


def test_to_surface_keeps_the_border_on_the_plane():
    points_m = np.array([[0.0, -0.10, 0.12], [0.16, -0.05, 0.0], [0.10, -0.50, 0.10]])
    moved_m = to_surface(points_m)
    assert moved_m[0, 0] == 0.0
    np.testing.assert_allclose(body_field(moved_m), 0.0, atol=1e-4)
