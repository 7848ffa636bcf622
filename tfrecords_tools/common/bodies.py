"""Bodies without pictures: what the converters of motion capture share."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hmr.data.schema import mocap_to_example
from hmr.data.shards import MOCAP_PREFIX
from hmr.errors import UserError
from hmr.progress import progress_bar
from tfrecords_tools.common.jobs import (
    BODIES_PER_SHARD,
    DropLog,
    Job,
    Outcome,
    SampleError,
    fingerprint,
)
from tfrecords_tools.common.processes import deaths_named, process_pool

POSE_SIZE, SHAPE_SIZE = 72, 10
_POSE_BYTES = POSE_SIZE * np.dtype(np.float32).itemsize
_SHUFFLE_SEED = 0
# Below this, processes take longer to start than takes to be read.
_TAKES_WORTH_PROCESSES = 200


class Takes:
    """Poses of many takes, each with one beta.

    The poses are kept in an anonymous temporary file: four million take more than a gigabyte.
    """

    def __init__(self) -> None:
        # Unbuffered: bodies are read one by one from all over the file.
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as this
        self._ends: list[int] = []
        self._betas: list[np.ndarray] = []

    def add(self, poses: np.ndarray, beta: np.ndarray) -> None:
        """Adds a take: poses (N, 72), axis-angles in rad, root first; beta (10,).

        Raises:
            UserError: there is no room for temporary files.
        """
        data = np.ascontiguousarray(poses, np.float32).tobytes()
        try:
            if self._file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise UserError(
                f"no room for the poses in {tempfile.gettempdir()} ({error}): set TMPDIR to a "
                f"folder on a larger disk and run the same command again."
            ) from error
        self._ends.append(len(self) + len(poses))
        self._betas.append(np.asarray(beta, np.float32))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def bodies(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Poses (n, 72) and betas (n, 10) of these bodies."""
        betas = np.stack(self._betas)[np.searchsorted(self._ends, rows, side="right")]
        poses = np.frombuffer(b"".join(map(self._read_pose, rows.tolist())), np.float32)
        return poses.reshape(len(rows), POSE_SIZE), betas

    def _read_pose(self, row: int) -> bytes:
        self._file.seek(row * _POSE_BYTES)
        return self._file.read(_POSE_BYTES)


class BodyUnits(Sequence):
    """All bodies in one seeded shuffle, cut into shards.

    Item i is (poses (n, 72), betas (n, 10)), read when it is asked for.
    """

    def __init__(self, takes: Takes):
        self._takes = takes
        self._order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(takes))

    def __len__(self) -> int:
        return -(-len(self._order) // BODIES_PER_SHARD)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self._order[index * BODIES_PER_SHARD : (index + 1) * BODIES_PER_SHARD]
        return self._takes.bodies(rows)


def convert_bodies(unit: tuple[np.ndarray, np.ndarray]) -> Iterator[Outcome]:
    """The records of a unit of `BodyUnits`."""
    for pose, beta in zip(*unit, strict=True):
        yield mocap_to_example(pose, beta)


ReadTake = Callable[[Path], tuple[np.ndarray, np.ndarray]]
"""Path -> poses (N, 72) and beta (10,); may raise `SampleError`; picklable."""


def bodies_job(
    name: str,
    paths: list[Path],
    read_take: ReadTake,
    dropped: DropLog,
    arguments: dict[str, Any],
    workers: int,
) -> Job:
    """The job that converts the takes of one set.

    Args:
        name: the record set, without its prefix.
        paths: the takes' files, in a fixed order.
        read_take: reads one of them.
        dropped: takes that are already left out; unusable ones are added.
        arguments: options that decide what comes out.
        workers: how many processes read them.
    Raises:
        UserError: there is no room for temporary files.
    """
    takes = Takes()
    found = _read_all(paths, read_take, workers)
    for take in progress_bar(found, total=len(paths), desc=f"reading {name}", unit=" takes"):
        if isinstance(take, SampleError):
            dropped.add(take.reason, take.name)
        else:
            takes.add(*take)
    return Job(
        f"{MOCAP_PREFIX}{name}",
        "train",
        BodyUnits(takes),
        convert_bodies,
        samples=len(takes),
        dropped=dropped,
        arguments=arguments,
        source_fingerprint=fingerprint(folders=sorted({path.parent for path in paths})),
    )


def _read_all(
    paths: list[Path], read_take: ReadTake, workers: int
) -> Iterator[tuple[np.ndarray, np.ndarray] | SampleError]:
    """Yields takes in the order of the paths; for a take that is left out, its error."""
    read = partial(_read_or_error, read_take)
    if workers < 2 or len(paths) < _TAKES_WORTH_PROCESSES:
        yield from map(read, paths)
        return
    doing = f"reading takes in {paths[0].parent} and elsewhere"
    with deaths_named(doing, workers), process_pool(workers) as pool:
        yield from pool.map(read, paths)


def _read_or_error(read_take: ReadTake, path: Path) -> tuple[np.ndarray, np.ndarray] | SampleError:
    try:
        return read_take(path)
    except SampleError as error:
        return error


def usable_take(path: Path, poses: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A take without the poses that hold a NaN or an infinity.

    Args:
        path: its file.
        poses: (N, 72) rad.
        beta: at least ten numbers, of which the first ten are kept.
    Returns:
        poses (n, 72), beta (10,) float32.
    Raises:
        SampleError: no pose is left, or a number of `beta` is not finite.
    """
    poses = poses[np.isfinite(poses).all(axis=1)]
    if not len(poses) or not np.isfinite(beta).all():
        raise SampleError("take without usable frames", str(path))
    return poses, beta.ravel()[:SHAPE_SIZE].astype(np.float32)
