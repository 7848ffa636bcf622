"""Bodies without pictures: what the converters of motion capture share."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from src.data.schema import mocap_to_example
from tfrecords_tools.jobs import BODIES_PER_SHARD, Outcome

POSE_SIZE, SHAPE_SIZE = 72, 10
_SHUFFLE_SEED = 0


@dataclass
class Takes:
    """Poses of many takes, each with one shape.

    Attributes:
        poses: per take (N, 72) float32, axis-angles in rad, root first.
        shapes: per take (10,) float32.
    """

    poses: list[np.ndarray] = field(default_factory=list)
    shapes: list[np.ndarray] = field(default_factory=list)

    def add(self, poses: np.ndarray, shape: np.ndarray) -> None:
        """Adds a take of at least one pose."""
        self.poses.append(np.ascontiguousarray(poses, np.float32))
        self.shapes.append(np.asarray(shape, np.float32))

    def __len__(self) -> int:
        return sum(len(poses) for poses in self.poses)


class BodyUnits(Sequence):
    """All bodies in one seeded shuffle, cut into shards.

    Item i is (poses (n, 72), shapes (n, 10)), made when it is asked for.
    """

    def __init__(self, takes: Takes, per_shard: int = BODIES_PER_SHARD):
        self._takes, self._per_shard = takes, per_shard
        self._starts = np.cumsum([0] + [len(poses) for poses in takes.poses]).tolist()
        self._order = np.random.default_rng(_SHUFFLE_SEED).permutation(len(takes))

    def __len__(self) -> int:
        return -(-len(self._order) // self._per_shard)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        rows = self._order[index * self._per_shard : (index + 1) * self._per_shard].tolist()
        takes = [bisect_right(self._starts, row) - 1 for row in rows]
        poses = [
            self._takes.poses[t][row - self._starts[t]] for t, row in zip(takes, rows, strict=True)
        ]
        return np.stack(poses), np.stack([self._takes.shapes[t] for t in takes])


def convert_bodies(unit: tuple[np.ndarray, np.ndarray]) -> Iterator[Outcome]:
    """The records of a unit of `BodyUnits`."""
    for pose, shape in zip(*unit, strict=True):
        yield mocap_to_example(pose, shape)


def finite_rows(poses: np.ndarray) -> np.ndarray:
    """The poses without those that hold a NaN or an infinity."""
    return poses[np.isfinite(poses).all(axis=1)]
