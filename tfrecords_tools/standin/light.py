"""Light of `--light varied`: a sky, a floor and up to three coloured lamps, and dark corners."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

LIGHTS = ("plain", "varied")
CORNER_M = 0.12


@dataclass(frozen=True)
class Lighting:
    """Directions to the lamps (L, 3), camera frame; colours (L, 3), of sky and floor (3,)."""

    directions: np.ndarray
    colours: np.ndarray
    sky: np.ndarray
    floor: np.ndarray
    corners: float


def sample_lighting(rng: np.random.Generator, background: np.ndarray) -> Lighting:
    """Lamps of any colour; the ambient light partly takes the mean colour of the background."""
    count = int(rng.integers(1, 4))
    directions = rng.normal(size=(count, 3)) * (1.0, 0.8, 0.8) - (0.0, 0.7, 0.5)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    warmth = rng.normal(0.0, 0.12, size=(count, 1)) * (1.0, 0.1, -1.0)
    colours = np.clip(1.0 + warmth + rng.normal(0.0, 0.05, (count, 3)), 0.3, 1.6)
    if rng.random() < 0.1:
        colours *= rng.uniform(0.3, 1.3, size=(count, 3))
    strength = rng.dirichlet(np.ones(count))[:, None] * rng.uniform(0.4, 1.1)
    mean = background[::8, ::8].reshape(-1, 3).mean(axis=0) / 255.0
    ambient = 1.0 + rng.uniform(0.0, 0.5) * (mean / (mean.mean() + 0.05) - 1.0)
    level = rng.uniform(0.4, 0.75)
    return Lighting(
        directions,
        colours * strength,
        level * ambient * rng.uniform(0.9, 1.3),
        level * ambient * rng.uniform(0.4, 0.9),
        float(rng.uniform(0.1, 0.5)),
    )


def shade(normals: np.ndarray, lighting: Lighting) -> np.ndarray:
    """(P, 3) brightness: Lambert's law for the lamps, sky above and floor below."""
    lamps = np.maximum(normals @ lighting.directions.T, 0.0) @ lighting.colours
    upwards = 0.5 - 0.5 * normals[:, 1:2]
    return lamps + lighting.floor + upwards * (lighting.sky - lighting.floor)


def darken_corners(depth_m: np.ndarray, strength: float) -> np.ndarray:
    """(H, W) factors up to 1: what lies behind its surroundings gets less ambient light."""
    if depth_m.size == 0:  # everybody is outside the picture
        return np.ones(depth_m.shape)
    covered = np.isfinite(depth_m)
    weight = covered.astype(np.float32)
    depth = np.where(covered, depth_m, 0.0).astype(np.float32)
    size = max(2.0, 0.02 * max(depth_m.shape))
    near = cv2.GaussianBlur(depth, (0, 0), size) / (cv2.GaussianBlur(weight, (0, 0), size) + 1e-3)
    return 1.0 - strength * np.clip((depth - near) / CORNER_M, 0.0, 1.0)
