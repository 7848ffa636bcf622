"""Surfaces of loose clothes: the body's vertices pushed outwards, and a skirt that spans the legs.

The joints stay those of the body. A place on the skirt is told from one on the body by its place at
rest: skirts lie `SKIRT_Z_M` in front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr.body.joints import COCOPLUS, SMPL_JOINTS
from hmr.body.model_file import BodyModel
from tfrecords_tools.standin.characters import Character, Outfit
from tfrecords_tools.standin.clothes import Wear
from tfrecords_tools.standin.paint import Landmarks, dressed_parts, hair_mask, head_mask

SKIRT_Z_M = 10.0
NUM_RINGS, NUM_SPOKES = 12, 28
KNEE_SHARE = 0.48
WAIST_RISE_M, SHOE_M = 0.11, 0.008
_FIRST = len(COCOPLUS)
_JOINT = {name: _FIRST + index for index, name in enumerate(SMPL_JOINTS)}


@dataclass(frozen=True)
class Shell:
    """The structure of dressed people: rest places (N, 3) and faces (F, 3) of body and skirt.

    The skirt's faces come twice, once for each side.
    """

    rest_m: np.ndarray
    faces: np.ndarray
    thigh: np.ndarray


def build_shell(body: BodyModel, marks: Landmarks) -> Shell:
    """Adds the skirt, still without places, to the body."""
    count = len(body.v_template)
    ring, spoke = np.mgrid[: NUM_RINGS - 1, :NUM_SPOKES].reshape(2, -1)
    after = (spoke + 1) % NUM_SPOKES
    a, b = ring * NUM_SPOKES + spoke, ring * NUM_SPOKES + after
    c, d = a + NUM_SPOKES, b + NUM_SPOKES
    outside = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)]) + count
    turn = 2 * np.pi * np.arange(NUM_SPOKES) / NUM_SPOKES
    y = np.linspace(marks.hip_y + WAIST_RISE_M, marks.ankle_y, NUM_RINGS)
    rest = np.stack(
        [
            np.tile(0.2 * np.cos(turn), NUM_RINGS),
            np.repeat(y, NUM_SPOKES),
            SKIRT_Z_M + np.tile(0.2 * np.sin(turn), NUM_RINGS),
        ],
        axis=1,
    )
    middle = marks.hip_y + 0.3 * (marks.ankle_y - marks.hip_y)
    thigh = np.flatnonzero(
        (np.abs(body.v_template[:, 1] - middle) < 0.03) & (body.v_template[:, 0] > 0)
    )
    return Shell(
        np.concatenate([body.v_template, rest]),
        np.concatenate([body.faces, outside, outside[:, ::-1]]),
        thigh,
    )


def dress(
    shell: Shell,
    marks: Landmarks,
    vertices_m: np.ndarray,
    normals: np.ndarray,
    joints_m: np.ndarray,
    wear: Wear,
    outfit: Outfit,
    character: Character,
) -> np.ndarray:
    """The surface of one dressed person.

    Args:
        vertices_m: (V, 3) of the posed body; `normals` (V, 3) belong to them.
        joints_m: (43, 3), see `picture.ALL_JOINTS`.
    Returns:
        (N, 3) metres; without a skirt its vertices lie in one point inside the body.
    """
    rest = shell.rest_m[: len(vertices_m)]
    offsets = shell_offsets(rest, marks, wear, outfit, character)
    body = vertices_m + offsets[:, None].astype(np.float32) * normals
    skirt = np.repeat(joints_m[None, _JOINT["pelvis"]], NUM_RINGS * NUM_SPOKES, axis=0)
    if wear.skirt:
        skirt = _skirt(shell, vertices_m, joints_m, wear)
    return np.concatenate([body, skirt.astype(np.float32)])


def shell_offsets(
    rest: np.ndarray, marks: Landmarks, wear: Wear, outfit: Outfit, character: Character
) -> np.ndarray:
    """How far cloth and hair stand off the skin at places on the body at rest, (V,) metres."""
    parts = dressed_parts(rest, marks, outfit)
    heights = wear.heights(rest)
    offsets = np.zeros(len(rest))
    hang = np.clip((marks.collar_y - rest[:, 1]) / 0.4, 0.25, 1.0)
    hang = np.where(parts.along_arm > 0, 0.5 + 0.5 * np.clip(parts.along_arm, 0, 1), hang)
    offsets[parts.shirt] = (wear.shirt_m * hang)[parts.shirt]
    legs = 0.5 + 0.5 * np.clip(parts.along_leg, 0, 1) * (1.0 + wear.flare)
    offsets[parts.trousers] = (wear.trousers_m * legs)[parts.trousers]
    cloth = parts.shirt | parts.trousers
    offsets[cloth] += wear.fold_m * np.minimum(1.0, offsets[cloth] / 0.02) * heights[cloth]
    offsets[parts.shoes] = SHOE_M
    head = np.flatnonzero(head_mask(rest, marks))
    hair = head[hair_mask(rest[head], marks, character, narrow=True)]
    offsets[hair] = wear.hair_m * (1.0 + 0.4 * heights[hair]) + 0.002
    return np.maximum(offsets, 0.0)


def _skirt(shell: Shell, vertices_m: np.ndarray, joints_m: np.ndarray, wear: Wear) -> np.ndarray:
    """Rings (R * S, 3) around both legs: each is the convex hull of a circle about either leg."""
    at = {name: joints_m[index].astype(np.float64) for name, index in _JOINT.items()}
    left, right = (_leg_line(at, side, wear.skirt) for side in ("left", "right"))
    across, centre = at["left_hip"] - at["right_hip"], 0.5 * (left + right)
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    side = across - (along @ across)[:, None] * along
    side /= np.linalg.norm(side, axis=1, keepdims=True) + 1e-9  # (R, 3)
    front = np.cross(along, side)
    line = at["left_knee"] - at["left_hip"]
    line /= np.linalg.norm(line)
    away = vertices_m[shell.thigh] - at["left_hip"]
    thigh = np.median(np.linalg.norm(away - np.outer(away @ line, line), axis=1))
    share = np.linspace(0.0, 1.0, NUM_RINGS)
    radius = thigh * (1.22 + 0.9 * wear.flare * share * wear.skirt)
    turn = 2 * np.pi * np.arange(NUM_SPOKES) / NUM_SPOKES
    pleats = 1.0 + 0.5 * wear.fold_m / 0.02 * share[:, None] * 0.25 * np.sin(7 * turn + wear.flare)
    u = np.cos(turn)[None, :, None] * side[:, None] + np.sin(turn)[None, :, None] * front[:, None]
    nearer = np.einsum("rsc,rc->rs", u, left - right) > 0
    hub = np.where(nearer[..., None], left[:, None], right[:, None])
    return (hub + (radius[:, None] * pleats)[..., None] * u).reshape(-1, 3)


def _leg_line(at: dict[str, np.ndarray], side: str, reach: float) -> np.ndarray:
    """Places (R, 3) from beside the waist down to a share of a leg."""
    hip, knee, ankle = (at[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    up = at["spine1"] - at["pelvis"]
    waist = 0.7 * hip + 0.3 * at["pelvis"] + up / np.linalg.norm(up) * WAIST_RISE_M
    share = np.linspace(0.0, reach, NUM_RINGS - 1)[:, None]
    thigh = hip + np.minimum(share / KNEE_SHARE, 1.0) * (knee - hip)
    shank = np.maximum((share - KNEE_SHARE) / (1.0 - KNEE_SHARE), 0.0) * (ankle - knee)
    return np.concatenate([waist[None], thigh + shank])
