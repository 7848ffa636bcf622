"""The meshes of many samples, made a batch at a time: all of them at once would fill the memory."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from hmr.body.model_file import NUM_VERTICES
from hmr.body.smpl import SMPL
from hmr.progress import progress_bar

_BATCH = 64


@dataclass(frozen=True)
class Columns:
    """Arrays with a row for each of N samples, side by side."""

    def take(self, chosen: np.ndarray) -> typing.Self:
        """A copy with the chosen samples, by mask or indices; what has no rows stays as it is."""

        def rows(value: typing.Any) -> typing.Any:
            if isinstance(value, np.ndarray):
                return value[chosen]
            return value.take(chosen) if hasattr(value, "take") else value

        return replace(self, **{f.name: rows(getattr(self, f.name)) for f in fields(self)})


class Meshes(typing.Protocol):
    """N meshes of SMPL's topology, camera's axes."""

    def __len__(self) -> int: ...

    def take(self, chosen: np.ndarray) -> Meshes:
        """See `Columns`."""

    def vertices_m(self, chosen: slice) -> np.ndarray:
        """(n, 6890, 3) of a range of samples, metres."""


@dataclass(frozen=True)
class GivenMeshes(Columns):
    """Vertices (N, 6890, 3) of a file, metres."""

    array: np.ndarray

    def __len__(self) -> int:
        return len(self.array)

    def vertices_m(self, chosen: slice) -> np.ndarray:
        """See `Meshes`."""
        return self.array[chosen]


@dataclass(frozen=True)
class PosedBodies(Columns):
    """Bodies from parameters.

    Attributes:
        layers: name -> SMPL layer, such as "m" and "f".
        which: (N,) str, the name of each sample's layer.
        pose: (N, 72) axis-angles, radians, root first.
        beta: (N, 10).
    """

    layers: Mapping[str, SMPL]
    which: np.ndarray
    pose: np.ndarray
    beta: np.ndarray

    def __len__(self) -> int:
        return len(self.pose)

    def vertices_m(self, chosen: slice) -> np.ndarray:
        """See `Meshes`."""
        which, pose, beta = self.which[chosen], self.pose[chosen], self.beta[chosen]
        vertices = np.empty((len(pose), NUM_VERTICES, 3))
        for name, smpl in self.layers.items():
            rows = np.flatnonzero(which == name)
            if len(rows):
                posed = smpl(pose[rows].astype(np.float32), beta[rows].astype(np.float32))
                vertices[rows] = np.asarray(posed["vertices"])
        return vertices


def posed(smpl: SMPL, pose: np.ndarray, beta: np.ndarray) -> PosedBodies:
    """Bodies of one layer: pose (N, 72) and beta (N, 10)."""
    return PosedBodies({"": smpl}, np.full(len(pose), ""), pose, beta)


def in_batches(meshes: Meshes, what: str) -> Iterator[tuple[slice, np.ndarray]]:
    """Ranges of samples and their vertices (n, 6890, 3), with a progress bar named `what`."""
    starts = range(0, len(meshes), _BATCH)
    for start in progress_bar(starts, desc=what, unit="batch"):
        chosen = slice(start, min(start + _BATCH, len(meshes)))
        yield chosen, meshes.vertices_m(chosen)


def regress(meshes: Meshes, regressor: np.ndarray, what: str) -> np.ndarray:
    """Joints (N, J, 3) in metres of all meshes by a regressor (J, 6890), with a progress bar."""
    parts = [np.einsum("jv,nvc->njc", regressor, part) for _, part in in_batches(meshes, what)]
    return np.concatenate(parts)
