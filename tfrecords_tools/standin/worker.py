"""What the studio's processes run; without Keras, which takes seconds to start."""

from __future__ import annotations

from pathlib import Path

from hmr.body.model_file import load_body
from tfrecords_tools.standin.picture import Bodies, Shot, Stage, Take, build_stage, take_picture

_stage: list[Stage] = []  # of this process, filled when it starts


def open_worker(body_path: Path) -> None:
    """Prepares a process for `take_pictures`."""
    _stage[:] = [build_stage(load_body(body_path))]


def take_pictures(task: list[tuple[Shot, Bodies]]) -> list[Take]:
    """Renders shots of posed bodies, see `take_picture`."""
    return [take_picture(_stage[0], shot, bodies) for shot, bodies in task]
