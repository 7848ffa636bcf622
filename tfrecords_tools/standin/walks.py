"""Walks of stand-in people: their feet stay where they stand, and they cross, leave and come back.

World: y up, the floor at y = 0, the camera above the origin and looking along -z, metres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from hmr.body.joints import SMPL_JOINTS
from hmr.body.smpl import SMPL
from tfrecords_tools.standin.poses import (
    ARM_DOFS,
    DOF_NAMES,
    DOF_RANGES,
    calm_dofs,
    dofs_to_pose,
    sample_sequence,
)

SIDES = ("left", "right")
FEET = np.array(
    [[SMPL_JOINTS.index(f"{side}_{end}") for end in ("ankle", "foot")] for side in SIDES]
)
SOLE_M = 0.03
"""Height of the joint in the ball of the foot above the floor."""
STEPS_PER_S, STRIDE_DEG, LIFT_DEG = 1.8, 23.0, 50.0
LEAN_DEG, BENT_KNEE_DEG = 3.0, 5.0
TURN_DEG_PER_S = 150.0
NEAREST_M, FARTHEST_M = 4.5, 9.5
BEYOND_EDGE_M = (-0.8, 0.45)
"""How far past the picture's edge people turn round; negative: before it."""
STOP_ODDS, STOP_S = 0.5, (1.0, 2.0)


@dataclass(frozen=True)
class Walk:
    """One person's motion through a video of T frames.

    Attributes:
        pose: (T, 72) in the world, without the heading.
        heading_deg: (T,) about the vertical; 0 faces the camera.
        pelvis_m: (T, 3).
        contact: (T, 2) bool, whether the left and the right foot stands.
    """

    pose: np.ndarray
    heading_deg: np.ndarray
    pelvis_m: np.ndarray
    contact: np.ndarray


def sample_walk(
    rng: np.random.Generator,
    smpl: SMPL,
    beta: np.ndarray,
    num_frames: int,
    rate: float,
    lane: float,
    edge_per_m: float,
) -> Walk:
    """A walk to and fro across the picture.

    Args:
        smpl: the body.
        beta: (10,) shape.
        rate: frames a second.
        lane: how far away the person starts, 0 (near) to 1 (far).
        edge_per_m: half the picture's width at a distance of one metre.
    """
    vigour = _vigour(rng, num_frames, rate)
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(np.pi * STEPS_PER_S * vigour / rate)
    pose = dofs_to_pose(_dofs(rng, phase, vigour, rate))
    betas = np.repeat(np.asarray(beta, np.float32)[None], num_frames, axis=0)
    joints = np.asarray(smpl.keypoints(pose.astype(np.float32), betas)["smpl_joints"], np.float64)
    feet = joints[:, FEET] - joints[:, None, None, 0]  # (T, 2, 2, 3) ankles and balls of the feet
    stands = np.where(np.sin(phase) >= 0, 0, 1)
    heading, pelvis = _follow(rng, feet, stands, rate, lane, edge_per_m)
    pelvis[:, 1] = SOLE_M - feet[np.arange(num_frames), stands, 1, 1]
    contact = np.arange(2) == stands[:, None]
    return Walk(pose, heading, pelvis, contact | (vigour < 1e-3)[:, None])


def _vigour(rng: np.random.Generator, num_frames: int, rate: float) -> np.ndarray:
    """1 while walking and 0 while standing, (T,), with soft changes."""
    vigour = np.ones(num_frames)
    if rng.random() < STOP_ODDS:
        start = int(rng.uniform(0.2, 0.7) * num_frames)
        vigour[start : start + int(rng.uniform(*STOP_S) * rate)] = 0.0
    return gaussian_filter1d(vigour, 0.12 * rate, mode="nearest", truncate=3.0)


def _dofs(
    rng: np.random.Generator, phase: np.ndarray, vigour: np.ndarray, rate: float
) -> np.ndarray:
    """Degrees of freedom (T, 30): legs that walk, arms that swing or do something else."""
    dofs = np.repeat(calm_dofs()[None], len(phase), axis=0)
    column = {name: index for index, name in enumerate(DOF_NAMES)}
    others = sample_sequence(rng, len(phase), rate)
    busy = gaussian_filter1d(
        (rng.random(2 + int(len(phase) / rate)) < 0.35).repeat(int(rate) + 1)[: len(phase)] * 1.0,
        0.2 * rate,
    )
    for side, shift in zip(SIDES, (0.0, np.pi), strict=True):
        swing = np.maximum(-np.sin(phase + shift), 0.0)
        hip = STRIDE_DEG * np.cos(phase + shift) * vigour + LEAN_DEG * vigour + BENT_KNEE_DEG / 2
        knee = BENT_KNEE_DEG + LIFT_DEG * swing * vigour
        ankle = (knee - hip) * (1.0 - 0.6 * swing)
        legs = {"hip_flex": hip, "hip_out": 3.0, "hip_twist": 5.0, "knee": knee, "ankle": ankle}
        for name, values in legs.items():
            dofs[:, column[f"{side}_{name}"]] = values
        dofs[:, column[f"{side}_arm_forward"]] = 12.0 - 25.0 * np.cos(phase + shift) * vigour
        for name in ARM_DOFS:
            at = column[f"{side}_{name}"]
            dofs[:, at] += busy * (others[:, at] - dofs[:, at])
    for name in ("head_flex", "head_turn", "head_tilt", "spine_twist"):
        dofs[:, column[name]] += 0.6 * others[:, column[name]]
    dofs[:, column["lean"]] += LEAN_DEG * vigour
    return np.clip(dofs, *DOF_RANGES.T)


def _follow(
    rng: np.random.Generator,
    feet: np.ndarray,
    stands: np.ndarray,
    rate: float,
    lane: float,
    edge_per_m: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Headings (T,) and pelvises (T, 3): the standing foot stays, the heading seeks the goal."""
    side = rng.choice([-1.0, 1.0])
    place = np.array([0.0, 0.0, -(NEAREST_M + lane * (FARTHEST_M - NEAREST_M))])
    place[0] = -side * rng.uniform(0.2, 0.8) * edge_per_m * -place[2]
    goal = _goal(rng, side, edge_per_m)
    heading = _towards(place, goal)
    headings, places = np.empty(len(feet)), np.empty((len(feet), 3))
    anchors = feet.mean(axis=2)  # (T, 2, 3)
    for frame, foot in enumerate(stands):
        last = heading
        if np.hypot(*(goal - place)[[0, 2]]) < 0.4:
            side = -side
            goal = _goal(rng, side, edge_per_m)
        away = (_towards(place, goal) - heading + 180.0) % 360.0 - 180.0
        if frame and not np.array_equal(feet[frame], feet[frame - 1]):
            moved = np.abs(anchors[frame] - anchors[frame - 1]).sum()
            most = min(TURN_DEG_PER_S / rate, 4000.0 * moved / rate)
            heading += np.clip(away, -most, most)
            place = place + _turned(last, anchors[frame - 1, foot])
            place = place - _turned(heading, anchors[frame, foot])
        headings[frame], places[frame] = heading, place
    return headings, places


def _goal(rng: np.random.Generator, side: float, edge_per_m: float) -> np.ndarray:
    depth = rng.uniform(NEAREST_M, FARTHEST_M)
    return np.array([side * (edge_per_m * depth + rng.uniform(*BEYOND_EDGE_M)), 0.0, -depth])


def _towards(place: np.ndarray, goal: np.ndarray) -> float:
    return float(np.degrees(np.arctan2(goal[0] - place[0], goal[2] - place[2])))


def _turned(heading_deg: float, point: np.ndarray) -> np.ndarray:
    return Rotation.from_euler("Y", heading_deg, degrees=True).apply(point)
