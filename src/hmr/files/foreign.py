"""The wall around parsers of files that others made: limits before them, one error after them.

What a parser raises on damaged bytes is in no documentation (zlib.error, struct.error, TokenError,
RecursionError, ...), so every exception from inside the wall counts as damage. Blocks behind it
hold the parser and the first look at what it returns, nothing else, so that defects of this project
are not taken for damage.
"""

from __future__ import annotations

import codecs
import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hmr.errors import UserError

MAX_BYTES, MAX_SECONDS = 1_000_000_000, 10


@functools.cache
def scale() -> float:
    """How many GB of memory reading one file may take, and for each 10 s of processor time.

    All limits of files are multiplied by it.

    Raises:
        UserError: the environment's `HMR_FILE_GB` is no number above 0.
    """
    text = os.environ.get("HMR_FILE_GB", "1")
    with contextlib.suppress(ValueError):
        if 0 < (number := float(text)) < 1e6:
            return number
    raise UserError(
        f"the environment's HMR_FILE_GB is {text!r:.60}; expected the GB that reading one file may "
        "take: set it to a number such as 4, or unset it"
    )


MORE = "If you trust it, allow more: HMR_FILE_GB=4 before the command"
# What the parts of a text take in memory, at most, when it is parsed and its people are made; lines
# and objects count so much that a GB of them is read in 10 s, too.
JSON_COSTS = {b"{": 2500, b"[": 100, b",": 60, b'"': 100}
CSV_COSTS = {b"\n": 2500, b"\r": 2500, b",": 60, b";": 60, b"\t": 60}
# First bytes of files that are often taken for another kind, and what to do about them.
FOREIGN_HEADS = (
    (b"PK\x03\x04", 'begins with "PK": it is an .npz or .zip; rename an .npz, unpack a .zip'),
    (b"<", 'begins with "<": it is a web page; sign in at the site and download it again'),
    (b"\x1f\x8b", "is a gzip archive: unpack it first"),
    (b"\x89HDF", "is an HDF5 file, not a pickle"),
    (b"\x93NUMPY", "is a single .npy array, not a pickle"),
    (b"MATLAB", "is a MATLAB file, not a pickle"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself: run git lfs pull"),
    (b"{", 'begins with "{": it is JSON, not a pickle'),
)
_LONGEST_REASON = 200


@contextlib.contextmanager
def parsing(source: str | os.PathLike, kind: str, advice: str = "") -> Iterator[None]:
    """Whatever the block raises becomes one `UserError`; a `UserError` passes as it is.

    Args:
        source: names the file in the message.
        kind: what it should be: "readable pickle", "sequence of 3DPW".
        advice: the end of the message, such as the next command.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{source} is not a {kind}, or is damaged: {brief(error)}. {advice}".rstrip()
        ) from error


@contextlib.contextmanager
def reading(
    path: str | os.PathLike, kind: str, max_bytes: int = MAX_BYTES, advice: str = ""
) -> Iterator[None]:
    """`parsing` for parsers that open the file themselves.

    Raises:
        UserError: also if there is no such file, or it is empty or larger than `max_bytes`.
    """
    check_size(Path(path), max_bytes)
    with parsing(path, kind, advice):
        yield


def check_size(path: Path, max_bytes: int = MAX_BYTES) -> None:
    """Checks a file before it is read.

    Raises:
        UserError: there is no such file, it is empty, or larger than `max_bytes`.
    """
    if not path.is_file():
        raise UserError(f"no file at {path}{', but a folder' if path.is_dir() else ''}")
    size = path.stat().st_size
    if not size:
        raise UserError(f"{path} is empty (0 bytes), expected 1 to {allowed(max_bytes):,}.")
    check_allowed(path, size, max_bytes, "has", "1 to")


def allowed(max_bytes: int) -> int:
    """A limit of files as the environment's `HMR_FILE_GB` scales it."""
    return int(scale() * max_bytes)


def check_allowed(
    path: object, size: int, max_bytes: int, state: str, expected: str = "at most"
) -> None:
    """Checks the bytes that `path` has, unpacks to, or takes, as `state` says.

    Raises:
        UserError: they are more than `max_bytes`, scaled.
    """
    if size > allowed(max_bytes):
        raise UserError(
            f"{path} {state} {size:,} bytes, expected {expected} {allowed(max_bytes):,}. {MORE}."
        )


def read_bounded(path: str | os.PathLike, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a file.

    Raises:
        UserError: as `check_size`, or the file is unreadable.
    """
    path = Path(path)
    try:
        check_size(path, max_bytes)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def read_text(
    path: str | os.PathLike, max_bytes: int = MAX_BYTES, costs: Mapping[bytes, int] | None = None
) -> str:
    """The text of a file: UTF-8, with or without a byte order mark, or UTF-16 with one.

    Args:
        path: the file.
        max_bytes: its largest size.
        costs: the bytes of memory that each of these marks stands for once the text is parsed.
    Raises:
        UserError: as `read_bounded`, it is no text, or would take more than 1 GB.
    """
    data = read_bounded(path, max_bytes)
    if costs:
        size = (2 if data.isascii() else 8) * len(data)
        size += sum(cost * data.count(mark) for mark, cost in costs.items())
        check_allowed(path, size, MAX_BYTES, "may take, when it is read,")
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text (UTF-8): {error.reason}") from error


def brief(error: BaseException) -> str:
    """The first line of what an error says, or its name; never long."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = f"no {lines[0]}" if isinstance(error, KeyError) else lines[0]
    return text[:_LONGEST_REASON].rstrip(".")


def read_json(
    path: str | os.PathLike,
    max_bytes: int = MAX_BYTES,
    object_hook: Callable[[dict], Any] | None = None,
    kind: str = "readable JSON file",
) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: it is missing, too large, or is not JSON; the message calls it `kind`. What takes
            little memory by `object_hook` is limited by its size only.
    """
    text = read_text(path, max_bytes, None if object_hook else JSON_COSTS)
    with parsing(path, kind):
        return json.loads(text, object_hook=object_hook)
