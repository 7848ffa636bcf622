"""Details that make painted people look dressed: face, mottled cloth, seams, jackets, soles."""

from __future__ import annotations

import numpy as np

from tfrecords_tools.standin.characters import Character, Outfit
from tfrecords_tools.standin.clothes import Wear
from tfrecords_tools.standin.paint import Landmarks, dressed_parts

BROW_RADII_M, BROW_ABOVE_EYE_M = (0.017, 0.005), 0.019
NOSE_RADII_M, SKIN_DARKER = (0.013, 0.007), 0.72


def add_details(
    colour: np.ndarray,
    rest: np.ndarray,
    marks: Landmarks,
    character: Character,
    outfit: Outfit,
    wear: Wear,
) -> None:
    """Adds details to the colours (P, 3), 0..1, of places on the body at rest (P, 3), in place."""
    parts = dressed_parts(rest, marks, outfit)
    x, y, z = rest.T
    on_body = z < 5.0
    if wear.is_jacket:
        opening = parts.shirt & (np.abs(x) < 0.025 + 0.1 * (y - marks.waist_y)) & (z > 0)
        colour[opening] = wear.inner
    if not wear.skirt:
        belt = np.abs(y - (marks.waist_y - outfit.hem_m)) < 0.008
        colour[belt & (parts.shirt | parts.trousers)] *= 0.55
    cloth = parts.shirt | parts.trousers | ~on_body
    mottle = 1.0 + wear.grain * (wear.heights(3.1 * rest[cloth]) + wear.heights(7.3 * rest[cloth]))
    colour[cloth] *= mottle[:, None]
    colour[(parts.along_leg > 1.06) & on_body] = wear.sole
    _draw_face(colour, rest, marks, character, wear)


def _draw_face(
    colour: np.ndarray, rest: np.ndarray, marks: Landmarks, character: Character, wear: Wear
) -> None:
    face = np.flatnonzero(
        (rest[:, 1] > marks.chin_y - 0.05)
        & (rest[:, 2] > marks.face["left_ear"][2] + 0.03)
        & (rest[:, 2] < 1.0)
        & (np.abs(rest[:, 0]) < 0.1)
    )
    place, tint = rest[face], colour[face]
    nose = marks.face["nose"]
    for side in ("left_eye", "right_eye"):
        eye = marks.face[side]
        brow = _inside(place, eye[0], eye[1] + BROW_ABOVE_EYE_M, BROW_RADII_M)
        tint[brow] = 0.7 * character.hair + 0.1 * character.skin
        socket = _inside(place, eye[0], eye[1], (0.026, 0.019))
        tint[socket] *= 0.85
        cheek = _inside(place, 1.3 * eye[0], eye[1] - 0.045, (0.022, 0.016))
        tint[cheek] *= (1.04, 0.95, 0.95)
    tint[_inside(place, nose[0], nose[1] - 0.008, NOSE_RADII_M)] *= SKIN_DARKER
    tint[_inside(place, nose[0], nose[1] - 0.042, (0.024, 0.007))] = wear.lips * (
        0.5 + 0.5 * character.skin
    )
    colour[face] = tint


def _inside(place: np.ndarray, x: float, y: float, radii: tuple[float, float]) -> np.ndarray:
    return ((place[:, 0] - x) / radii[0]) ** 2 + ((place[:, 1] - y) / radii[1]) ** 2 < 1.0
