"""Closed meshes for tests: x right, y down, z away."""

import numpy as np

# Counter-clockwise from outside, for axes x right, y down, z away.
CUBE_FACES = np.array([
    [0, 2, 1], [0, 3, 2], [4, 5, 6], [4, 6, 7], [0, 1, 5], [0, 5, 4],
    [1, 2, 6], [1, 6, 5], [2, 3, 7], [2, 7, 6], [3, 0, 4], [3, 4, 7],
])  # fmt: skip


def cube(center, side):
    corners = [(-1, -1, -1), (1, -1, -1), (1, 1, -1), (-1, 1, -1)]
    corners += [(x, y, 1) for x, y, _ in corners]
    return np.array(corners) * side / 2 + center


def ball(radius, center, rings=40, columns=80):
    polar = np.linspace(0.02, np.pi - 0.02, rings + 1)
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    t, p = np.meshgrid(polar, around, indexing="ij")
    points = np.stack([np.sin(t) * np.cos(p), np.cos(t), np.sin(t) * np.sin(p)], -1)
    row, column = np.meshgrid(np.arange(rings), np.arange(columns), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    low, high = np.stack([a, b, a + columns], -1), np.stack([b, b + columns, a + columns], -1)
    faces = np.concatenate([low.reshape(-1, 3), high.reshape(-1, 3)])
    return points.reshape(-1, 3) * radius + center, faces
