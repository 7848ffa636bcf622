"""Where people stand: in the frame, cut off by its edges on purpose, or beside each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfrecords_tools.standin.scene import BODY_HEIGHT_M, Lens, SceneStyle, View, sample_pelvis

FRAMINGS = ("whole", "cut")
PERSON_PX = {"whole": (140.0, 190.0), "cut": (120.0, 260.0)}
"""Heights of people of 1.7 m in frames of 320 px."""
NEAREST_M = 1.5
CUTS = ("upper", "legs", "side", "corner")
CUT_ODDS = (0.45, 0.12, 0.28, 0.15)
PELVIS_FROM_TOP = 0.51
PLACES = (
    # odds, then distance relative to the person's, and metres to the side
    (0.35, (0.6, 0.9), (0.3, 0.9)),
    (0.35, (0.9, 1.2), (0.3, 1.1)),
    (0.3, (1.2, 3.0), (0.0, 2.0)),
)
"""Bystanders in front, beside and behind."""


def place_person(rng: np.random.Generator, lens: Lens, style: SceneStyle) -> np.ndarray:
    """A place for the pelvis (3,), metres, camera frame."""
    if style.framing == "whole":
        pelvis_m = sample_pelvis(rng, lens, style)
    elif rng.random() < style.truncation_odds:
        pelvis_m = _cut(rng, lens)
    else:
        pelvis_m = sample_pelvis(rng, lens, replace(style, truncation_odds=0.0))
    if style.cameras == "any":
        # Nobody comes so close to a wide lens that a hand could pass it.
        pelvis_m = pelvis_m * max(1.0, NEAREST_M / pelvis_m[2])
    return pelvis_m


def _cut(rng: np.random.Generator, lens: Lens) -> np.ndarray:
    """A place from which an upright person is seen in part: upper body, legs or one half."""
    kind = CUTS[rng.choice(len(CUTS), p=CUT_ODDS)]
    width, height = lens.width, lens.height
    x, size_px = width * rng.uniform(0.3, 0.7), height * rng.uniform(0.6, 1.1)
    y = height * rng.uniform(0.4, 0.6)
    margin = height * rng.uniform(-0.03, 0.2)
    if kind in ("upper", "corner"):
        size_px = (height - margin) / rng.uniform(0.4, 0.85)
        y = margin + PELVIS_FROM_TOP * size_px
    elif kind == "legs":
        size_px = (height - margin) / rng.uniform(0.45, 0.75)
        y = height - margin - (1.0 - PELVIS_FROM_TOP) * size_px
    if kind in ("side", "corner"):
        inwards = size_px * rng.uniform(-0.05, 0.15)
        x = inwards if rng.random() < 0.5 else width - 1 - inwards
    return lens.unproject(np.array([x, y]), lens.focal_px * BODY_HEIGHT_M / size_px)


def place_bystanders(
    rng: np.random.Generator, view: View, pelvis_m: np.ndarray
) -> list[np.ndarray]:
    """Places of one to three others on the floor of a person, metres, camera frame."""
    up = view.rotation().apply([0.0, 1.0, 0.0])
    ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
    ahead = ahead / max(float(np.linalg.norm(ahead)), 0.2)
    aside = np.cross(up, ahead)
    odds = [place[0] for place in PLACES]
    places = []
    for _ in range(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])):
        _, distances, sides = PLACES[rng.choice(len(PLACES), p=odds)]
        depth = (rng.uniform(*distances) - 1.0) * pelvis_m[2]
        side = rng.choice([-1, 1]) * rng.uniform(*sides)
        place = pelvis_m + depth * ahead + side * aside + rng.normal(0.0, 0.1) * up
        if place[2] > NEAREST_M:
            places.append(place)
    return places
