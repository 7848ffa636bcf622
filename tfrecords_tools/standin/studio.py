"""Renders many pictures on several processes; the result does not depend on their number."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from hmr.body.model_file import load_body
from hmr.progress import progress_bar
from tfrecords_tools.common.jobs import chunks
from tfrecords_tools.common.processes import deaths_named, process_pool
from tfrecords_tools.standin.picture import (
    BodyTemplate,
    GroundTruth,
    PosedBodies,
    measure_template,
    render_picture,
)
from tfrecords_tools.standin.shots import Shot

if TYPE_CHECKING:
    from hmr.body.smpl import SMPL

SHOTS_PER_BATCH, SHOTS_PER_TASK = 64, 8
"""Shots whose bodies are posed together, and shots that a process is handed at once."""
_TASKS_AHEAD = 4  # for each process

# A worker process keeps its template here from its start on.
_template: list[BodyTemplate] = []


def open_worker(body_path: Path) -> None:
    """Prepares a process for `render_pictures`."""
    _template[:] = [measure_template(load_body(body_path))]


def render_pictures(task: Sequence[tuple[Shot, PosedBodies]]) -> list[GroundTruth]:
    """Renders shots of posed bodies, see `render_picture`."""
    return [render_picture(_template[0], shot, bodies) for shot, bodies in task]


class Studio:
    """Poses bodies in this process and renders them in a pool of others; a context manager.

    Only this process imports Keras, which the SMPL layer needs and which takes seconds to start.

    Args:
        body_path: body file of the people.
        workers: number of processes.
    """

    def __init__(self, body_path: Path, workers: int):
        from hmr.body.smpl import SMPL

        self.smpl = SMPL(load_body(body_path))
        self._in_flight = _TASKS_AHEAD * workers
        self._processes = process_pool(workers, open_worker, body_path)

    def __enter__(self) -> Studio:
        self._pool = self._processes.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._processes.__exit__(*error)

    def rest_pelvis_m(self, beta: np.ndarray) -> np.ndarray:
        """Where the pelvis (3,) of a shape (10,) lies before `trans` moves the body, metres."""
        pose = np.zeros((1, 72), np.float32)
        return np.asarray(self.smpl.keypoints(pose, beta[None].astype(np.float32))["smpl_joints"])[
            0, 0
        ]

    def render(self, shots: Sequence[Shot], label: str) -> Iterator[GroundTruth]:
        """Renders the shots; yields their ground truth in order and shows a progress bar.

        Raises:
            UserError: processes died.
        """
        workers = self._in_flight // _TASKS_AHEAD
        bar = progress_bar(total=len(shots), desc=label, unit="picture")
        with deaths_named(f"rendering {label}", workers), bar:
            yield from self._render(shots, bar)

    def _render(self, shots: Sequence[Shot], bar: tqdm) -> Iterator[GroundTruth]:
        waiting: collections.deque[Future[list[GroundTruth]]] = collections.deque()
        for task in self._tasks(shots):
            waiting.append(self._pool.submit(render_pictures, task))
            if len(waiting) >= self._in_flight:
                yield from _collect(waiting, bar)
        while waiting:
            yield from _collect(waiting, bar)

    def _tasks(self, shots: Sequence[Shot]) -> Iterator[Sequence[tuple[Shot, PosedBodies]]]:
        for batch in chunks(shots, SHOTS_PER_BATCH):
            posed = list(zip(batch, pose_bodies(self.smpl, batch), strict=True))
            yield from chunks(posed, SHOTS_PER_TASK)


def pose_bodies(smpl: SMPL, shots: Sequence[Shot]) -> list[PosedBodies]:
    """Poses and places the people of all shots in one batch."""
    people = [posed for shot in shots for posed in shot.people]
    pose = np.stack([posed.pose for posed in people]).astype(np.float32)
    beta = np.stack([posed.character.beta for posed in people]).astype(np.float32)
    bodies = {name: np.asarray(value) for name, value in smpl(pose, beta).items()}
    pelvis = np.stack([posed.pelvis_m for posed in people]).astype(np.float32)
    shift = (pelvis - bodies["smpl_joints"][:, 0])[:, None]  # (P, 1, 3)
    joints = np.concatenate([bodies["joints3d"], bodies["smpl_joints"]], axis=1)  # (P, 43, 3)
    ends = np.cumsum([len(shot.people) for shot in shots])[:-1]
    vertices_m = np.split(bodies["vertices"] + shift, ends)
    joints_m = np.split(joints + shift, ends)
    return [PosedBodies(*pair) for pair in zip(vertices_m, joints_m, strict=True)]


def _collect(waiting: collections.deque[Future[list[GroundTruth]]], bar: tqdm) -> list[GroundTruth]:
    truths = waiting.popleft().result()
    bar.update(len(truths))
    return truths
