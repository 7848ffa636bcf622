"""Bodies as pictures: over the photograph, from their side, and a row of views per person."""

from __future__ import annotations

import numpy as np

from hmr.body.model_file import BodyModel, require_faces
from hmr.prediction.result import Result
from hmr.rendering.draw import overlay, person_color, person_row, side_by_side


def draw_overlay(result: Result, body: BodyModel) -> np.ndarray:
    """The bodies over the picture: (H, W, 3) uint8 RGB."""
    faces = require_faces(body)
    return overlay(given_image(result), [person.vertices_px for person in result.bodies], faces)


def draw_side(result: Result, body: BodyModel) -> np.ndarray:
    """Everyone from the right-hand side of the picture, on white."""
    faces = require_faces(body)
    return side_by_side(given_image(result), [person.vertices_m for person in result.bodies], faces)


def draw_crops(result: Result, body: BodyModel) -> np.ndarray:
    """A row per person: crop, keypoints, body, and the body from three more sides."""
    image, faces = given_image(result), require_faces(body)
    rows = [
        person_row(
            image, person.box, person.keypoints2d_px, person.vertices_m, person.weak_camera, faces,
            color=person_color(index),
        )
        for index, person in enumerate(result.bodies)
    ]  # fmt: skip
    return np.concatenate(rows)


def given_image(result: Result) -> np.ndarray:
    """The picture's pixels.

    Raises:
        ValueError: the result comes from a file, which holds no pixels.
    """
    if result.image is None:
        raise ValueError("drawing needs the picture itself: Result(image=...)")
    return result.image
