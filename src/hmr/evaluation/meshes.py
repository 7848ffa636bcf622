"""The meshes of many samples, made a few at a time: 6890 vertices each are too many to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from tqdm import tqdm

from hmr.body.smpl import SMPL

_BATCH = 64


class Meshes(Protocol):
    """N meshes of SMPL's topology, camera's axes."""

    def __len__(self) -> int: ...

    def take(self, chosen: np.ndarray) -> Meshes:
        """The chosen samples, by mask or indices."""

    def vertices_m(self, chosen: slice) -> np.ndarray:
        """(n, 6890, 3) of a range of samples, metres."""


@dataclass(frozen=True)
class GivenMeshes:
    """Vertices (N, 6890, 3) as they stand in a file, metres."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def take(self, chosen: np.ndarray) -> GivenMeshes:
        """See `Meshes`."""
        return GivenMeshes(self.array[chosen])

    def vertices_m(self, chosen: slice) -> np.ndarray:
        """See `Meshes`."""
        return self.array[chosen]


@dataclass(frozen=True)
class PosedBodies:
    """Bodies from parameters.

    Attributes:
        bodies: name -> layer, such as "m" and "f".
        which: (N,) str, the name of each sample's layer.
        poses: (N, 72) axis-angles, radians, root first.
        betas: (N, 10).
    """

    bodies: Mapping[str, SMPL]
    which: np.ndarray
    poses: np.ndarray
    betas: np.ndarray

    def __len__(self) -> int:
        return len(self.poses)

    def take(self, chosen: np.ndarray) -> PosedBodies:
        """See `Meshes`."""
        return PosedBodies(self.bodies, self.which[chosen], self.poses[chosen], self.betas[chosen])

    def vertices_m(self, chosen: slice) -> np.ndarray:
        """See `Meshes`."""
        which, poses, betas = self.which[chosen], self.poses[chosen], self.betas[chosen]
        vertices = np.empty((len(poses), *next(iter(self.bodies.values())).body.v_template.shape))
        for name, body in self.bodies.items():
            rows = np.flatnonzero(which == name)
            if len(rows):
                posed = body(poses[rows].astype(np.float32), betas[rows].astype(np.float32))
                vertices[rows] = np.asarray(posed["vertices"])
        return vertices


def posed(body: SMPL, poses: np.ndarray, betas: np.ndarray) -> PosedBodies:
    """Bodies of one layer: poses (N, 72) and betas (N, 10)."""
    return PosedBodies({"": body}, np.full(len(poses), ""), poses, betas)


def in_batches(meshes: Meshes, what: str) -> Iterator[tuple[slice, np.ndarray]]:
    """Ranges of samples and their vertices (n, 6890, 3), with a progress bar named `what`."""
    starts = range(0, len(meshes), _BATCH)
    for start in tqdm(starts, desc=what, unit="batch"):
        chosen = slice(start, min(start + _BATCH, len(meshes)))
        yield chosen, meshes.vertices_m(chosen)


def regress(meshes: Meshes, regressor: np.ndarray, what: str) -> np.ndarray:
    """Joints (N, J, 3) m of all meshes by a regressor (J, 6890)."""
    parts = [np.einsum("jv,nvc->njc", regressor, part) for _, part in in_batches(meshes, what)]
    return np.concatenate(parts)
