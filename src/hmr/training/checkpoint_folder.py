"""A folder of TensorFlow checkpoints, found by looking at its files.

TensorFlow's own manager keeps a list of them in a file of its own, takes its absence for the
absence of checkpoints, reads folder names as patterns, and leaves what a killed process was
writing. Here a checkpoint is there when its files are, and is written aside before it takes its
name; its index comes last.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from hmr.errors import UserError
from hmr.files.whole import remove, scratch_folder, take_name

_INDEX = re.compile(r"ckpt-(\d+)\.index")
_PATTERN_CHARACTERS = set("*?[]\\")


class CheckpointFolder:
    """The last checkpoints of a run, one for each saved step.

    Args:
        folder: made when the first one is saved.
        kept: how many of the last stay.
    """

    def __init__(self, folder: Path, kept: int) -> None:
        self.folder, self._kept = folder, kept

    def steps(self) -> set[int]:
        """The steps whose checkpoints have an index."""
        found = (_INDEX.fullmatch(path.name) for path in _listed(self.folder))
        return {int(match[1]) for match in found if match}

    def save(self, objects: tf.train.Checkpoint, step: int) -> None:
        """Writes a checkpoint, then removes those that are too many and what was left half written.

        Raises:
            UserError: it cannot be written.
        """
        try:
            with scratch_folder(self.folder / f"ckpt-{step}") as partial:
                with _plain(partial) as plain:
                    objects.write(str(plain / f"ckpt-{step}"))
                for path in sorted(partial.iterdir()):  # .data-... before .index
                    take_name(path, self.folder / path.name)
        except tf.errors.OpError as error:
            raise UserError(
                f"the checkpoint of step {step} cannot be written to {self.folder}: "
                f"{error.message.splitlines()[0]} Make room there; the same command goes on from "
                f"the checkpoint before."
            ) from error
        kept = sorted(self.steps())[-self._kept :]
        for path in _listed(self.folder):
            match = re.fullmatch(r"ckpt-(\d+)(\..+|_temp)", path.name)
            if path.name == "checkpoint" or (match and int(match[1]) not in kept):
                remove(path)

    def damage(self, step: int) -> str:
        """What is wrong with the bytes of a checkpoint, by reading all of it; "" if nothing."""
        try:
            with self.open(step) as path:
                reader = tf.train.load_checkpoint(path)
                for name, dtype in reader.get_variable_to_dtype_map().items():
                    if dtype != tf.variant:  # an iterator's position, which only itself can read
                        reader.get_tensor(name)
        except Exception as error:  # TensorFlow raises a dozen kinds here, IndexError among them
            return str(error).splitlines()[0]
        return ""

    @contextlib.contextmanager
    def open(self, step: int) -> Iterator[str]:
        """The path of a checkpoint as TensorFlow reads it."""
        with _plain(self.folder) as plain:
            yield str(plain / f"ckpt-{step}")


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


@contextlib.contextmanager
def _plain(folder: Path) -> Iterator[Path]:
    """A path to the folder without characters that TensorFlow takes for a pattern."""
    if not _PATTERN_CHARACTERS & set(str(folder)):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="hmr-") as temporary:
        link = Path(temporary) / "link"
        link.symlink_to(folder.absolute(), target_is_directory=True)
        yield link
