"""Reads .npz and .npy files of unknown origin: runs no pickled code, believes no declared size."""

from __future__ import annotations

import math
import os
import sys
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np

from hmr.errors import UserError
from hmr.files.foreign import MAX_BYTES, check_allowed, reading

HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What `np.savez` and `np.savez_compressed` write; other methods can claim memory in their headers.
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_MOST_MEMBERS = 10_000
_BLOCK_BYTES = 1 << 20


def load_npz(
    path: str | os.PathLike,
    max_bytes: int = MAX_BYTES,
    only: Collection[str] | None = None,
    max_file_bytes: int | None = None,
) -> dict[str, Any]:
    """Arrays of an .npz file.

    Arrays of Python objects, as `np.savez` makes them of sparse matrices, are read by the
    allow-listing reader of `safe_pickle`.

    Args:
        path: the archive.
        max_bytes: the largest size, unpacked, that is read.
        only: names of the arrays to read, those of them that are there; None reads all.
        max_file_bytes: the largest archive, with what is not read; by default `max_bytes`.
    Returns:
        arrays by name (read-only); 0-dimensional object arrays come out as the object.
    Raises:
        UserError: the file is missing, damaged, too large, no archive of arrays, or names
            anything beyond plain arrays.
    """
    path = Path(path)
    with (
        reading(path, "readable .npz file", max_file_bytes or max_bytes, "Download it again."),
        zipfile.ZipFile(path) as archive,
    ):
        return _read_members(archive, path, max_bytes, only)


def load_npy(path: str | os.PathLike, mmap_mode: Literal["r"] | None = None) -> np.ndarray:
    """The array of an .npy file of numbers or text; "r" maps it into memory instead of reading it.

    Raises:
        UserError: the file is missing, damaged, of another kind, or holds Python objects.
    """
    path = Path(path)
    max_bytes = sys.maxsize if mmap_mode else MAX_BYTES
    with reading(path, "readable .npy file of numbers", max_bytes), path.open("rb") as file:
        if file.read(2) == b"PK":
            raise UserError(f"{path} is an .npz archive, expected one array as .npy.")
        file.seek(0)
        shape, is_fortran, dtype = _read_header(file, str(path))
        if dtype.hasobject:
            raise UserError(f"{path} is not an .npy file of numbers: it holds Python objects.")
        _check_size(dtype, shape, path.stat().st_size - file.tell(), str(path))
        if mmap_mode and math.prod(shape):
            order: Literal["C", "F"] = "F" if is_fortran else "C"
            return np.memmap(path, dtype, mmap_mode, file.tell(), shape, order)
        body = _read_whole(file, path.stat().st_size - file.tell())
        return _view(body, dtype, shape, is_fortran)


def _read_members(
    archive: zipfile.ZipFile, path: Path, max_bytes: int, only: Collection[str] | None
) -> dict[str, Any]:
    members = archive.infolist()
    names = [member.filename for member in members]
    if not names or len(names) > _MOST_MEMBERS or not all(n.endswith(".npy") for n in names):
        raise UserError(
            f"{path} is a zip archive, not an .npz: it holds {', '.join(names[:5]) or 'nothing'}. "
            "Unpack it and give the body file in it."
        )
    if only is not None:
        members = [m for m in members if m.filename.removesuffix(".npy") in only]
    check_allowed(path, sum(member.file_size for member in members), max_bytes, "unpacks to")
    if foreign := [m.filename for m in members if m.compress_type not in _COMPRESSIONS]:
        raise UserError(f"{path}: {foreign[0]} is compressed in a way that numpy does not write.")
    arrays = {}
    for member in members:
        source = f"{path}: {member.filename}"
        with archive.open(member) as file:
            arrays[member.filename.removesuffix(".npy")] = _read_array(
                file, member.file_size, source
            )
    return arrays


def _read_array(file: IO[bytes], size: int, source: str) -> Any:
    """One .npy file of so many bytes: a view of them, or the object that its pickle holds."""
    shape, is_fortran, dtype = _read_header(file, source)
    body = _read_whole(file, size - file.tell())
    if dtype.hasobject:
        from hmr.files.safe_pickle import safe_loads  # scipy takes a while to import

        value = safe_loads(body.tobytes(), source)
        return value[()] if shape == () else value
    _check_size(dtype, shape, len(body), source)
    return _view(body, dtype, shape, is_fortran)


def _read_header(file: IO[bytes], source: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the order is Fortran's, and type; leaves the file at the array's bytes."""
    version = np.lib.format.read_magic(file)
    if version not in HEADER_READERS:
        raise UserError(f"{source} is in .npy format {version}, which is not read.")
    return HEADER_READERS[version](file)


def _check_size(dtype: np.dtype, shape: tuple[int, ...], received: int, source: str) -> None:
    expected = dtype.itemsize * math.prod(shape)
    if received != expected or min(shape, default=0) < 0:
        raise UserError(f"{source} has {received:,} bytes of data, expected {expected:,}.")


def _read_whole(file: IO[bytes], size: int) -> np.ndarray:
    """The next `size` bytes; `read` would need twice their memory."""
    data = np.empty(size, np.uint8)
    view = data.data
    while view and (count := file.readinto(view[:_BLOCK_BYTES])):  # type: ignore[attr-defined]
        view = view[count:]
    if view:
        raise EOFError("it ends too early")
    data.flags.writeable = False
    return data


def _view(
    data: np.ndarray, dtype: np.dtype, shape: tuple[int, ...], is_fortran: bool
) -> np.ndarray:
    return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")
