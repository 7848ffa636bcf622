"""Closed meshes for tests: x right, y down, z away; and a round body with SMPL's counts."""

import dataclasses

import numpy as np

from hmr.body.model_file import BodyModel
from tests.helpers import golden_inputs

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


def round_body() -> BodyModel:
    """An egg of 6890 vertices and 13776 faces that bends about the made body's joints."""
    rings, columns = 84, 82
    polar = np.linspace(0, np.pi, rings + 2)[1:-1]
    around = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    t, p = np.meshgrid(polar, around, indexing="ij")
    belt = np.stack([np.sin(t) * np.cos(p), np.cos(t), np.sin(t) * np.sin(p)], -1).reshape(-1, 3)
    vertices = np.vstack([belt, [[0, 1, 0], [0, -1, 0]]]) * [0.3, 0.85, 0.2] - [0, 0.3, 0]
    made = golden_inputs.made_body()
    joints = made.joint_regressor @ made.v_template
    distance = np.linalg.norm(vertices[:, None] - joints, axis=2)
    closeness = np.where(distance <= np.sort(distance, axis=1)[:, 3:4], distance**-4.0, 0)
    nearest = (distance == distance.min(axis=0)).T.astype(np.float32)
    changes = {
        "v_template": vertices,
        "shapedirs": vertices[..., None] * np.linspace(0.01, 0.05, 10),
        "posedirs": np.zeros_like(made.posedirs),
        "lbs_weights": closeness / closeness.sum(axis=1, keepdims=True),
        "joint_regressor": nearest / nearest.sum(axis=1, keepdims=True),
        "cocoplus_regressor": nearest[:19] / nearest[:19].sum(axis=1, keepdims=True),
    }
    single = {key: np.ascontiguousarray(value, np.float32) for key, value in changes.items()}
    return dataclasses.replace(made, faces=_egg_faces(rings, columns), source="egg", **single)


def _egg_faces(rings: int, columns: int) -> np.ndarray:
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(columns), indexing="ij")
    a, b = row * columns + column, row * columns + (column + 1) % columns
    low = np.stack([a, b, a + columns], -1).reshape(-1, 3)
    high = np.stack([b, b + columns, a + columns], -1).reshape(-1, 3)
    ring = np.arange(columns)
    top, bottom = rings * columns, rings * columns + 1
    last = (rings - 1) * columns
    up = np.stack([np.full(columns, top), (ring + 1) % columns, ring], -1)
    down = np.stack([np.full(columns, bottom), last + ring, last + (ring + 1) % columns], -1)
    return np.concatenate([low, high, up, down]).astype(np.int32)
