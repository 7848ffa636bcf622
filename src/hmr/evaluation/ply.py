"""The vertex colours of a PLY file, text or binary."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from hmr.errors import UserError

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_COLORS = ["red", "green", "blue"]
_END = re.compile(rb"end_header\r?\n")
_MAX_BYTES = 1 << 28


def read_vertex_colors(path: Path) -> np.ndarray:
    """Colours (V, 3) uint8 of the vertices, which must be the file's first element.

    Raises:
        UserError: the file is too large, is no PLY, or its vertices have no colours.
    """
    if path.stat().st_size > _MAX_BYTES:
        raise UserError(f"{path} is larger than {_MAX_BYTES >> 20} MiB, too large for a body.")
    try:
        header, body = _END.split(path.read_bytes(), 1)
        kind, count, columns = _read_header(header.decode("ascii").splitlines())
        table = _read_table(body, kind, count, columns)
        return np.stack([table[color] for color in _COLORS], axis=1).astype(np.uint8)
    except (ValueError, KeyError, IndexError) as error:
        raise UserError(
            f"{path} is no PLY file whose vertices come first and have red, green and blue "
            f"({error})."
        ) from error


def _read_header(lines: list[str]) -> tuple[str, int, list[tuple[str, str]]]:
    """Format, number of vertices, and name and type of each of their properties."""
    words = [line.split() for line in lines]
    if words[0] != ["ply"]:
        raise ValueError("it does not begin with ply")
    kind = next(line[1] for line in words if line[:1] == ["format"])
    elements = [index for index, line in enumerate(words) if line[:1] == ["element"]]
    _, name, count = words[elements[0]]
    if name != "vertex":
        raise ValueError(f"its first element is {name}")
    last = elements[1] if len(elements) > 1 else len(words)
    columns = [
        (line[2], _TYPES[line[1]]) for line in words[elements[0] : last] if line[:1] == ["property"]
    ]
    return kind, int(count), columns


def _read_table(
    body: bytes, kind: str, count: int, columns: list[tuple[str, str]]
) -> dict[str, np.ndarray]:
    names = [name for name, _ in columns]
    if kind == "ascii":
        rows = body.decode("ascii").split("\n", count)[:count]
        numbers = np.array([row.split()[: len(names)] for row in rows], float)
        return dict(zip(names, numbers.T, strict=True))
    order = _BYTE_ORDERS[kind]
    record = np.dtype([(name, order + code) for name, code in columns])
    table = np.frombuffer(body, record, count)
    return {name: table[name] for name in names}
