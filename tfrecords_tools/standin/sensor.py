"""Lens, sensor and file of `--sensor rough`: what phones, videos and the web do to pictures."""

from __future__ import annotations

import cv2
import numpy as np

SENSORS = ("clean", "rough")
GREY, COARSE, SMEARED, DEFOCUSED, CAST = 0.06, 0.2, 0.15, 0.25, 0.5


def expose_roughly(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3), uint8, with blur, coarse pixels, colour casts, grain; sometimes grey."""
    sigma = rng.uniform(0.8, 2.2) if rng.random() < DEFOCUSED else rng.uniform(0.35, 0.8)
    seen = cv2.GaussianBlur(picture, (0, 0), sigma)
    if rng.random() < SMEARED:
        seen = cv2.filter2D(seen, -1, _streak(rng))
    if rng.random() < COARSE:
        seen = _coarsen(rng, seen)
    seen = cv2.LUT(seen, _response(rng))
    if rng.random() < GREY:
        seen = cv2.cvtColor(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return _add_grain(rng, seen)


def rough_quality(rng: np.random.Generator) -> int:
    """A JPEG quality from 30 to 95."""
    return int(rng.integers(30, 96))


def _streak(rng: np.random.Generator) -> np.ndarray:
    """A line of weights: motion blur of up to 9 pixels."""
    size = int(rng.choice([3, 5, 7, 9]))
    kernel = np.zeros((size, size), np.float32)
    angle = rng.uniform(0, np.pi)
    half = (size - 1) / 2
    reach = half * np.array([np.cos(angle), np.sin(angle)])
    first, last = (tuple(int(v) for v in np.rint(half + sign * reach)) for sign in (-1, 1))
    cv2.line(kernel, first, last, 1.0)
    return kernel / kernel.sum()


def _coarsen(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    factor = rng.uniform(0.35, 0.8)
    small = (max(int(width * factor), 8), max(int(height * factor), 8))
    how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[rng.integers(2)]
    coarse = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(coarse, (width, height), interpolation=how)


def _response(rng: np.random.Generator) -> np.ndarray:
    """Lookup table (256, 1, 3): gamma, gain, lift, and sometimes a colour cast."""
    level = np.linspace(0, 1, 256)[:, None]
    cast = rng.normal(0.0, 0.08, 3) if rng.random() < CAST else np.zeros(3)
    gain, lift = rng.uniform(0.8, 1.25) + cast, rng.uniform(-0.06, 0.06)
    values = gain * level ** rng.uniform(0.7, 1.25) + lift
    return np.clip(255 * values, 0, 255).astype(np.uint8)[:, None]


def _add_grain(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    deviation = rng.uniform(0, 9) if rng.random() < 0.7 else rng.uniform(0, 18)
    height, width = picture.shape[:2]
    channels = 3 if rng.random() < 0.5 else 1
    # Bytes are drawn many times as fast as normal numbers; two of them sum to nearly normal.
    first, second = rng.integers(0, 256, size=(2, height, width, channels), dtype=np.uint8)
    grain = np.add(first, second, dtype=np.float32) - np.float32(255)
    grain = np.rint(grain * np.float32(deviation / 104.5)).astype(np.int16)
    grain = grain if channels == 3 else cv2.merge([grain[..., 0]] * 3)
    return cv2.add(picture, grain, dtype=cv2.CV_8U)
