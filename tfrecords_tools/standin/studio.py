"""Takes many pictures on several processes, with the same result for any number of them."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from hmr.body.model_file import load_body
from tfrecords_tools.common.processes import process_pool
from tfrecords_tools.standin.picture import Bodies, Stage, Take, build_stage, take_picture
from tfrecords_tools.standin.shots import Shot

if TYPE_CHECKING:
    from hmr.body.smpl import SMPL

SHOTS_PER_BATCH, SHOTS_PER_TASK = 64, 8
"""Shots whose bodies are posed together, and shots that a process gets at once."""


_stage: list[Stage] = []  # of this process, filled when it starts


def open_worker(body_path: Path) -> None:
    """Prepares a process for `take_pictures`."""
    _stage[:] = [build_stage(load_body(body_path))]


def take_pictures(task: list[tuple[Shot, Bodies]]) -> list[Take]:
    """Renders shots of posed bodies, see `take_picture`."""
    return [take_picture(_stage[0], shot, bodies) for shot, bodies in task]


class Studio:
    """Poses bodies here and has them rendered by a pool of processes; a context manager.

    Bodies are posed by the SMPL layer, which brings Keras with it; the processes start without.

    Args:
        body_path: body file of the people.
        workers: number of processes.
    """

    def __init__(self, body_path: Path, workers: int):
        from hmr.body.smpl import SMPL

        self.smpl = SMPL(load_body(body_path))
        self._in_flight = 4 * workers
        self._processes = process_pool(workers, open_worker, body_path)

    def __enter__(self) -> Studio:
        self._pool = self._processes.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._processes.__exit__(*error)

    def take(self, shots: Sequence[Shot], label: str) -> Iterator[Take]:
        """Takes the shots; yields their annotations in the same order, under a progress bar."""
        waiting: collections.deque[Future[list[Take]]] = collections.deque()
        with tqdm(total=len(shots), desc=label, unit="picture") as bar:
            for task in self._tasks(shots):
                waiting.append(self._pool.submit(take_pictures, task))
                if len(waiting) >= self._in_flight:
                    yield from _collect(waiting, bar)
            while waiting:
                yield from _collect(waiting, bar)

    def _tasks(self, shots: Sequence[Shot]) -> Iterator[list[tuple[Shot, Bodies]]]:
        for batch in _slices(shots, SHOTS_PER_BATCH):
            posed = list(zip(batch, pose_bodies(self.smpl, batch), strict=True))
            yield from _slices(posed, SHOTS_PER_TASK)


def pose_bodies(smpl: SMPL, shots: Sequence[Shot]) -> list[Bodies]:
    """Poses and places the figures of all shots in one batch."""
    figures = [figure for shot in shots for figure in shot.figures]
    pose = np.stack([figure.pose for figure in figures]).astype(np.float32)
    beta = np.stack([figure.person.beta for figure in figures]).astype(np.float32)
    posed = {name: np.asarray(value) for name, value in smpl(pose, beta).items()}
    pelvis = np.stack([figure.pelvis_m for figure in figures]).astype(np.float32)
    shift = (pelvis - posed["smpl_joints"][:, 0])[:, None]
    joints = np.concatenate([posed["joints3d"], posed["smpl_joints"]], axis=1) + shift
    vertices = posed["vertices"] + shift
    ends = np.cumsum([len(shot.figures) for shot in shots])[:-1]
    pairs = zip(np.split(vertices, ends), np.split(joints, ends), strict=True)
    return [Bodies(vertices_m, joints_m) for vertices_m, joints_m in pairs]


def _slices(items: Sequence, size: int) -> Iterator:
    return (items[start : start + size] for start in range(0, len(items), size))


def _collect(waiting: collections.deque[Future[list[Take]]], bar: tqdm) -> list[Take]:
    takes = waiting.popleft().result()
    bar.update(len(takes))
    return takes
