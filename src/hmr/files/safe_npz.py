"""Reads .npz and .npy files of unknown origin: runs no pickled code, believes no declared size."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hmr.errors import UserError
from hmr.files.safe_pickle import safe_loads
from hmr.files.whole import MAX_BYTES

HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
DAMAGE = (zipfile.BadZipFile, zlib.error, ValueError, EOFError, OSError, RuntimeError)


def load_npz(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """All arrays of an .npz file.

    Arrays of Python objects, as `np.savez` makes them of sparse matrices, are read by the
    allow-listing reader of `safe_pickle`.

    Args:
        path: the archive.
        max_bytes: the largest size, unpacked, that is read.
    Returns:
        arrays by name (read-only); 0-dimensional object arrays come out as the object.
    Raises:
        UserError: the file is missing, damaged, too large, no archive of arrays, or names
            anything beyond plain arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no file at {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_members(archive, path, max_bytes)
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{path} is not a readable .npz file, or is damaged: {error}. Download it again."
        ) from error


def load_npy(path: str | os.PathLike, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    """The array of an .npy file of numbers or text; "r" maps it into memory instead of reading it.

    Raises:
        UserError: the file is missing, damaged, of another kind, or holds Python objects.
    """
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not an .npy file of numbers: {error}.") from error
    if not isinstance(array, np.ndarray):
        raise UserError(f"{path} is an .npz archive, expected one array as .npy.")
    return array


def _read_members(archive: zipfile.ZipFile, path: Path, max_bytes: int) -> dict[str, Any]:
    members = archive.infolist()
    names = [member.filename for member in members]
    if not names or not all(name.endswith(".npy") for name in names):
        raise UserError(
            f"{path} is a zip archive, not an .npz: it holds {', '.join(names[:5]) or 'nothing'}. "
            "Unpack it and give the body file in it."
        )
    size = sum(member.file_size for member in members)
    if size > max_bytes:
        raise UserError(f"{path} unpacks to {size:,} bytes, expected at most {max_bytes:,}.")
    return {
        member.filename.removesuffix(".npy"): _read_array(
            archive.read(member), f"{path}: {member.filename}"
        )
        for member in members
    }


def _read_array(data: bytes, source: str) -> Any:
    """One .npy file: a view of its bytes, or the object that its pickle holds."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in HEADER_READERS:
        raise UserError(f"{source} is in .npy format {version}, which is not read.")
    shape, is_fortran, dtype = HEADER_READERS[version](stream)
    body = data[stream.tell() :]
    if dtype.hasobject:
        value = safe_loads(body, source)
        return value[()] if shape == () else value
    expected = dtype.itemsize * int(np.prod(shape, dtype=object))
    if len(body) != expected:
        raise UserError(f"{source} has {len(body):,} bytes of data, expected {expected:,}.")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if is_fortran else "C")
