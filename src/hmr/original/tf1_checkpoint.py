"""Reads the authors' TF1 checkpoints, of which there are three kinds."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from hmr.errors import UserError
from hmr.files.foreign import parsing
from hmr.files.whole import plain_folder
from hmr.original import tf1_names
from hmr.original.release import checkpoint_prefix
from hmr.progress import progress_bar

_SHOWN = 5


@dataclass(frozen=True)
class CheckpointKind:
    """One set of variables that the original's code writes.

    Attributes:
        title: its name in messages.
        with_regressor, with_discriminator: which parts it holds besides the encoder.
        ignored: names of variables that may be present and are not read.
    """

    title: str
    with_regressor: bool = True
    with_discriminator: bool = False
    ignored: frozenset[str] = frozenset()


IMAGENET = CheckpointKind(
    "TF-Slim's ImageNet ResNet-50 v2", False, False, tf1_names.IMAGENET_EXTRAS
)
INFERENCE = CheckpointKind("HMR for inference", ignored=tf1_names.RUN_SETTINGS)
TRAINING = CheckpointKind(
    "HMR in training", with_discriminator=True, ignored=tf1_names.RUN_SETTINGS
)


class Tf1Checkpoint:
    """A TF1 checkpoint on disk.

    Args:
        prefix: as `checkpoint_prefix` takes it.

    Attributes:
        path: the prefix.
        shapes: variable name -> shape.

    Raises:
        UserError: a file is missing or is not a checkpoint.
    """

    def __init__(self, prefix: str):
        self.path = checkpoint_prefix(prefix)
        with parsing(self.path, "TF1 checkpoint"), self._opened() as reader:
            shapes = reader.get_variable_to_shape_map()
        self.shapes = {name: tuple(shape) for name, shape in sorted(shapes.items())}

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        path = Path(self.path)
        with plain_folder(path.parent) as folder:
            yield tf.train.load_checkpoint(str(folder / path.name))

    @property
    def kind(self) -> CheckpointKind:
        """The set of variables that it holds, recognised by their scopes."""
        scopes = {name.split("/")[0] + "/" for name in self.shapes}
        if tf1_names.DISCRIMINATOR_SCOPE in scopes:
            return TRAINING
        return INFERENCE if tf1_names.REGRESSOR_SCOPE in scopes else IMAGENET

    def require(self, expected: Mapping[str, tuple[int, ...]], ignored: frozenset[str]) -> None:
        """Checks the names and shapes of all variables.

        Args:
            expected: name -> shape of the variables that must be present.
            ignored: names of further variables that may be present.
        Raises:
            UserError: names are missing or unknown, or shapes differ; it lists the first of each.
        """
        missing = sorted(expected.keys() - self.shapes.keys())
        unknown = sorted(self.shapes.keys() - expected.keys() - ignored)
        misshaped = [
            f"{name} {self.shapes[name]} instead of {shape}"
            for name, shape in sorted(expected.items())
            if name in self.shapes and self.shapes[name] != shape
        ]
        problems = [
            f"{len(names)} {what}: {', '.join(names[:_SHOWN])}{', ...' * (len(names) > _SHOWN)}"
            for what, names in (
                ("missing", missing),
                ("unknown", unknown),
                ("of another shape", misshaped),
            )
            if names
        ]
        if problems:
            raise UserError(
                f"{self.path} does not hold the variables of {self.kind.title} "
                f"({len(expected)} expected, {len(self.shapes)} found). {'; '.join(problems)}."
            )

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """Name -> value of the variables `names`.

        Raises:
            UserError: a value cannot be read or is not finite.
        """
        tensors = {}
        with self._opened() as reader:
            for name in progress_bar(list(names), desc="reading variables", unit="variable"):
                where, what = f"{self.path}: {name}", "readable variable, cut short"
                with parsing(where, what, "Download it again."):
                    tensors[name] = np.asarray(reader.get_tensor(name))
                if not np.isfinite(tensors[name]).all():
                    raise UserError(f"{self.path}: {name} holds values that are not finite.")
        return tensors
