"""The rasteriser against per-pixel arithmetic, and pictures of a cube and a ball."""

import subprocess
import sys

import numpy as np
import pytest

from hmr.rendering import mesh_arrays, mesh_loops
from hmr.rendering.rasterise import BACKGROUND, interpolate, rasterize, vertex_normals
from hmr.rendering.shade import render_mesh
from tests.helpers.shapes import CUBE_FACES, ball, cube, round_body

SQUARE = np.array([[0, 1, 2], [0, 2, 3]])


def inside_by_edges(corners, height, width):
    """Pixel centres strictly inside a triangle, and on its border, by edge functions."""
    y, x = np.mgrid[:height, :width].astype(float)
    edges = []
    for k in range(3):
        (x0, y0), (x1, y1) = corners[k, :2], corners[(k + 1) % 3, :2]
        edges.append((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
    edges = np.stack(edges)
    return (edges > 1e-9).all(0) | (edges < -1e-9).all(0), (abs(edges) <= 1e-9).any(0)


@pytest.mark.parametrize("cull", [False, True])
def test_loops_and_whole_arrays_give_the_same_bits(rng, cull):
    body = round_body()
    egg = body.v_template * [1, -1, -1] * 60 + [48, 30, 0], body.faces
    soup = rng.uniform(-20, 120, (90, 3)), rng.integers(0, 90, (300, 3))
    soup[0][7] = np.nan
    on_grid = np.rint(soup[0] / 10) * 10, soup[1]
    far = rng.choice([-1, 1, 1e6, 1e20, -1e20, 1e150, 1e300], (90, 3)) * soup[0], soup[1]
    for vertices, faces in (egg, soup, on_grid, far):
        by_arrays, by_loops = (
            drawn_by(mesh, vertices, faces, cull) for mesh in (mesh_arrays, mesh_loops)
        )
        assert (by_loops[1] >= 0).any()
        for values, same in zip(by_arrays, by_loops):
            assert values.tobytes() == same.tobytes()


def drawn_by(mesh, vertices, faces, cull):
    """Depth, face and weights of each pixel of a picture of 90 x 100."""
    depth, weights = np.full((90, 100), np.inf, np.float32), np.zeros((90, 100, 3), np.float32)
    face_id = np.full((90, 100), BACKGROUND, np.int32)
    mesh.draw_faces(vertices, faces, cull, depth, face_id)
    mesh.weigh_corners(vertices, faces, face_id, weights)
    return depth, face_id, weights


@pytest.mark.parametrize(
    "work", ["[rasterize(corners, face, 1024, 1024) for _ in range(4)]", "load_loops()"]
)
def test_loops_are_loaded_once_arrays_have_cost_as_much_or_on_demand(work):
    """In a process of its own, since other tests draw, too."""
    script = (
        "import sys; import numpy as np; from hmr.rendering.rasterise import load_loops, rasterize;"
        "corners, face = np.eye(3) * 40, np.array([[0, 1, 2]]);"
        f"first = rasterize(corners, face, 64, 64); assert 'numba' not in sys.modules; {work};"
        "last = rasterize(corners, face, 64, 64); assert 'numba' in sys.modules;"
        "assert first.covered.any() and (first.depth == last.depth).all()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_triangles_cover_the_pixel_centres_inside(rng):
    for _ in range(50):
        corners = rng.uniform(-10, 40, (3, 3))
        found = rasterize(corners, np.array([[0, 1, 2]]), 30, 32).covered
        inside, border = inside_by_edges(corners, 30, 32)
        assert not (found != inside)[~border].any()


def test_shared_edges_own_every_pixel_once(rng):
    """A fan of triangles around a point, corners on pixel centres: no gap and no overlap."""
    rim = np.array([[0, 0], [16, 0], [32, 0], [32, 32], [0, 32], [0, 20]], float)
    vertices = np.column_stack([np.vstack([[16, 16], rim]), np.ones(7)])
    faces = np.array([[0, k, k % 6 + 1] for k in range(1, 7)])
    counts = sum(rasterize(vertices, face[None], 32, 32).covered.astype(int) for face in faces)
    assert (counts == 1).all()


def test_nearer_face_wins_whatever_the_order():
    near = np.array([[2, 2, 1], [12, 2, 1], [12, 12, 1], [2, 12, 1]], float)
    vertices = np.vstack([near, near + [5, 5, 4]])
    for faces in (np.vstack([SQUARE, SQUARE + 4]), np.vstack([SQUARE + 4, SQUARE])):
        raster = rasterize(vertices, faces, 20, 20)
        assert raster.depth[8, 8] == 1 and raster.depth[14, 14] == 5
        assert np.isinf(raster.depth[0, 0]) and raster.face_id[0, 0] == BACKGROUND


def test_intersecting_faces_swap_where_their_depths_cross():
    tilted = np.array([[0, 0, 0], [20, 0, 10], [20, 20, 10], [0, 20, 0]], float)
    flat = tilted * [1, 1, 0] + [0, 0, 5]
    raster = rasterize(np.vstack([tilted, flat]), np.vstack([SQUARE, SQUARE + 4]), 20, 20)
    assert (raster.face_id[:, :10] < 2).all() and (raster.face_id[:, 11:] >= 2).all()


def test_values_and_depth_are_linear_in_the_picture(rng):
    corners = np.array([[1.3, 2.1, 3], [28.2, 5.7, 9], [9.4, 27.9, 6]])
    faces = np.array([[0, 1, 2]])
    raster = rasterize(corners, faces, 32, 32)
    found = interpolate(raster, faces, corners)
    y, x = np.nonzero(raster.covered)
    np.testing.assert_allclose(found[y, x, 0], x, atol=1e-4)
    np.testing.assert_allclose(found[y, x, 1], y, atol=1e-4)
    np.testing.assert_allclose(found[y, x, 2], raster.depth[y, x], atol=1e-4)
    np.testing.assert_allclose(raster.barycentric[raster.covered].sum(-1), 1, atol=1e-6)


def test_culling_keeps_the_picture_of_a_closed_surface():
    vertices, faces = ball(40, [50, 50, 0])
    full, culled = (rasterize(vertices, faces, 100, 100, cull=cull) for cull in (False, True))
    np.testing.assert_array_equal(full.face_id, culled.face_id)
    assert full.covered.sum() == pytest.approx(np.pi * 40**2, rel=0.01)
    assert full.depth.min() == pytest.approx(-40, abs=0.1)


def test_unusable_faces_are_left_out():
    vertices = np.array([[0, 0, 0], [9, 0, 0], [9, 9, 0], [np.nan, 1, 1], [1e30, 5, 0]], float)
    faces = np.array([[0, 1, 2], [0, 1, 3], [0, 0, 1], [0, 1, 1]])
    raster = rasterize(vertices, faces, 10, 10)
    assert set(np.unique(raster.face_id)) == {-1, 0}
    assert rasterize(vertices, np.array([[0, 4, 2]]), 10, 10).face_id.shape == (10, 10)


@pytest.mark.parametrize("index", [-1, 3])
def test_a_corner_that_is_no_vertex_is_refused(index):
    """Compiled code would read beside the array."""
    faces = np.array([[0, 1, index]])
    for draw in (
        lambda: rasterize(np.eye(3), faces, 4, 4),
        lambda: vertex_normals(np.eye(3), faces),
    ):
        with pytest.raises(IndexError, match=f"3 vertices. Received: .*{index}"):
            draw()


@pytest.mark.parametrize("shapes", [((4, 2), (1, 3)), ((4, 3), (1, 4)), ((4, 3), (0,))])
def test_other_shapes_are_refused(shapes):
    vertices, faces = np.zeros(shapes[0]), np.zeros(shapes[1], int)
    with pytest.raises(ValueError, match=r"vertices must be \(V, 3\) and faces \(F, 3\)"):
        rasterize(vertices, faces, 4, 4)


def test_nothing_to_see():
    empty = rasterize(np.zeros((0, 3)), np.zeros((0, 3), int), 4, 5)
    assert not empty.covered.any() and empty.barycentric.shape == (4, 5, 3)
    away = rasterize(cube([-50, 500, 0], 10), CUBE_FACES, 8, 8)
    assert not away.covered.any()


def test_normals_of_a_ball_point_outwards():
    vertices, faces = ball(2.0, [0, 0, 0])
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert (np.einsum("vc,vc->v", normals, vertices / 2) > 0.99).all()
    lonely = vertex_normals(np.vstack([vertices, [[9, 9, 9]]]), faces)
    assert (lonely[-1] == 0).all()


def test_cube_covers_its_pixels_and_hides_what_is_behind():
    background = np.full((60, 80, 3), 10, np.uint8)
    picture = render_mesh(cube([40, 30, 0], 20), CUBE_FACES, background)
    changed = (picture != background).any(axis=2)
    # The front lies at x from 30 to 50: 19 whole pixels and two half-covered ones a side.
    assert changed.sum() == 21**2 and changed[20:41, 30:51].all()
    front = render_mesh(cube([40, 30, -50], 8), CUBE_FACES, picture, color=(255, 0, 0))
    assert front[30, 40, 0] > 2 * front[30, 40, 2]


def test_edges_are_smooth():
    vertices, faces = ball(30.3, [40, 40, 0])
    picture = render_mesh(vertices, faces, np.zeros((80, 80, 3), np.uint8))
    row = picture[40, :, 1].astype(int)
    inside = row > 0
    edge = np.flatnonzero(inside)[[0, -1]]
    assert (row[edge] < 0.8 * row[edge + [2, -2]]).all()


def test_light_comes_from_above():
    vertices, faces = ball(30, [40, 40, 0])
    picture = render_mesh(vertices, faces, np.full((80, 80, 3), 255, np.uint8)).astype(int)
    assert picture[20, 40].sum() > picture[60, 40].sum() + 60


def test_a_mesh_outside_the_picture_leaves_it_as_it_is():
    white = np.full((5, 6, 3), 255, np.uint8)
    assert (render_mesh(cube([900, 0, 0], 1), CUBE_FACES, white) == 255).all()
