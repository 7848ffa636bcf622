"""Paints people: the colour of each visible point, from where it lies on the body at rest.

Everything is decided by a point's place on the template in its rest pose (T-pose, metres, y up, x
to the body's left, facing +z), so the same rules dress every body with SMPL's structure, and edges
are as sharp as the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hmr.body.joints import COCOPLUS, SMPL_JOINTS
from hmr.body.model_file import BodyModel
from tfrecords_tools.standin.characters import Character, Cloth, Outfit

EYE_RADII_M, PUPIL_RADII_M, MOUTH_RADII_M = (0.019, 0.015), (0.011, 0.011), (0.026, 0.009)
MOUTH_BELOW_NOSE_M = np.array([0.0, 0.042, 0.0])
HAIR_REACH_M, HAIR_HALF_WIDTH_M = 0.2, 0.11
NECK_HALF_WIDTH_M, SHOULDER_SLOPE_M = 0.07, 0.08
PATTERN_RULES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": lambda along, across: np.zeros(len(along), bool),
    "rings": lambda along, across: along < 0.5,
    "bars": lambda along, across: across < 0.5,
    "checks": lambda along, across: (along < 0.5) ^ (across < 0.5),
    "dots": lambda along, across: np.hypot(along - 0.5, across - 0.5) < 0.3,
}
"""Where a cloth has its second colour: by the place within a period along and across it, 0 to 1."""
WHITE, DARK, LIPS = np.array([0.95] * 3), np.array([0.05, 0.04, 0.04]), np.array([0.6, 0.2, 0.2])


@dataclass(frozen=True)
class Landmarks:
    """Places on the template at rest that clothes and face are painted by, metres.

    `face` maps the names of the five face keypoints and `head_top` to (3,) points.
    """

    collar_y: float
    waist_y: float
    hip_y: float
    ankle_y: float
    shoulder_x: float
    wrist_x: float
    chin_y: float
    face: dict[str, np.ndarray]


def find_landmarks(body: BodyModel) -> Landmarks:
    """Reads the landmarks of a body off its own joints."""
    joints = dict(zip(SMPL_JOINTS, body.joint_regressor @ body.v_template, strict=True))
    points = dict(zip(COCOPLUS, body.cocoplus_regressor @ body.v_template, strict=True))
    names = ("head_top", "nose", "left_eye", "right_eye", "left_ear", "right_ear")
    nose_y, neck_y = float(points["nose"][1]), float(joints["neck"][1])
    return Landmarks(
        collar_y=neck_y - 0.01,
        waist_y=float(joints["spine1"][1]),
        hip_y=float(joints["left_hip"][1]),
        ankle_y=float(joints["left_ankle"][1]),
        shoulder_x=float(joints["left_shoulder"][0]),
        wrist_x=float(joints["left_wrist"][0]),
        chin_y=nose_y - 0.45 * (nose_y - neck_y),
        face={name: points[name] for name in names},
    )


@dataclass(frozen=True)
class DressedParts:
    """What covers places on the body at rest (P, 3): masks (P,) of shirt, trousers and shoes.

    `along_arm` and `along_leg` (P,) run from 0 at shoulder and hip to 1 at wrist and ankle.
    """

    shirt: np.ndarray
    trousers: np.ndarray
    shoes: np.ndarray
    along_arm: np.ndarray
    along_leg: np.ndarray


def dressed_parts(rest: np.ndarray, marks: Landmarks, outfit: Outfit) -> DressedParts:
    """Which clothes cover places on the body at rest (P, 3)."""
    x, y, _ = rest.T
    along_arm = (np.abs(x) - marks.shoulder_x) / (marks.wrist_x - marks.shoulder_x)
    along_leg = (marks.hip_y - y) / (marks.hip_y - marks.ankle_y)
    below_neckline = (y < marks.collar_y) | (
        (np.abs(x) > NECK_HALF_WIDTH_M) & (y < marks.collar_y + SHOULDER_SLOPE_M)
    )
    hem_y = marks.waist_y - outfit.hem_m
    shirt = below_neckline & (y >= hem_y) & (along_arm < outfit.sleeve)
    trousers = (y < hem_y) & (along_leg < outfit.trouser)
    return DressedParts(shirt, trousers, along_leg > 0.96, along_arm, along_leg)


def paint(
    rest: np.ndarray,
    marks: Landmarks,
    character: Character,
    outfit: Outfit,
    narrow_hair: bool = False,
) -> np.ndarray:
    """Colours of points of a dressed character.

    Args:
        rest: (P, 3) places on the template at rest, metres.
        narrow_hair: long hair falls down the back and not over the shoulders.
    Returns:
        (P, 3) RGB in 0..1, without light.
    """
    colour = np.tile(character.skin, (len(rest), 1))
    parts = dressed_parts(rest, marks, outfit)
    shirt, trousers = parts.shirt, parts.trousers
    colour[shirt] = _weave(rest[shirt], outfit.shirt, parts.along_arm[shirt] > 0)
    colour[trousers] = _weave(rest[trousers], outfit.trousers, np.zeros(trousers.sum(), bool))
    colour[parts.shoes] = outfit.shoes
    _print_chest(colour, rest, shirt, marks, outfit)
    head = np.flatnonzero(head_mask(rest, marks))
    colour[head] = _paint_head(colour[head], rest[head], marks, character, narrow_hair)
    return colour


def paint_skirt(rest: np.ndarray, cloth: Cloth) -> np.ndarray:
    """Colours (P, 3) of places on a skirt, see `shells`."""
    return _weave(rest, cloth, np.zeros(len(rest), bool))


def head_mask(rest: np.ndarray, marks: Landmarks) -> np.ndarray:
    """(P,) bool: head, neck and upper back."""
    x, y, _ = rest.T
    return (np.abs(x) < marks.shoulder_x) & (y > marks.collar_y - HAIR_REACH_M)


def hair_mask(
    rest: np.ndarray, marks: Landmarks, character: Character, narrow: bool = False
) -> np.ndarray:
    """Which places of `head_mask` (P, 3) are under hair, (P,) bool."""
    x, y, z = rest.T
    face = marks.face
    ear_z, eye_y, top_y = face["left_ear"][2], face["left_eye"][1], face["head_top"][1]
    fringe = y > eye_y + 0.45 * (top_y - eye_y)
    back = (z < ear_z) & (y > eye_y - character.hair_length_m)
    if narrow:
        back &= (np.abs(x) < HAIR_HALF_WIDTH_M) | (y > marks.collar_y + SHOULDER_SLOPE_M)
    return fringe | back


def _weave(rest: np.ndarray, cloth: Cloth, on_sleeve: np.ndarray) -> np.ndarray:
    """Colours (P, 3) of a patterned cloth; patterns follow the trunk or the sleeve."""
    x, y, z = rest.T
    along = np.mod(np.where(on_sleeve, np.abs(x), y) / cloth.period_m, 1.0)
    across = np.mod(np.where(on_sleeve, y, x + 0.5 * z) / cloth.period_m, 1.0)
    pattern = PATTERN_RULES[cloth.pattern](along, across)
    return np.where(pattern[:, None], cloth.second, cloth.colour)


def _print_chest(
    colour: np.ndarray, rest: np.ndarray, shirt: np.ndarray, marks: Landmarks, outfit: Outfit
) -> None:
    if outfit.print_colour is None:
        return
    middle_y = marks.waist_y + 0.62 * (marks.collar_y - marks.waist_y)
    patch = (np.abs(rest[:, 0]) < 0.09) & (np.abs(rest[:, 1] - middle_y) < 0.08) & (rest[:, 2] > 0)
    colour[shirt & patch] = outfit.print_colour


def _paint_head(
    colour: np.ndarray,
    rest: np.ndarray,
    marks: Landmarks,
    character: Character,
    narrow_hair: bool,
) -> np.ndarray:
    """Colours of points on head, neck and upper back, with hair and a face."""
    y, z, face = rest[:, 1], rest[:, 2], marks.face
    front = (y > marks.collar_y) & (z > face["left_ear"][2])
    beard = front & (y < face["nose"][1] - 0.02) & (y > marks.chin_y - 0.03) & character.bearded
    colour[beard | hair_mask(rest, marks, character, narrow_hair)] = character.hair
    _dot(colour, rest, front, face["nose"] - MOUTH_BELOW_NOSE_M, MOUTH_RADII_M, LIPS)
    for eye in ("left_eye", "right_eye"):
        _dot(colour, rest, front, face[eye], EYE_RADII_M, WHITE)
        _dot(colour, rest, front, face[eye], PUPIL_RADII_M, DARK)
    return colour


def _dot(
    colour: np.ndarray,
    rest: np.ndarray,
    where: np.ndarray,
    centre: np.ndarray,
    radii: tuple[float, float],
    tint: np.ndarray,
) -> None:
    """Paints an ellipse, seen from the front, on the points `where`."""
    offset = (rest[:, :2] - centre[:2]) / radii
    colour[where & (np.einsum("pc,pc->p", offset, offset) < 1.0)] = tint
