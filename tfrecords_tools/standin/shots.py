"""Plans pictures: who stands where, in which pose, before which camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrecords_tools.standin.characters import Person, sample_people
from tfrecords_tools.standin.poses import dofs_to_pose, sample_dofs
from tfrecords_tools.standin.scene import Lens, SceneStyle, View, face_camera, place

CAST_SIZE = 64


@dataclass(frozen=True)
class Figure:
    """A person in a picture: pose (72,) in the camera frame, pelvis (3,) in metres there."""

    person: Person
    pose: np.ndarray
    pelvis_m: np.ndarray


@dataclass(frozen=True)
class Shot:
    """The order for one picture.

    Attributes:
        path: file to write, a JPEG.
        seed: of clothes, light, background, occluders, sensor.
        figures: the people to annotate; those after `num_annotated` form a distant crowd.
    """

    path: Path
    seed: tuple[int, ...]
    lens: Lens
    figures: tuple[Figure, ...]
    style: SceneStyle
    num_annotated: int


@dataclass(frozen=True)
class Company:
    """People and poses of one part of a dataset.

    Attributes:
        cast: the people; nobody belongs to two companies.
        poses: (N, 72) poses that face +z, one for each figure to come.
    """

    cast: Sequence[Person]
    poses: np.ndarray


def gather(rng: np.random.Generator, num_figures: int, held_out: bool) -> Company:
    """A cast of up to 64 people, and poses: from the reserved key poses where `held_out`."""
    poses = dofs_to_pose(sample_dofs(rng, num_figures, held_out))
    return Company(sample_people(rng, min(CAST_SIZE, num_figures)), poses)


def sample_view(rng: np.random.Generator, style: SceneStyle) -> View:
    """A camera in the hand: tilted, a little rolled."""
    return View(rng.uniform(*style.pitch_deg), rng.normal(0.0, 4.0))


def stand_before(
    rng: np.random.Generator,
    company: Company,
    index: int,
    view: View,
    pelvis_m: np.ndarray,
    style: SceneStyle,
) -> Figure:
    """Somebody of the company in its pose number `index`, turned towards the camera."""
    yaw = rng.uniform(-style.max_yaw_deg, style.max_yaw_deg)
    person = company.cast[int(rng.integers(len(company.cast)))]
    return Figure(person, face_camera(company.poses[index], yaw, view), pelvis_m)


def portrait(
    rng: np.random.Generator,
    path: Path,
    seed: tuple[int, ...],
    company: Company,
    index: int,
    lens: Lens,
    view: View,
    style: SceneStyle,
) -> Shot:
    """A shot of one person of the company, in its pose number `index`."""
    figure = stand_before(rng, company, index, view, place(rng, lens, style), style)
    return Shot(path, seed, lens, (figure,), style, num_annotated=1)
