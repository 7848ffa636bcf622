"""The surface that a picture shows of its people: painted bodies, or bodies in loose clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmr.body.model_file import BodyModel
from hmr.rendering.rasterise import vertex_normals
from tfrecords_tools.standin.characters import Character, Outfit, sample_outfit
from tfrecords_tools.standin.clothes import Wear, sample_loose_outfit, sample_wear, vary_head
from tfrecords_tools.standin.details import add_details
from tfrecords_tools.standin.paint import Landmarks, paint, paint_skirt
from tfrecords_tools.standin.shells import SKIRT_Z_M, Shell, dress


@dataclass(frozen=True)
class Look:
    """A character in an outfit; `wear` is None where the clothes are painted on the body."""

    character: Character
    outfit: Outfit
    wear: Wear | None


@dataclass(frozen=True)
class Surface:
    """What is drawn of the people of a picture.

    Attributes:
        rest_m: (N, 3) places of a person's vertices at rest.
        faces: (F, 3) of one person.
        vertices_m: (P, N, 3) camera frame.
    """

    rest_m: np.ndarray
    faces: np.ndarray
    vertices_m: np.ndarray


def sample_look(rng: np.random.Generator, character: Character, clothes: str) -> Look:
    """What a character wears in one picture."""
    if clothes == "tight":
        return Look(character, sample_outfit(rng), None)
    wear = sample_wear(rng)
    return Look(vary_head(rng, character), sample_loose_outfit(rng, wear), wear)


def bare_surface(body: BodyModel, vertices_m: np.ndarray) -> Surface:
    """The bodies themselves."""
    return Surface(body.v_template, body.faces, vertices_m)


def dressed_surface(
    body: BodyModel,
    shell: Shell,
    marks: Landmarks,
    looks: list[Look],
    vertices_m: np.ndarray,
    joints_m: np.ndarray,
) -> Surface:
    """The bodies in loose clothes; see `shells.dress` for shapes."""
    dressed = []
    for look, vertices, joints in zip(looks, vertices_m, joints_m, strict=True):
        assert look.wear is not None
        normals = vertex_normals(vertices, body.faces)
        worn = look.wear, look.outfit, look.character
        dressed.append(dress(shell, marks, vertices, normals, joints, *worn))
    return Surface(shell.rest_m, shell.faces, np.stack(dressed))


def colours(rest: np.ndarray, marks: Landmarks, look: Look) -> np.ndarray:
    """Colours (P, 3), 0..1, of places on body and skirt at rest (P, 3)."""
    if look.wear is None:
        return paint(rest, marks, look.character, look.outfit)
    colour = paint(rest, marks, look.character, look.outfit, narrow_hair=True)
    skirt = rest[:, 2] > SKIRT_Z_M / 2
    if skirt.any():
        cloth = look.outfit.shirt if look.wear.is_dress else look.outfit.trousers
        colour[skirt] = paint_skirt(rest[skirt], cloth)
    add_details(colour, rest, marks, look.character, look.outfit, look.wear)
    return colour
