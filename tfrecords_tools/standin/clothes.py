"""Loose clothes, hair and hats: what `--clothes loose` puts over the painted body."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tfrecords_tools.standin.characters import Character, Outfit, sample_outfit

NUM_FOLDS = 5
BALD, HATTED = 0.07, 0.1
SKIRT_ODDS = 0.14
CLOTH_KINDS = ("tight", "loose")


@dataclass(frozen=True)
class Wear:
    """How far clothes and hair stand off the body; lengths in metres.

    Attributes:
        shirt_m, trousers_m, hair_m: mean distance from the skin.
        flare: how much wider trousers and skirts get towards the hem.
        fold_m: height of the folds.
        folds: (K, 4) waves of the folds: wave vector (rad/m) and phase.
        skirt: how far a skirt reaches down the leg, 0 at the hip to 1 at the ankle; 0 = no skirt.
        is_dress: the skirt is of the shirt's cloth.
        is_jacket: open in front, over a shirt of `inner`.
        inner, sole, lips, brows: further colours.
        grain, grain_px: strength and size of the cloth's mottling.
    """

    shirt_m: float
    trousers_m: float
    hair_m: float
    flare: float
    fold_m: float
    folds: np.ndarray
    skirt: float
    is_dress: bool
    is_jacket: bool
    inner: np.ndarray
    sole: np.ndarray
    lips: np.ndarray
    grain: float

    def heights(self, rest: np.ndarray) -> np.ndarray:
        """Height of the folds (P,), -1..1, at places on the body at rest (P, 3)."""
        waves = np.sin(rest @ self.folds[:, :3].T + self.folds[:, 3])  # (P, K)
        return waves.mean(axis=1)


def sample_wear(rng: np.random.Generator) -> Wear:
    """Clothes from close-fitting to wide."""
    lengths_m = rng.uniform(0.05, 0.28, size=NUM_FOLDS)
    direction = rng.normal(size=(NUM_FOLDS, 3)) * (1.4, 0.7, 1.4)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    waves = 2 * np.pi * direction / lengths_m[:, None]
    folds = np.concatenate([waves, rng.uniform(0, 2 * np.pi, (NUM_FOLDS, 1))], axis=1)
    has_skirt = rng.random() < SKIRT_ODDS
    return Wear(
        shirt_m=float(rng.choice([0.004, 0.012, 0.022, 0.035]) * rng.uniform(0.7, 1.3)),
        trousers_m=float(rng.choice([0.004, 0.012, 0.022, 0.036]) * rng.uniform(0.7, 1.3)),
        hair_m=float(rng.choice([0.006, 0.018, 0.035]) * rng.uniform(0.6, 1.4)),
        flare=float(rng.uniform(0.0, 1.2)),
        fold_m=float(rng.uniform(0.004, 0.02)),
        folds=folds,
        skirt=float(rng.uniform(0.3, 0.95)) if has_skirt else 0.0,
        is_dress=bool(rng.random() < 0.5),
        is_jacket=bool(rng.random() < 0.22),
        inner=rng.random(3),
        sole=np.clip(rng.normal(0.8, 0.3) * np.ones(3), 0.05, 1.0),
        lips=np.array([0.62, 0.3, 0.28]) * rng.uniform(0.6, 1.2),
        grain=float(rng.uniform(0.02, 0.14)),
    )


def sample_loose_outfit(rng: np.random.Generator, wear: Wear) -> Outfit:
    """An outfit whose shirt hangs over the trousers, in colours that people wear."""
    outfit = sample_outfit(rng)
    shirt = replace(outfit.shirt, colour=_worn(rng, outfit.shirt.colour))
    trousers = replace(outfit.trousers, colour=_worn(rng, outfit.trousers.colour))
    if wear.is_jacket:
        outfit = replace(outfit, sleeve=0.95, print_colour=None)
    if wear.skirt:
        outfit = replace(outfit, trouser=float(rng.choice([0.12, 0.95], p=[0.75, 0.25])))
    shoes = outfit.shoes if rng.random() < 0.4 else np.ones(3) * rng.choice([0.08, 0.2, 0.9])
    hem_m = float(rng.choice([0.02, 0.12, 0.2]) * rng.uniform(0.7, 1.2))
    return replace(outfit, shirt=shirt, trousers=trousers, shoes=shoes, hem_m=hem_m)


def _worn(rng: np.random.Generator, colour: np.ndarray) -> np.ndarray:
    """Most clothes are dark, grey, white or blue rather than of a pure colour."""
    kind = rng.random()
    if kind < 0.25:
        return np.ones(3) * rng.uniform(0.04, 0.3)
    if kind < 0.4:
        return np.ones(3) * rng.uniform(0.7, 1.0)
    if kind < 0.52:
        return np.array([0.16, 0.24, 0.42]) * rng.uniform(0.5, 1.7)
    return colour + rng.uniform(0.0, 0.7) * (colour.mean() - colour)


def vary_head(rng: np.random.Generator, character: Character) -> Character:
    """Now and then a bald head or a hat: a hat is hair of another colour."""
    kind = rng.random()
    if kind < BALD:
        return replace(character, hair=0.97 * character.skin, hair_length_m=0.0)
    if kind < BALD + HATTED:
        return replace(character, hair=rng.random(3), hair_length_m=0.01)
    return character
