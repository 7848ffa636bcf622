"""Procedural textures: octaves of noise between a few colours, and things made of them."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np


def noise_texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(height, width, 3) RGB, uint8: noise from coarse to fine, blurred, stretched, in colours."""
    cells = rng.uniform(1.5, 6.0)
    stretch = np.exp(rng.normal(0.0, 0.6))
    total = np.zeros((height, width), np.float32)
    decay = rng.uniform(0.35, 0.75)
    for octave in range(5):
        rows = min(max(int(cells * stretch), 2), height)
        columns = min(max(int(cells / stretch), 2), width)
        coarse = rng.integers(0, 256, size=(rows, columns), dtype=np.uint8).astype(np.float32)
        total += decay**octave * cv2.resize(
            coarse, (width, height), interpolation=cv2.INTER_CUBIC if octave < 3 else 1
        )
        cells *= 2.1
    low, high = total.min(), total.max()
    index = np.clip((total - low) * (255 / (high - low + 1e-6)), 0, 255).astype(np.uint8)
    return cv2.LUT(cv2.merge([index] * 3), _palette(rng))


def muted_colour(rng: np.random.Generator) -> np.ndarray:
    """(3,) RGB 0..255, mostly of low saturation as walls, ground and plants are."""
    saturation = rng.beta(1.3, 2.5)
    return 255 * np.array(colorsys.hsv_to_rgb(rng.random(), saturation, rng.beta(2.0, 1.7)))


def draw_scenery(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A background of textures: a wall or sky above ground, and things in front of them."""
    picture = noise_texture(rng, height, width)
    if rng.random() < 0.7:
        horizon = int(height * rng.uniform(0.3, 0.9))
        ground = noise_texture(rng, height, width)
        picture[horizon:] = ground[horizon:]
        if rng.random() < 0.5:
            cv2.line(picture, (0, horizon), (width, horizon), muted_colour(rng), 2)
    for _ in range(rng.integers(0, 12)):
        draw_thing(rng, picture, _any_box(rng, height, width))
    sigma = rng.uniform(0.0, 2.5) if rng.random() < 0.6 else 0.0
    return cv2.GaussianBlur(picture, (0, 0), sigma) if sigma > 0.3 else picture


def draw_thing(
    rng: np.random.Generator, picture: np.ndarray, box: tuple[int, int, int, int]
) -> np.ndarray:
    """Draws a textured thing with light and shade into the box (x, y, w, h), in place.

    Returns:
        (H, W) bool, the pixels it covers.
    """
    mask = np.zeros(picture.shape[:2], np.uint8)
    _draw_outline(rng, mask, box)
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0 or h == 0:
        return mask > 0
    texture = noise_texture(rng, h, w).astype(np.float32)
    slope = np.linspace(rng.uniform(0.5, 1.2), rng.uniform(0.5, 1.2), w)[None, :, None]
    texture = np.clip(texture * slope.astype(np.float32), 0, 255).astype(np.uint8)
    covered = mask[y : y + h, x : x + w] > 0
    picture[y : y + h, x : x + w][covered] = texture[covered]
    return mask > 0


def _draw_outline(
    rng: np.random.Generator, mask: np.ndarray, box: tuple[int, int, int, int]
) -> None:
    x, y, w, h = box
    middle, kind = (x + w / 2, y + h / 2), rng.integers(4)
    if kind == 0:
        corners = cv2.boxPoints((middle, (w, h), float(rng.normal(0, 15))))
        cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
    elif kind == 1:
        size = (max(w, 2), max(h, 2))
        cv2.ellipse(mask, (middle, size, float(rng.uniform(0, 180))), 1, -1)
    elif kind == 2:
        turn = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radius = rng.uniform(0.5, 1.0, 9)
        points = np.stack(
            [
                middle[0] + 0.6 * w * radius * np.cos(turn),
                middle[1] + 0.6 * h * radius * np.sin(turn),
            ],
            axis=1,
        )
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    else:
        start, stop = (x, int(y + h * rng.random())), (x + w, int(y + h * rng.random()))
        cv2.line(mask, start, stop, 1, int(max(3, rng.uniform(0.08, 0.3) * min(w, h))))


def _any_box(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    w = int(width * rng.uniform(0.04, 0.5)) + 2
    h = int(height * rng.uniform(0.05, 0.7)) + 2
    return int(rng.integers(-w // 2, width)), int(rng.integers(-h // 2, height)), w, h


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Lookup table (256, 1, 3) through a few colours near each other or far apart."""
    count = int(rng.integers(2, 5))
    first = muted_colour(rng)
    others = np.stack([muted_colour(rng) for _ in range(count)])
    colours = first + rng.uniform(0.15, 1.0) * (others - first)
    at = np.linspace(0, 255, count)
    table = np.stack([np.interp(np.arange(256), at, channel) for channel in colours.T], axis=1)
    return np.clip(table, 0, 255).astype(np.uint8)[:, None]
