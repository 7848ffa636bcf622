"""Backgrounds of the stand-in pictures: gradients, rooms, clutter; plain or loud."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

from tfrecords_tools.standin.photos import crop_photo
from tfrecords_tools.standin.textures import draw_scenery

STYLES = ("plain", "loud", "rich")
PHOTO_SHARE, RICH_SHARE = 0.85, 0.85


def draw_background(rng: np.random.Generator, height: int, width: int, style: str) -> np.ndarray:
    """A background.

    Args:
        style: "plain": muted walls, rooms and a few things; "loud": strong colours, textures and
            clutter everywhere. "rich" is loud here.
    Returns:
        (height, width, 3) RGB, uint8.
    """
    loud = style != "plain"
    bases = (_gradient, _room, _blotches, _stripes) if loud else (_gradient, _room)
    picture = bases[rng.integers(len(bases))](rng, height, width, loud)
    for _ in range(rng.integers(12, 40) if loud else rng.integers(0, 6)):
        draw_shape(rng, picture, _random_box(rng, height, width), background_colour(rng, loud))
    return picture


def choose_background(
    rng: np.random.Generator, height: int, width: int, style: str, photos: tuple[str, ...]
) -> np.ndarray:
    """A background (height, width, 3) of a style, mostly part of a photograph if there are any."""
    if photos and rng.random() < PHOTO_SHARE:
        return crop_photo(rng, photos, height, width)
    if style == "rich" and rng.random() < RICH_SHARE:
        return draw_scenery(rng, height, width)
    return draw_background(rng, height, width, style)


def background_colour(rng: np.random.Generator, loud: bool) -> tuple[int, int, int]:
    """RGB 0..255; muted unless `loud`."""
    saturation = rng.beta(2.0, 1.2) if loud else 0.35 * rng.random()
    colour = colorsys.hsv_to_rgb(rng.random(), saturation, rng.uniform(0.15, 0.95))
    return tuple(int(255 * channel) for channel in colour)  # type: ignore[return-value]


def draw_shape(
    rng: np.random.Generator,
    picture: np.ndarray,
    box: tuple[int, int, int, int],
    colour: tuple[int, ...],
) -> None:
    """Draws a filled rectangle, ellipse, polygon or bar into the box (x, y, w, h), in place."""
    x, y, w, h = box
    kind = rng.integers(4)
    if kind == 0:
        cv2.rectangle(picture, (x, y), (x + w, y + h), colour, -1)
    elif kind == 1:
        middle, radii = (x + w // 2, y + h // 2), (max(w // 2, 1), max(h // 2, 1))
        cv2.ellipse(picture, middle, radii, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    elif kind == 2:
        points = np.stack([x + w * rng.random(6), y + h * rng.random(6)], axis=1)
        cv2.fillPoly(picture, [cv2.convexHull(points.astype(np.int32))], colour)
    else:
        cv2.line(picture, (x, y), (x + w, y + h), colour, int(max(3, 0.15 * min(w, h))))


def _gradient(rng: np.random.Generator, height: int, width: int, loud: bool) -> np.ndarray:
    corners = np.array([background_colour(rng, loud) for _ in range(4)], np.float32)
    if not loud:
        corners = corners[0] + 0.35 * (corners - corners[0])
    return _stretch(corners.reshape(2, 2, 3), height, width)


def _blotches(rng: np.random.Generator, height: int, width: int, loud: bool) -> np.ndarray:
    cells = int(rng.integers(4, 28))
    coarse = rng.integers(0, 255, size=(cells, cells, 3)).astype(np.float32)
    return _stretch(coarse, height, width, cv2.INTER_CUBIC)


def _stripes(rng: np.random.Generator, height: int, width: int, loud: bool) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 50)
    wave = np.mod((x * np.cos(angle) + y * np.sin(angle)) / period, 1.0) < rng.uniform(0.3, 0.7)
    first, second = (np.array(background_colour(rng, loud), np.uint8) for _ in range(2))
    return np.where(wave[..., None], first, second)


def _room(rng: np.random.Generator, height: int, width: int, loud: bool) -> np.ndarray:
    """A wall with things on it and a floor with boards."""
    picture = np.empty((height, width, 3), np.uint8)
    wall = background_colour(rng, loud)
    horizon = int(height * rng.uniform(0.45, 0.85))
    cv2.rectangle(picture, (0, 0), (width, horizon), wall, -1)
    cv2.rectangle(picture, (0, horizon), (width, height), background_colour(rng, loud), -1)
    for _ in range(rng.integers(0, 4)):
        x, y, w, h = _random_box(rng, horizon, width)
        cv2.rectangle(picture, (x, y), (x + w, y + h), background_colour(rng, loud), -1)
        cv2.rectangle(picture, (x, y), (x + w, y + h), background_colour(rng, loud), 2)
    board = background_colour(rng, loud)
    vanishing_x = int(width * rng.uniform(-0.2, 1.2))
    if rng.random() < 0.5:
        for foot_x in range(-2 * width, 3 * width, int(rng.integers(20, 60))):
            top_x = vanishing_x + (foot_x - vanishing_x) // 3
            cv2.line(picture, (top_x, horizon), (foot_x, height), board, 1, cv2.LINE_AA)
    cv2.line(picture, (0, horizon), (width, horizon), board, int(rng.integers(1, 6)))
    return picture


def _stretch(
    coarse: np.ndarray, height: int, width: int, how: int = cv2.INTER_LINEAR
) -> np.ndarray:
    return np.clip(cv2.resize(coarse, (width, height), interpolation=how), 0, 255).astype(np.uint8)


def _random_box(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    w, h = int(width * rng.uniform(0.05, 0.35)), int(height * rng.uniform(0.05, 0.4))
    return int(rng.integers(-w // 2, width)), int(rng.integers(-h // 2, height)), w, h
