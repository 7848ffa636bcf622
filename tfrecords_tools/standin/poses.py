"""Poses of the stand-in people: blends of key poses within human joint ranges.

A pose is sampled as a vector of degrees of freedom (DOFs, see `keyposes`): legs, trunk and each arm
are blends of two key poses, moved by a random share towards standing at ease; limbs are mirrored at
random, and correlated noise is added. The blends fill a connected set, which a prior can learn.
Certain pairs of legs and arms are reserved for held-out people: no training picture and no mocap
frame is built on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from hmr.body.joints import AXIS_ANGLE_FLIP_SIGN, SMPL_JOINTS
from tfrecords_tools.standin.keyposes import (
    ARM_DOFS,
    ARMS,
    CENTRAL_RANGES,
    COMMON,
    COMMON_ODDS,
    LEG_DOFS,
    LEGS,
    LIMB_RANGES,
    TRUNKS,
)
from tfrecords_tools.standin.keyposes_wide import (
    WIDE_ARMS,
    WIDE_CENTRAL_RANGES,
    WIDE_LEGS,
    WIDE_TRUNKS,
)
from tfrecords_tools.standin.reach import arms_are_free

SIDES = ("left", "right")
DOF_NAMES = (*CENTRAL_RANGES, *(f"{side}_{name}" for side in SIDES for name in LIMB_RANGES))
RESERVED_MODULUS = 6
COLLAR_SHARE = 0.25
SYMMETRIC_ARMS = 0.35
CALM_LEGS, CALM_ARM = "stand", "loose"

Ranges = Mapping[str, tuple[float, float]]
LegKeys = Mapping[str, tuple[Mapping[str, float], tuple[float, ...], tuple[float, ...]]]
RowKeys = Mapping[str, tuple[float, ...]]

_COLUMN = {name: index for index, name in enumerate(DOF_NAMES)}


def _range_table(central: Ranges) -> np.ndarray:
    """Low and high ends (30, 2) of all DOFs."""
    return np.array([*central.values(), *LIMB_RANGES.values(), *LIMB_RANGES.values()], np.float64)


DOF_RANGES = _range_table(CENTRAL_RANGES)


@dataclass(frozen=True)
class Repertoire:
    """What people do: key poses, and how freely they are varied.

    Attributes:
        legs, arms, trunks: key poses, see `keyposes`.
        ranges: (30, 2) low and high ends of the DOFs, degrees.
        common_odds: the key poses of `COMMON` are drawn this many times as often as the rest.
        most_calm: poses move towards standing at ease by up to this share of the way.
        free_limbs: share of arms that take any place within reach.
        noise: deviation of the noise, relative to a joint's range.
        shared_noise: share of the variance that the left and the right half have in common.
        clear_arms: poses whose elbows or wrists lie within trunk or head are drawn again.
    """

    legs: LegKeys
    arms: RowKeys
    trunks: RowKeys
    ranges: np.ndarray
    common_odds: float
    most_calm: float
    free_limbs: float
    noise: float
    shared_noise: float
    clear_arms: bool


REPERTOIRES = {
    "usual": Repertoire(
        LEGS, ARMS, TRUNKS, DOF_RANGES, COMMON_ODDS, 0.55, 0.1, 0.05, 0.5, clear_arms=False
    ),
    "wide": Repertoire(
        WIDE_LEGS,
        WIDE_ARMS,
        WIDE_TRUNKS,
        _range_table(WIDE_CENTRAL_RANGES),
        2.0,
        0.25,
        0.2,
        0.065,
        0.2,
        clear_arms=True,
    ),
}
"""By the value of `--poses`."""
USUAL = REPERTOIRES["usual"]


def sample_dofs(
    rng: np.random.Generator, count: int, held_out: bool, repertoire: Repertoire = USUAL
) -> np.ndarray:
    """Draws poses.

    Args:
        rng: source of randomness.
        count: number of poses.
        held_out: draw from the reserved pairs of legs and arms instead of the others.
        repertoire: what people do.
    Returns:
        (count, 30) degrees in the order of `DOF_NAMES`, inside the ranges of the repertoire.
    """
    drawn = _draw_dofs(rng, count, held_out, repertoire)
    while repertoire.clear_arms and not (clear := arms_are_free(dofs_to_pose(drawn))).all():
        drawn[~clear] = _draw_dofs(rng, int((~clear).sum()), held_out, repertoire)
    return drawn


def _draw_dofs(
    rng: np.random.Generator, count: int, held_out: bool, repertoire: Repertoire
) -> np.ndarray:
    legs, left_arm = _key_pairs(rng, count, held_out, repertoire)
    dofs = _blend(rng, _leg_table(repertoire), legs)
    trunk = rng.choice(len(repertoire.trunks), size=count, p=_odds(repertoire, repertoire.trunks))
    dofs += _blend(rng, _trunk_table(repertoire), trunk)
    _set_arms(rng, dofs, left_arm, repertoire)
    _set_head(rng, dofs)
    calm = repertoire.most_calm * rng.random(count)[:, None]
    dofs += calm * (calm_dofs(repertoire) - dofs)
    mirrored = rng.random(count) < 0.5
    dofs[mirrored] = mirror_dofs(dofs[mirrored])
    dofs += _correlated_noise(rng, count, repertoire)
    return np.clip(dofs, *repertoire.ranges.T)


def reserved_pairs(repertoire: Repertoire = USUAL) -> np.ndarray:
    """(legs, arms) bool table of the pairs of key poses kept for held-out people.

    Every sixth in each row and column, common ones counted first: held-out people do the same
    things as the others, in other combinations.
    """
    ranks = np.add.outer(_ranks(repertoire.legs), _ranks(repertoire.arms))
    return ranks % RESERVED_MODULUS == RESERVED_MODULUS - 1


def _ranks(keys: Iterable[str]) -> np.ndarray:
    """The rank of each key when the common ones come first."""
    return np.argsort(np.argsort([key not in COMMON for key in keys], kind="stable"))


def mirror_dofs(dofs: np.ndarray) -> np.ndarray:
    """The same poses (N, 30) seen in a mirror."""
    swapped = [_COLUMN[_mirrored_dof(name)] for name in DOF_NAMES]
    sideways = {"roll", "spine_side", "spine_twist", "head_turn", "head_tilt"}
    sign = np.array([-1.0 if name in sideways else 1.0 for name in DOF_NAMES])
    return dofs[:, swapped] * sign


def dofs_to_pose(dofs: np.ndarray) -> np.ndarray:
    """SMPL poses of DOF vectors.

    Args:
        dofs: (N, 30) degrees.
    Returns:
        (N, 72) axis-angles in radians; the root holds lean and roll, the body faces +z.
    """
    central = {name: dofs[:, _COLUMN[name]] for name in CENTRAL_RANGES}
    joints = _central_rotations(central)
    for side, sign in zip(SIDES, (np.ones(3), AXIS_ANGLE_FLIP_SIGN), strict=True):
        limb = {name: dofs[:, _COLUMN[f"{side}_{name}"]] for name in LIMB_RANGES}
        for joint, rotation in _limb_rotations(limb).items():
            joints[f"{side}_{joint}"] = rotation.as_rotvec() * sign
    rest = np.zeros((len(dofs), 3))
    return np.concatenate([joints.get(name, rest) for name in SMPL_JOINTS], axis=1)


def sample_sequence(
    rng: np.random.Generator, num_frames: int, frame_rate: float, repertoire: Repertoire = USUAL
) -> np.ndarray:
    """A smooth motion through random poses that are not reserved for held-out people.

    Args:
        num_frames: length of the motion.
        frame_rate: frames per second; a new key pose is reached every 0.4 to 1 s.
        repertoire: what people do.
    Returns:
        (num_frames, 30) degrees, inside the ranges of the repertoire.
    """
    durations = rng.uniform(0.4, 1.0, size=2 + int(num_frames / (0.4 * frame_rate)))
    key_times = np.concatenate([[0.0], np.cumsum(durations)])
    keys = sample_dofs(rng, len(key_times), held_out=False, repertoire=repertoire)
    times = np.arange(num_frames) / frame_rate
    segment = np.searchsorted(key_times, times, side="right") - 1
    phase = ((times - key_times[segment]) / durations[segment])[:, None]
    eased = phase * phase * (3.0 - 2.0 * phase)
    return keys[segment] + eased * (keys[segment + 1] - keys[segment])


def _key_pairs(
    rng: np.random.Generator, count: int, held_out: bool, repertoire: Repertoire = USUAL
) -> np.ndarray:
    """(2, count) indices of the dominant key poses of the legs and of the left arm."""
    pairs = np.argwhere(reserved_pairs(repertoire) == held_out)
    legs, arms = _odds(repertoire, repertoire.legs), _odds(repertoire, repertoire.arms)
    odds = legs[pairs[:, 0]] * arms[pairs[:, 1]]
    return pairs[rng.choice(len(pairs), size=count, p=odds / odds.sum())].T


def _odds(repertoire: Repertoire, keys: Iterable[str]) -> np.ndarray:
    odds = np.array([repertoire.common_odds if key in COMMON else 1.0 for key in keys])
    return odds / odds.sum()


def _blend(rng: np.random.Generator, table: np.ndarray, dominant: np.ndarray) -> np.ndarray:
    """Rows of `table`, each drawn towards another row by less than half of the way."""
    other = rng.integers(len(table), size=len(dominant))
    weight = 0.5 * rng.random(len(dominant))[:, None] ** 1.5
    return (1.0 - weight) * table[dominant] + weight * table[other]


def _leg_table(repertoire: Repertoire = USUAL) -> np.ndarray:
    rows = []
    for central, left, right in repertoire.legs.values():
        named = dict(central)
        for side, values in zip(SIDES, (left, right), strict=True):
            named |= {f"{side}_{name}": v for name, v in zip(LEG_DOFS, values, strict=True)}
        rows.append(_dof_row(named))
    return np.stack(rows)


def _trunk_table(repertoire: Repertoire = USUAL) -> np.ndarray:
    names = ("spine_flex", "spine_side", "spine_twist")
    rows = repertoire.trunks.values()
    return np.stack([_dof_row(dict(zip(names, row, strict=True))) for row in rows])


def _dof_row(named: Mapping[str, float]) -> np.ndarray:
    row = np.zeros(len(DOF_NAMES))
    for name, value in named.items():
        row[_COLUMN[name]] = value
    return row


def calm_dofs(repertoire: Repertoire = USUAL) -> np.ndarray:
    """DOFs (30,) of standing at ease; each pose is moved towards it by a random share."""
    row = _leg_table(repertoire)[list(repertoire.legs).index(CALM_LEGS)]
    for side in SIDES:
        first = _COLUMN[f"{side}_{ARM_DOFS[0]}"]
        row[first : first + 4] = repertoire.arms[CALM_ARM]
    return row


def _set_arms(
    rng: np.random.Generator, dofs: np.ndarray, left_key: np.ndarray, repertoire: Repertoire
) -> None:
    count = len(dofs)
    table = np.array(list(repertoire.arms.values()), np.float64)
    left = _blend(rng, table, left_key)
    right_key = rng.choice(len(table), size=count, p=_odds(repertoire, repertoire.arms))
    right = _blend(rng, table, right_key)
    symmetric = rng.random(count) < SYMMETRIC_ARMS
    right[symmetric] = left[symmetric]
    right = _free_some(rng, right, repertoire.free_limbs)
    for side, arm in zip(SIDES, (left, right), strict=True):
        first = _COLUMN[f"{side}_{ARM_DOFS[0]}"]
        dofs[:, first : first + 4] = arm
        dofs[:, first + 4 : first + 6] = rng.normal(0.0, (25.0, 15.0), size=(count, 2))


def _free_some(rng: np.random.Generator, arms: np.ndarray, share: float) -> np.ndarray:
    """Replaces a share of the arms by uniform ones, so that no direction stays unseen."""
    low, high = (-75, -15, -80, 0), (75, 105, 35, 125)
    free = rng.random(len(arms)) < share
    return np.where(free[:, None], rng.uniform(low, high, size=arms.shape), arms)


def _set_head(rng: np.random.Generator, dofs: np.ndarray) -> None:
    for name, spread in (("head_flex", 14.0), ("head_turn", 24.0), ("head_tilt", 8.0)):
        dofs[:, _COLUMN[name]] = rng.normal(0.0, spread, size=len(dofs))


def _correlated_noise(rng: np.random.Generator, count: int, repertoire: Repertoire) -> np.ndarray:
    """Noise (count, 30), degrees, whose left and right halves share some of their variance."""
    noise = rng.normal(size=(count, len(DOF_NAMES)))
    limbs = noise[:, len(CENTRAL_RANGES) :]
    shared = rng.normal(size=(count, len(LIMB_RANGES)))
    weight = np.sqrt(repertoire.shared_noise / (1.0 - repertoire.shared_noise))
    limbs[:] = (limbs + weight * np.tile(shared, 2)) / np.sqrt(1.0 + weight**2)
    # The ranges of those who stand: that people may lie does not make them sway.
    return noise * repertoire.noise * np.ptp(DOF_RANGES, axis=1)


def _mirrored_dof(name: str) -> str:
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


def _central_rotations(dofs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    bend = np.stack([dofs["spine_flex"], dofs["spine_twist"], -dofs["spine_side"]], axis=1)
    head = np.stack([dofs["head_flex"], dofs["head_turn"], -dofs["head_tilt"]], axis=1)
    root = np.stack([np.zeros_like(dofs["lean"]), -dofs["roll"], dofs["lean"]], axis=1)
    joints = {"pelvis": _euler("YZX", root).as_rotvec()}
    for joint, share in (("spine1", 0.3), ("spine2", 0.4), ("spine3", 0.3)):
        joints[joint] = _euler("XYZ", share * bend).as_rotvec()
    for joint in ("neck", "head"):
        joints[joint] = _euler("YXZ", 0.5 * head[:, [1, 0, 2]]).as_rotvec()
    return joints


def _limb_rotations(dofs: dict[str, np.ndarray]) -> dict[str, Rotation]:
    """Rotations of the left limbs; the right ones are their mirror image."""
    elevation, forward = dofs["arm_elevation"], dofs["arm_forward"]
    collar = _euler(
        "YZ", COLLAR_SHARE * np.stack([-np.maximum(forward, 0), np.maximum(elevation, -20)], axis=1)
    )
    upper_arm = _euler("YZX", np.stack([-forward, elevation, dofs["arm_twist"]], axis=1))
    half_turn = 0.5 * dofs["forearm_twist"]
    thigh = np.stack([-dofs["hip_flex"], dofs["hip_out"], dofs["hip_twist"]], axis=1)
    return {
        "collar": collar,
        "shoulder": collar.inv() * upper_arm,
        "elbow": _euler("YX", np.stack([-dofs["elbow"], half_turn], axis=1)),
        "wrist": _euler("XZ", np.stack([half_turn, -dofs["wrist"]], axis=1)),
        "hip": _euler("XZY", thigh),
        "knee": _euler("X", dofs["knee"][:, None]),
        "ankle": _euler("X", -dofs["ankle"][:, None]),
    }


def _euler(axes: str, degrees: np.ndarray) -> Rotation:
    return Rotation.from_euler(axes, degrees, degrees=True)
