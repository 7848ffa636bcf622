"""The characters of the stand-in pictures: shape, skin, hair and clothes, drawn at random."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

NUM_BETAS = 10
BETA_LIMIT = 2.2
SKIN_TONES = np.array([
    (1.0, 0.86, 0.75), (0.92, 0.74, 0.60), (0.78, 0.58, 0.42), (0.55, 0.38, 0.27),
    (0.36, 0.24, 0.17),
])  # fmt: skip
HAIR_TONES = np.array([
    (0.09, 0.07, 0.06), (0.24, 0.15, 0.09), (0.42, 0.27, 0.14), (0.80, 0.64, 0.36),
    (0.62, 0.60, 0.58),
])  # fmt: skip
PATTERNS = ("plain", "rings", "bars", "checks", "dots")
PATTERN_ODDS = (0.52, 0.18, 0.1, 0.12, 0.08)

Colour = np.ndarray
"""(3,) RGB in 0..1."""


@dataclass(frozen=True)
class Character:
    """What stays the same of a person from picture to picture.

    Attributes:
        beta: (10,) SMPL shape.
        skin, hair: colours.
        hair_length_m: how far the hair falls below the eyes at the back of the head.
        bearded: the chin has the colour of the hair.
    """

    beta: np.ndarray
    skin: Colour
    hair: Colour
    hair_length_m: float
    bearded: bool


@dataclass(frozen=True)
class Cloth:
    """Two colours, the pattern that they make (a name of `PATTERNS`), and its period."""

    colour: Colour
    second: Colour
    pattern: str
    period_m: float


@dataclass(frozen=True)
class Outfit:
    """What a character wears in one picture.

    Attributes:
        sleeve: how far the shirt covers the arm, 0 at the shoulder to 1 at the wrist.
        trouser: how far the trousers cover the leg, 0 at the hip to 1 at the ankle.
        print_colour: colour of a patch on the chest, None for no patch.
        hem_m: how far the shirt hangs below the waist, over the trousers.
    """

    shirt: Cloth
    trousers: Cloth
    shoes: Colour
    sleeve: float
    trouser: float
    print_colour: Colour | None
    hem_m: float = 0.0


def sample_character(rng: np.random.Generator) -> Character:
    """One person."""
    return Character(
        beta=sample_betas(rng, 1)[0],
        skin=_between(rng, SKIN_TONES),
        hair=_between(rng, HAIR_TONES),
        hair_length_m=float(rng.choice([0.02, 0.08, 0.2, 0.3], p=[0.35, 0.3, 0.2, 0.15])),
        bearded=bool(rng.random() < 0.15),
    )


def sample_betas(rng: np.random.Generator, count: int) -> np.ndarray:
    """SMPL shapes (count, 10): standard normal, clipped to +-2.2."""
    return np.clip(rng.normal(size=(count, NUM_BETAS)), -BETA_LIMIT, BETA_LIMIT)


def sample_outfit(rng: np.random.Generator) -> Outfit:
    """Clothes for one picture; shirt and trousers always differ clearly in colour."""
    shirt = _sample_cloth(rng)
    trousers = _sample_cloth(rng)
    while np.abs(shirt.colour - trousers.colour).sum() < 0.5:
        trousers = _sample_cloth(rng)
    return Outfit(
        shirt=shirt,
        trousers=trousers,
        shoes=_sample_colour(rng),
        sleeve=float(rng.choice([0.12, 0.35, 0.55, 0.97], p=[0.15, 0.35, 0.15, 0.35])),
        trouser=float(rng.choice([0.22, 0.45, 0.7, 0.97], p=[0.15, 0.2, 0.1, 0.55])),
        print_colour=_sample_colour(rng) if rng.random() < 0.5 else None,
    )


def _between(rng: np.random.Generator, tones: np.ndarray) -> Colour:
    """A random colour between two neighbouring tones."""
    place = rng.uniform(0, len(tones) - 1)
    below = int(place)
    return tones[below] + (place - below) * (tones[below + 1] - tones[below])


def _sample_cloth(rng: np.random.Generator) -> Cloth:
    return Cloth(
        colour=_sample_colour(rng),
        second=_sample_colour(rng),
        pattern=str(rng.choice(PATTERNS, p=PATTERN_ODDS)),
        period_m=float(rng.uniform(0.05, 0.14)),
    )


def _sample_colour(rng: np.random.Generator) -> Colour:
    hue, saturation, value = rng.random(), rng.beta(2.0, 1.2), rng.uniform(0.15, 1.0)
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value))
