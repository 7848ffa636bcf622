"""Every kind of file that a result is written as, in one table, and the function that writes them.

A new kind is a row of `KINDS`, its line in docs/prediction.md, and its test.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.model_file import BodyModel, require_faces, rest_body
from hmr.errors import UserError
from hmr.files.images import write_image
from hmr.prediction.result import Body, Result
from hmr.prediction.stopwatch import Stopwatch
from hmr.prediction.writers.bvh import MotionFrame, write_bvh
from hmr.prediction.writers.gltf import place, write_glb, write_scene
from hmr.prediction.writers.numbers import write_json, write_npz
from hmr.prediction.writers.obj import write_obj
from hmr.prediction.writers.page import write_page
from hmr.prediction.writers.pictures import draw_crops, draw_overlay, draw_side, given_image


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        ending: of the file's name; `{}` in it is the person's number.
        write: takes the path, a `Result` (or one `Body` of it, where the ending has a person's
            number), and the body's arrays.
        needs_faces: whether it shows or holds the surface.
        needs_people: whether a picture without people gives no file.
    """

    ending: str
    write: Callable[[Path, Any, BodyModel], None]
    needs_faces: bool = True
    needs_people: bool = False

    @property
    def per_person(self) -> bool:
        """Whether each person has a file of their own."""
        return "{}" in self.ending


def _drawn(draw: Callable[[Result, BodyModel], np.ndarray]) -> Callable:
    return lambda path, result, body: write_image(path, draw(result, body))


def _page(path: Path, result: Result, body: BodyModel) -> None:
    write_page(path, Path(result.name).name, given_image(result), result.bodies, body)


def _obj(path: Path, person: Body, body: BodyModel) -> None:
    write_obj(path, person.vertices_m, require_faces(body))


def _glb(path: Path, person: Body, body: BodyModel) -> None:
    write_glb(path, body, MotionFrame.of(person), place(person))


def _scene(path: Path, result: Result, body: BodyModel) -> None:
    write_scene(path, result.bodies, body, (result.height, result.width))


def _backdrop(path: Path, result: Result, body: BodyModel) -> None:
    image = given_image(result)
    write_scene(path, result.bodies, body, (result.height, result.width), image)


def _bvh(path: Path, person: Body, body: BodyModel) -> None:
    _, rest = rest_body(body, person.beta)
    place_m = rest[0] + person.translation_room_m
    write_bvh(path, person.rotations[None], place_m[None], rest, frames_per_second=1.0)


KINDS = {
    "npz": Kind(".npz", write_npz, needs_faces=False),
    "json": Kind(".json", write_json, needs_faces=False),
    "overlay": Kind("_overlay.png", _drawn(draw_overlay)),
    "side": Kind("_side.png", _drawn(draw_side), needs_people=True),
    "crop": Kind("_crop.png", _drawn(draw_crops), needs_people=True),
    "page": Kind(".html", _page),
    "obj": Kind("_{}.obj", _obj),
    "glb": Kind("_{}.glb", _glb),
    "scene": Kind("_scene.glb", _scene, needs_people=True),
    "backdrop": Kind("_backdrop.glb", _backdrop, needs_people=True),
    "bvh": Kind("_{}.bvh", _bvh, needs_faces=False),
}


VIDEO_KINDS = ("motion",)
"""Kinds of a whole video only, see `hmr.prediction.writers.motion`."""


def check_names(kinds: Collection[str], of_video: bool = False) -> None:
    """Checks that these are kinds of a picture, or of a video.

    Raises:
        UserError: one is unknown.
    """
    is_list = isinstance(kinds, list | tuple | set | frozenset | dict)
    known = (*KINDS, *VIDEO_KINDS) if of_video else tuple(KINDS)
    unknown = [kind for kind in kinds if kind not in known] if is_list else [kinds]
    if unknown:
        alone = " (motion is of videos only)" if unknown == ["motion"] else ""
        raise UserError(
            f"kinds must be a list of {', '.join(known)}. Received: "
            f"{', '.join(map(str, unknown))}{alone}"
        )


def check_kinds(kinds: Collection[str], body: BodyModel, of_video: bool = False) -> None:
    """Checks that the body has all that the kinds need; call it before anything is written.

    Raises:
        UserError: as `check_names`, or a kind needs the body's faces, and it has none.
    """
    check_names(kinds, of_video)
    if needs_faces(kinds):
        require_faces(body)


def needs_faces(kinds: Collection[str]) -> bool:
    """Whether one of these kinds shows or holds the body's surface."""
    return any(kind in VIDEO_KINDS or KINDS[kind].needs_faces for kind in kinds)


def planned_files(base: Path, result: Result, kinds: Collection[str]) -> dict[Path, tuple]:
    """The files of one picture: path -> (kind, the result or the one of its bodies to write)."""
    plan: dict[Path, tuple] = {}
    for name in kinds:
        kind = KINDS[name]
        if kind.per_person:
            for index, person in enumerate(result.bodies):
                plan[base.with_name(base.name + kind.ending.format(index))] = (name, person)
        elif result.bodies or not kind.needs_people:
            plan[base.with_name(base.name + kind.ending)] = (name, result)
    return plan


def is_current(path: Path, since_ns: int | None) -> bool:
    """Whether a file exists and was written at that time or later; False if no time is given."""
    return since_ns is not None and path.is_file() and path.stat().st_mtime_ns >= since_ns


def save_result(
    base: str | os.PathLike,
    result: Result,
    body: BodyModel,
    kinds: Collection[str],
    keep_since_ns: int | None = None,
    watch: Stopwatch | None = None,
) -> list[Path]:
    """Writes the files of one picture, each one atomically.

    Args:
        base: path without suffix that all file names begin with.
        result: the picture's bodies.
        body: the arrays of the body model.
        kinds: among `KINDS`.
        keep_since_ns: leave files alone that were written since then (`st_mtime_ns`).
        watch: adds up the time of each kind, as `save <kind>`.

    Returns:
        The paths of all files of these kinds.

    Raises:
        UserError: a kind needs the body's faces, and it has none; nothing is written.
    """
    check_kinds(kinds, body)
    watch = watch or Stopwatch()
    plan = planned_files(Path(base), result, kinds)
    for path, (kind, written) in plan.items():
        if not is_current(path, keep_since_ns):
            with watch(f"save {kind}"):
                KINDS[kind].write(path, written, body)
    return list(plan)
