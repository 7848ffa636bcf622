"""One html file with the photograph and the bodies to turn; it needs no other file."""

from __future__ import annotations

import base64
import json
import os
from importlib.resources import files

import numpy as np

from hmr.body.joints import COCOPLUS, COCOPLUS_BONES
from hmr.body.model_file import BodyModel, require_faces
from hmr.files.images import jpeg_url
from hmr.files.whole import write_text
from hmr.prediction.result import Body
from hmr.prediction.writers.obj import to_y_up
from hmr.rendering.draw import overlay, person_color, shrink_to_fit, side_color

_TEMPLATE = "page.html"
_PLACE = "__DATA__"
_LONGEST_SIDE_PX = 1600


def write_page(
    path: str | os.PathLike, title: str, image: np.ndarray, bodies: list[Body], body: BodyModel
) -> None:
    """Writes the page: the photograph with its bodies, and beside it each mesh to turn.

    Args:
        path: of the html file, written atomically.
        title: shown at the top.
        image: (H, W, 3) uint8 RGB. Pictures with a side over 1600 px are shown smaller.
        bodies: of the picture.
        body: the arrays of the body model.

    Raises:
        UserError: the body has no faces.
    """
    faces = require_faces(body)
    photo = shrink_to_fit(image, _LONGEST_SIDE_PX, _LONGEST_SIDE_PX)
    shrink = np.divide(photo.shape[1::-1], image.shape[1::-1])
    drawn = overlay(photo, [_moved(person.vertices_px, shrink) for person in bodies], faces)
    content = {
        "title": title,
        "size": [image.shape[1], image.shape[0]],
        "photo": jpeg_url(photo),
        "overlay": jpeg_url(drawn),
        "faces": _base64(faces, "<u2"),
        "bones": [list(bone) for bone in COCOPLUS_BONES],
        "boneColors": [_css(COCOPLUS[a], COCOPLUS[b]) for a, b in COCOPLUS_BONES],
        "pointColors": [_css(name) for name in COCOPLUS],
        "people": [_person(index, person) for index, person in enumerate(bodies)],
    }
    template = (files("hmr.prediction.writers") / _TEMPLATE).read_text(encoding="utf-8")
    # A label or file name from outside must not end the script element.
    text = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    page = template.replace(_PLACE, text)
    write_text(path, page)


def _person(index: int, person: Body) -> dict:
    vertices = to_y_up(person.vertices_m)
    middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    return {
        "label": person.label,
        "doubts": list(person.doubts),
        "color": list(person_color(index)),
        "keypoints": np.round(person.keypoints2d_px.astype(np.float64), 2).tolist(),
        "vertices": _base64(vertices - middle, "<f4"),
    }


def _css(*names: str) -> str:
    return "rgb({},{},{})".format(*side_color(*names))


def _base64(array: np.ndarray, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()


def _moved(vertices_px: np.ndarray, shrink: np.ndarray) -> np.ndarray:
    """(V, 3) pixels of the picture -> of the smaller one; pixel centres are integers in both."""
    places = (vertices_px[:, :2] + 0.5) * shrink - 0.5
    return np.column_stack([places, vertices_px[:, 2] * shrink.min()])
