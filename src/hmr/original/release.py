"""Released files: finds the checkpoint, and the SMPL file in `models.tar.gz` or its folder.

From an archive only regular files of the expected names are taken, under their bare names, so that
nothing is written elsewhere; what a header claims is checked before it is read.
"""

from __future__ import annotations

import glob
import gzip
import os
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from hmr.errors import UserError
from hmr.files.foreign import reading

# Two files, or TF-Slim's one of 2017.
_CHECKPOINT = re.compile(r"([\w.-]+)\.(?:index|data-\d+-of-\d+)|([\w.-]+\.ckpt)")
_BODY = re.compile(r"\w*cocoplus\w*\.pkl")
DOWNLOAD = "keras"
"""In the place of a file: Keras downloads its own ImageNet weights."""

_SUFFIX = re.compile(r"\.(index|data-\d+-of-\d+|meta)$")
# The end of an index, and of the one file of the older format: both are LevelDB's tables.
_TABLE_END = bytes.fromhex("57fb808b247547db")
_HDF5_HEAD = b"\x89HDF\r\n\x1a\n"
_GZIP_HEAD, _TAR_HEAD, _TAR_HEAD_AT = b"\x1f\x8b", b"ustar", 257
_MAX_ARCHIVE_BYTES, _MAX_UNPACKED_BYTES, _MOST_MEMBERS = 4 << 30, 8 << 30, 10_000
_MOST_READ_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Release:
    """What a conversion reads.

    Attributes:
        prefix: of the checkpoint, as TF1 names it.
        body: the SMPL file with the 19 keypoint rows; None if there is none.
    """

    prefix: Path
    body: Path | None


def checkpoint_prefix(path: str) -> str:
    """The prefix of a TF1 checkpoint, as TensorFlow opens it.

    Args:
        path: without suffix, as TF1 names it (`model.ckpt-667589`), or any of its files; or the one
            file of the older format, in which TF-Slim's ImageNet weights come.

    Raises:
        UserError: a file is missing or is not a checkpoint, by its last bytes.
    """
    prefix = _SUFFIX.sub("", path)
    table = Path(prefix if Path(prefix).is_file() else f"{prefix}.index")
    if not table.is_file():
        raise UserError(
            f"no TF1 checkpoint at {prefix}: {table} is missing. Give the path without suffix, "
            "such as models/model.ckpt-667589."
        )
    if table.suffix == ".index" and not glob.glob(f"{glob.escape(prefix)}.data-*-of-*"):
        raise UserError(
            f"{table} is there, but not the values, {prefix}.data-00000-of-00001. Copy both files "
            "of the checkpoint into one folder."
        )
    with reading(table, "TF1 checkpoint", _MAX_ARCHIVE_BYTES), table.open("rb") as file:
        file.seek(-min(len(_TABLE_END), table.stat().st_size), os.SEEK_END)
        if file.read() != _TABLE_END:
            raise ValueError("it does not end as one")
    return prefix


def check_weights(path: str) -> None:
    """Checks by its first bytes that a file of Keras's ImageNet weights is there.

    Raises:
        UserError: it is not.
    """
    if not Path(path).is_file():
        raise UserError(f"no file at {path}. --input keras downloads it.")
    with reading(path, "file of Keras's weights"), Path(path).open("rb") as file:
        if file.read(len(_HDF5_HEAD)) != _HDF5_HEAD:
            raise ValueError("it does not begin as HDF5")


def is_release(path: Path) -> bool:
    """Whether a path is a folder or a tar archive, by its first bytes."""
    if not path.is_file():
        return path.is_dir()
    with path.open("rb") as file:
        head = file.read(_TAR_HEAD_AT + len(_TAR_HEAD))
    return head.startswith(_GZIP_HEAD) or head.endswith(_TAR_HEAD)


def open_release(path: Path, scratch: Path) -> Release:
    """The files of a release.

    Args:
        path: the folder or the archive.
        scratch: where an archive's files are unpacked to.

    Raises:
        UserError: it holds no checkpoint or several, or the archive is damaged or too large.
    """
    files = list(path.iterdir()) if path.is_dir() else _unpack(path, scratch)
    names = {file.name: file for file in sorted(files)}
    matches = [_CHECKPOINT.fullmatch(name) for name in names]
    prefixes = sorted({match[1] or match[2] for match in matches if match})
    if len(prefixes) != 1:
        raise UserError(
            f"{path} must hold one TF1 checkpoint (model.ckpt-667589.index and its .data file). "
            f"Received: {', '.join(prefixes) or 'none'}. Unpack it and name one: --input PREFIX."
        )
    bodies = [file for name, file in names.items() if _BODY.fullmatch(name)]
    folder = path if path.is_dir() else scratch
    return Release(folder / prefixes[0], bodies[0] if bodies else None)


def _unpack(path: Path, scratch: Path) -> Iterable[Path]:
    with reading(path, "tar archive", _MAX_ARCHIVE_BYTES, "Download it again."):
        with path.open("rb") as file:
            is_gzip = file.read(len(_GZIP_HEAD)) == _GZIP_HEAD
        with gzip.open(path) if is_gzip else path.open("rb") as file:
            stream = cast(IO[bytes], _Bounded(cast(IO[bytes], file)))
            with tarfile.open(fileobj=stream, mode="r:") as archive:
                _take_files(archive, path, scratch)
    return scratch.iterdir()


def _take_files(archive: tarfile.TarFile, path: Path, scratch: Path) -> None:
    total = 0
    for count, member in enumerate(archive):
        total += member.size
        if member.size < 0 or total > _MAX_UNPACKED_BYTES or count >= _MOST_MEMBERS:
            raise UserError(f"{path} claims more than models.tar.gz can hold. Download it again.")
        name = Path(member.name).name
        if member.isreg() and (_CHECKPOINT.fullmatch(name) or _BODY.fullmatch(name)):
            if (scratch / name).exists():
                raise UserError(f"{path} holds {name} twice. Unpack it and name one: --input.")
            source = cast(IO[bytes], archive.extractfile(member))
            with source, open(scratch / name, "xb") as target:
                shutil.copyfileobj(source, target)


class _Bounded:
    """A file of which no more is read at once than any honest header takes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_READ_AT_ONCE:
            raise ValueError(f"a header claims {size:,} bytes")
        return self._file.read(size)
