"""Shaded pictures of meshes: smooth normals, three soft lights, clean edges."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hmr.rendering.rasterise import interpolate, rasterize, vertex_normals

# Direction to each light (x right, y down, z away from the viewer), strength, RGB tint: a warm key
# light from the upper left, a cool fill from the right, a rim light from behind.
_LIGHTS = (
    ((-0.50, -0.70, -0.65), 0.78, (1.00, 0.97, 0.92)),
    ((0.85, 0.05, -0.40), 0.20, (0.88, 0.94, 1.00)),
    ((0.30, -0.55, 0.75), 0.22, (0.95, 0.97, 1.00)),
)
_SKY, _GROUND = 0.24, 0.10
_SHINE, _SHININESS = 0.12, 20.0
# Surfaces that turn away from the viewer darken by this much: limbs stand out from the trunk.
_EDGE_DARKENING = 0.35
_EXPOSURE = 1.35
_VIEWER = np.array([0.0, 0.0, -1.0], np.float32)
_GAMMA = 2.2
_SMOOTH_EDGE_UP_TO_PX = 512
_BAND_PIXELS = 1 << 19
SKIN_BLUE = (166, 189, 219)


def shade(normals: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Light on unit normals (N, 3), camera's axes -> linear RGB (N, 3), 0 to 1 and above."""
    albedo = (np.array(color, np.float32) / 255) ** _GAMMA
    upwards = 0.5 - 0.5 * normals[:, 1:2]
    light = np.repeat(_GROUND + (_SKY - _GROUND) * upwards, 3, axis=1)
    shine = np.zeros_like(light)
    for direction, strength, tint in _LIGHTS:
        towards = _unit(np.array(direction, np.float32))
        # Light wraps around the edge of the shadow, as that of a large lamp does.
        facing = np.clip((normals @ towards[:, None] + 0.2) / 1.2, 0, 1)
        light += strength * facing**1.5 * np.array(tint, np.float32)
        highlight = np.clip(normals @ _unit(towards + _VIEWER)[:, None], 0, 1)
        shine += strength * highlight**_SHININESS
    frontal = np.clip(normals @ _VIEWER[:, None], 0, 1)
    darkening = 1 - _EDGE_DARKENING * (1 - frontal) ** 2
    return (albedo * light * darkening + _SHINE * shine * albedo) * _EXPOSURE


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


class Band(NamedTuple):
    """Some rows of a drawn mesh.

    Attributes:
        rows, columns: where it lies in the picture.
        color: (h, w, 3) float32 RGB, 0 to 255.
        coverage: (h, w, 1) float32, the covered part of each pixel, 0 to 1.
    """

    rows: slice
    columns: slice
    color: np.ndarray
    coverage: np.ndarray


def render_bands(
    vertices_px: np.ndarray,
    faces: np.ndarray,
    height: int,
    width: int,
    color: tuple[int, int, int] = SKIN_BLUE,
) -> Iterator[Band]:
    """A closed mesh drawn a few rows at a time, so that memory stays bounded in large pictures.

    Args:
        vertices_px: (V, 3) x right, y down, z away, all in pixels of the picture.
        faces: (F, 3), counter-clockwise seen from outside.
        height: of the picture.
        width: of the picture.
        color: RGB, 0 to 255.
    """
    vertices = np.asarray(vertices_px, np.float64)
    top, bottom, left, right = _covered_window(vertices, height, width)
    if top >= bottom or left >= right:
        return
    supersample = 3 if max(bottom - top, right - left) <= _SMOOTH_EDGE_UP_TO_PX else 2
    lit = shade(vertex_normals(vertices, faces), color)
    num_rows = max(1, _BAND_PIXELS // (right - left))
    for first in range(top, bottom, num_rows):
        last = min(first + num_rows, bottom)
        shifted = vertices - (left, first, 0)
        mean = _sample_mean(shifted, faces, lit, (last - first, right - left), supersample)
        coverage = mean[..., 3:]
        linear = mean[..., :3] / np.maximum(coverage, 1e-6)
        bytes_rgb = 255 * np.clip(linear, 0, 1) ** (1 / _GAMMA)
        yield Band(slice(first, last), slice(left, right), bytes_rgb, coverage)


def _sample_mean(
    vertices_px: np.ndarray,
    faces: np.ndarray,
    lit: np.ndarray,
    window: tuple[int, int],
    supersample: int,
) -> np.ndarray:
    """Mean of each pixel's samples: linear RGB times coverage, and coverage, (H, W, 4)."""
    height, width = window
    # Sample k of pixel j lies at j + (k + 1/2) / supersample - 1/2.
    fine = (vertices_px + (0.5, 0.5, 0)) * (supersample, supersample, 1) - (0.5, 0.5, 0)
    raster = rasterize(fine, faces, height * supersample, width * supersample, cull=True)
    samples = interpolate(raster, faces, np.column_stack([lit, np.ones(len(lit), np.float32)]))
    # Adding slices is five times as fast as `mean(axis=(1, 3))`, with the same bits.
    offsets = itertools.product(range(supersample), repeat=2)
    slices = (samples[row::supersample, column::supersample] for row, column in offsets)
    return functools.reduce(np.add, slices) / np.float32(supersample**2)  # (H, W, 4)


def _covered_window(vertices: np.ndarray, height: int, width: int) -> tuple[int, int, int, int]:
    """First and one-past-last row, first and one-past-last column that the mesh may touch."""
    finite = vertices[np.isfinite(vertices).all(axis=1)]
    if len(finite) == 0:
        return 0, 0, 0, 0
    low, high = finite[:, :2].min(axis=0), finite[:, :2].max(axis=0)
    left, top = np.clip(np.floor(low), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(high) + 1, 0, (width, height)).astype(int)
    return top, bottom, left, right


def render_mesh(
    vertices_px: np.ndarray,
    faces: np.ndarray,
    image: np.ndarray,
    color: tuple[int, int, int] = SKIN_BLUE,
    opacity: float = 1.0,
) -> np.ndarray:
    """A closed mesh drawn over a picture.

    Args:
        vertices_px: (V, 3) x right, y down, z away, in pixels of the picture.
        faces: (F, 3), counter-clockwise seen from outside.
        image: (H, W, 3) uint8 RGB behind the mesh.
        color: of the mesh, RGB.
        opacity: of the mesh, 0 to 1.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = image.copy()
    height, width = image.shape[:2]
    for band in render_bands(vertices_px, faces, height, width, color):
        behind = canvas[band.rows, band.columns]
        alpha = band.coverage * opacity
        behind[:] = np.rint(behind * (1 - alpha) + band.color * alpha)
    return canvas
