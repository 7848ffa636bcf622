"""Writes the bodies of one picture: numbers, pictures, meshes."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hmr.body.measurements import CAVEAT, DEFINITIONS, measure
from hmr.body.model_file import BodyModel, require_faces
from hmr.files.images import write_image
from hmr.files.whole import write_text, write_whole
from hmr.prediction.result import ARRAY_FIELDS, FRAMES, QUANTITIES, Body, stack, unstack
from hmr.prediction.stopwatch import Stopwatch
from hmr.prediction.writers.bvh import write_bvh
from hmr.prediction.writers.gltf import write_glb
from hmr.prediction.writers.obj import rest_body, write_obj
from hmr.prediction.writers.page import write_page
from hmr.rendering.draw import overlay, person_color, person_row, side_by_side, stack_rows

_IN_JSON = tuple(name for name in ("label", "score", *ARRAY_FIELDS) if name != "vertices_m")


@dataclass(frozen=True)
class Picture:
    """A picture with its bodies, ready to be written.

    Attributes:
        name: of the picture, as the files say it.
        height: pixels.
        width: pixels.
        bodies: its people.
        image: (H, W, 3) uint8 RGB; needed by the kinds that draw on it.
        request: fingerprint of model and settings, kept in the npz.
        problems: a line for each person that was left out, kept in npz and json.
    """

    name: str
    height: int
    width: int
    bodies: list[Body]
    image: np.ndarray | None = None
    request: str = ""
    problems: tuple[str, ...] = ()


def save_npz(path: Path, picture: Picture) -> None:
    """Every quantity, with a leading axis of people; `quantities` in the file describes them."""
    arrays: dict[str, Any] = {
        **stack(picture.bodies),
        "image": np.str_(picture.name),
        "image_size_px": np.array([picture.height, picture.width]),
        "request": np.str_(picture.request),
        "problems": np.array(picture.problems, np.str_),
        "frames": np.str_(FRAMES),
        "quantities": np.str_(json.dumps(QUANTITIES)),
    }
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def load_npz(path: str | os.PathLike) -> Picture | None:
    """Reads what `save_npz` wrote (no pickles); None if the file is absent or of another kind."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        height, width = (int(value) for value in arrays["image_size_px"])
        problems = tuple(map(str, arrays["problems"]))
        name, request = str(arrays["image"]), str(arrays["request"])
        return Picture(name, height, width, unstack(arrays), None, request, problems)
    except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile):
        return None


def save_json(path: Path, picture: Picture, model: BodyModel) -> None:
    """Every quantity but the vertices, body measurements, and a description of each."""
    content = {
        "image": picture.name,
        "image_size_px": [picture.height, picture.width],
        "frames": FRAMES,
        "problems": picture.problems,
        "quantities": {name: QUANTITIES[name] for name in _IN_JSON},
        "measurements": {"about": CAVEAT, **DEFINITIONS},
        "people": [_json_person(body, model) for body in picture.bodies],
    }
    write_text(path, json.dumps(content, indent=1))


def _json_person(body: Body, model: BodyModel) -> dict:
    figures = measure(model, body.beta)
    measurements = {name: _plain(round(value, 4)) for name, value in figures.items()}
    quantities = {name: _plain(getattr(body, name)) for name in _IN_JSON}
    return {**quantities, "measurements_m": measurements}


def _plain(value: object) -> object:
    """Arrays as lists of the shortest numbers that read back as the same float32; nan as null."""
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value]
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return None
    if isinstance(value, np.float32):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def draw_overlay(picture: Picture, model: BodyModel) -> np.ndarray:
    """The bodies over the picture."""
    faces = require_faces(model)
    return overlay(_image(picture), [body.vertices_px for body in picture.bodies], faces)


def draw_side(picture: Picture, model: BodyModel) -> np.ndarray:
    """Every body from its right-hand side of the picture, on white."""
    faces = require_faces(model)
    return side_by_side(_image(picture), [body.vertices_m for body in picture.bodies], faces)


def draw_crops(picture: Picture, model: BodyModel) -> np.ndarray:
    """A row per person: crop, keypoints, body, and the body from three more sides."""
    image, faces = _image(picture), require_faces(model)
    rows = [
        person_row(
            image, body.box, body.keypoints2d_px, body.vertices_m, body.weak_camera, faces,
            color=person_color(index),
        )
        for index, body in enumerate(picture.bodies)
    ]  # fmt: skip
    return stack_rows(rows)


def _image(picture: Picture) -> np.ndarray:
    if picture.image is None:
        raise ValueError("drawing needs the picture itself: Picture(image=...)")
    return picture.image


def _write_drawing(
    draw: Callable[[Picture, BodyModel], np.ndarray],
) -> Callable[[Path, Picture, BodyModel], None]:
    def write(path: Path, picture: Picture, model: BodyModel) -> None:
        write_image(path, draw(picture, model))

    return write


def _write_obj(path: Path, body: Body, model: BodyModel) -> None:
    write_obj(path, body.vertices_m, require_faces(model))


def _write_glb(path: Path, body: Body, model: BodyModel) -> None:
    write_glb(path, model, body.rotations, body.beta)


def _write_page(path: Path, picture: Picture, model: BodyModel) -> None:
    write_page(path, Path(picture.name).name, _image(picture), picture.bodies, model)


class Pose(NamedTuple):
    """What a motion keeps of a body: a kilobyte per frame."""

    rotations: np.ndarray
    beta: np.ndarray
    translation_m: np.ndarray

    @classmethod
    def of(cls, body: Body) -> Pose:
        """The pose of a body, in the room's metres."""
        return cls(body.rotations, body.beta, body.translation_room_m)


def _write_pose(path: Path, body: Body, model: BodyModel) -> None:
    write_motion(path, [Pose.of(body)], model, frames_per_second=1.0)


def write_motion(
    path: Path, poses: Sequence[Pose], model: BodyModel, frames_per_second: float
) -> None:
    """One person's motion as bvh, with the bones of their mean shape.

    Args:
        path: of the file.
        poses: the person in every frame.
        model: the body's arrays.
        frames_per_second: of the motion.
    """
    _, rest = rest_body(model, np.mean([pose.beta for pose in poses], axis=0))
    roots = np.array([rest[0] + pose.translation_m for pose in poses])
    write_bvh(path, np.array([pose.rotations for pose in poses]), roots, rest, frames_per_second)


# One file per picture: kind -> ending, writer(path, picture, model).
PICTURE_KINDS: dict[str, tuple[str, Callable]] = {
    "npz": (".npz", lambda path, picture, model: save_npz(path, picture)),
    "json": (".json", save_json),
    "overlay": ("_overlay.png", _write_drawing(draw_overlay)),
    "side": ("_side.png", _write_drawing(draw_side)),
    "crop": ("_crop.png", _write_drawing(draw_crops)),
    "page": (".html", _write_page),
}
# One file per person: kind -> writer(path, body, model); the ending is `_<number>.<kind>`.
PERSON_KINDS: dict[str, Callable] = {"obj": _write_obj, "glb": _write_glb, "bvh": _write_pose}
KINDS = (*PICTURE_KINDS, *PERSON_KINDS)
# These show or hold the surface.
NEED_FACES = ("overlay", "side", "crop", "page", "obj", "glb")
# Pictures of nobody are not written.
_NEED_PEOPLE = ("side", "crop")


def check_kinds(kinds: Sequence[str], model: BodyModel) -> None:
    """To be called before anything is written.

    Raises:
        UserError: a kind needs the body's faces, and it has none.
    """
    if set(kinds) & set(NEED_FACES):
        require_faces(model)


def planned_files(base: Path, num_people: int, kinds: tuple[str, ...]) -> dict[Path, tuple]:
    """The files of one picture: path -> (kind, person's index or None)."""
    plan: dict[Path, tuple] = {}
    for kind in kinds:
        if kind in PERSON_KINDS:
            for index in range(num_people):
                plan[base.with_name(f"{base.name}_{index}.{kind}")] = (kind, index)
        elif num_people or kind not in _NEED_PEOPLE:
            plan[base.with_name(base.name + PICTURE_KINDS[kind][0])] = (kind, None)
    return plan


def is_current(path: Path, since_ns: int | None) -> bool:
    """Whether a file is there, written at that time or later; never if no time is given."""
    return since_ns is not None and path.is_file() and path.stat().st_mtime_ns >= since_ns


def save_picture(
    base: str | os.PathLike,
    picture: Picture,
    model: BodyModel,
    kinds: tuple[str, ...],
    keep_since_ns: int | None = None,
    watch: Stopwatch | None = None,
) -> list[Path]:
    """Writes the files of one picture, each whole or not at all.

    Args:
        base: path without suffix that all file names begin with.
        picture: its bodies.
        model: the body's arrays.
        kinds: among `KINDS`.
        keep_since_ns: leave files alone that were written since then (`st_mtime_ns`).
        watch: is told the time of each kind, as `save <kind>`.

    Returns:
        The paths of all files of these kinds.

    Raises:
        UserError: a kind needs the body's faces, and it has none; nothing is written.
    """
    check_kinds(kinds, model)
    watch = watch or Stopwatch()
    plan = planned_files(Path(base), len(picture.bodies), kinds)
    for path, (kind, index) in plan.items():
        if is_current(path, keep_since_ns):
            continue
        with watch(f"save {kind}"):
            if index is None:
                PICTURE_KINDS[kind][1](path, picture, model)
            else:
                PERSON_KINDS[kind](path, picture.bodies[index], model)
    return list(plan)
