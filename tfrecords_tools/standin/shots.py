"""Plans pictures: who stands where, in which pose, in front of which camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrecords_tools.standin.characters import Character, sample_character
from tfrecords_tools.standin.framing import place_bystanders, place_person
from tfrecords_tools.standin.poses import REPERTOIRES, dofs_to_pose, sample_dofs
from tfrecords_tools.standin.scene import (
    Lens,
    SceneStyle,
    View,
    face_camera,
    sample_roll,
    sample_tilt,
)

CAST_SIZE = 64


@dataclass(frozen=True)
class PosedCharacter:
    """A character in a picture: pose (72,) and pelvis (3,), metres, both in the camera frame."""

    character: Character
    pose: np.ndarray
    pelvis_m: np.ndarray


@dataclass(frozen=True)
class Shot:
    """The plan of one picture.

    Attributes:
        path: file to write, a JPEG.
        seed: decides clothes, light, background, occluders and sensor noise.
        people: who is in it; those after the first `num_annotated` are not annotated: a distant
            crowd, or bystanders.
    """

    path: Path
    seed: tuple[int, ...]
    lens: Lens
    people: tuple[PosedCharacter, ...]
    style: SceneStyle
    num_annotated: int


@dataclass(frozen=True)
class Cast:
    """Characters and poses of one part of a dataset.

    Attributes:
        characters: they belong to this cast only.
        poses: (N, 72) poses that face +z, one for each person of the pictures to come.
    """

    characters: Sequence[Character]
    poses: np.ndarray


def sample_cast(
    rng: np.random.Generator, num_poses: int, held_out: bool, style: SceneStyle
) -> Cast:
    """Up to 64 characters, and poses: built on the reserved key poses if `held_out`."""
    poses = dofs_to_pose(sample_dofs(rng, num_poses, held_out, REPERTOIRES[style.poses]))
    return Cast([sample_character(rng) for _ in range(min(CAST_SIZE, num_poses))], poses)


def sample_view(rng: np.random.Generator, style: SceneStyle) -> View:
    """A hand-held camera: tilted, and rolled a little."""
    return View(sample_tilt(rng, style), sample_roll(rng, style, 4.0))


def pose_character(
    rng: np.random.Generator,
    cast: Cast,
    index: int,
    view: View,
    pelvis_m: np.ndarray,
    style: SceneStyle,
) -> PosedCharacter:
    """One of the cast, drawn at random, in the cast's pose `index` and turned to the camera."""
    yaw = rng.uniform(-style.max_yaw_deg, style.max_yaw_deg)
    character = cast.characters[int(rng.integers(len(cast.characters)))]
    return PosedCharacter(character, face_camera(cast.poses[index], yaw, view), pelvis_m)


def portrait(
    rng: np.random.Generator,
    path: Path,
    seed: tuple[int, ...],
    cast: Cast,
    index: int,
    lens: Lens,
    view: View,
    style: SceneStyle,
) -> Shot:
    """A shot of one of the cast, in the cast's pose `index`."""
    pelvis_m = place_person(rng, lens, style)
    posed = pose_character(rng, cast, index, view, pelvis_m, style)
    people = (posed, *bystanders(rng, cast, view, pelvis_m, style))
    return Shot(path, seed, lens, people, style, num_annotated=1)


def bystanders(
    rng: np.random.Generator, cast: Cast, view: View, pelvis_m: np.ndarray, style: SceneStyle
) -> list[PosedCharacter]:
    """Others of the cast around a person, in any of the cast's poses; often nobody."""
    if style.bystander_odds == 0 or rng.random() >= style.bystander_odds:
        return []
    return [
        pose_character(rng, cast, int(rng.integers(len(cast.poses))), view, place, style)
        for place in place_bystanders(rng, view, pelvis_m)
    ]
