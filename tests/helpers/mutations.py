"""Damaged copies of a file's bytes, the same for the same seed."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from hmr.data.tfrecord import _masked_checksum as masked_checksum

_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1)
_WORDS = (b"-1", b"NaN", b"null", b"[]", b"{}", b"9" * 400, b"1e999", b"\x00", b"true", b'"x"')
# Of a larger file every second change is in so many bytes at its start or end, where headers are.
_HEADER_BYTES = 2048
_MOST_UNPACKED = 1 << 22
_PNG_START = b"\x89PNG\r\n\x1a\n"


def _place(data: bytearray, rng: np.random.Generator) -> int:
    header = min(len(data), _HEADER_BYTES)
    near = int(rng.integers(header))
    return (int(rng.integers(len(data))), near, int(rng.integers(len(data))), len(data) - 1 - near)[
        rng.integers(4)
    ]


def _flip_bit(data: bytearray, rng: np.random.Generator) -> None:
    data[_place(data, rng)] ^= 1 << int(rng.integers(8))


def _set_byte(data: bytearray, rng: np.random.Generator) -> None:
    data[_place(data, rng)] = rng.integers(256)


def _cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[_place(data, rng) :]


def _remove(data: bytearray, rng: np.random.Generator) -> None:
    start = _place(data, rng)
    del data[start : start + int(rng.integers(1, 40))]


def _repeat(data: bytearray, rng: np.random.Generator) -> None:
    start, place = _place(data, rng), _place(data, rng)
    data[place:place] = data[start : start + int(rng.integers(1, 40))]


def _claim_length(data: bytearray, rng: np.random.Generator) -> None:
    size = int(rng.choice((1, 2, 4, 8)))
    start = _place(data, rng)
    value = int(_LENGTHS[rng.integers(len(_LENGTHS))]) & ((1 << (8 * size)) - 1)
    data[start : start + size] = value.to_bytes(size, "little" if rng.integers(2) else "big")


def _write_word(data: bytearray, rng: np.random.Generator) -> None:
    start = _place(data, rng)
    data[start : start + int(rng.integers(5))] = _WORDS[rng.integers(len(_WORDS))]


_KINDS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flip_bit, _set_byte, _cut, _remove, _repeat, _claim_length, _write_word,
)  # fmt: skip


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yields `count` damaged copies, each with one to four changes.

    Of every second copy of a zip archive, PNG or TFRecord file the changes are inside one of its
    parts, which gets a fitting checksum again: others are refused before anybody looks inside.
    """
    rng = np.random.default_rng(seed)
    parts = _open(data)

    def damage(content: bytes) -> bytes:
        copy = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            if copy:
                _KINDS[rng.integers(len(_KINDS))](copy, rng)
        return bytes(copy)

    for _ in range(count):
        if parts is None or rng.integers(2):
            yield damage(data)
        else:
            close, content = parts
            chosen = int(rng.integers(len(content)))
            yield close([(n, damage(c) if i == chosen else c) for i, (n, c) in enumerate(content)])


Parts = list[tuple[bytes, bytes]]


def _open(data: bytes) -> tuple[Callable[[Parts], bytes], Parts] | None:
    """What puts a file together of named parts, and its parts; None if it has no checksums."""
    for split, close in ((_zip_parts, _zip), (_png_parts, _png), (_record_parts, _records)):
        try:
            parts = split(data)
        except Exception:  # it is damaged already
            continue
        if parts:
            return close, parts
    return None


def _zip_parts(data: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > _MOST_UNPACKED:
            return []
        return [(name.encode(), archive.read(name)) for name in archive.namelist()]


def _zip(parts: Parts) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts:
            archive.writestr(name.decode(), content)
    return file.getvalue()


def _png_parts(data: bytes) -> Parts:
    at, parts = len(_PNG_START), []
    while data.startswith(_PNG_START) and at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        parts.append((name, data[at + 8 : at + 8 + length]))
        at += length + 12
    return parts


def _png(parts: Parts) -> bytes:
    chunks = (
        struct.pack(">I4s", len(content), name)
        + content
        + struct.pack(">I", zlib.crc32(content, zlib.crc32(name)))
        for name, content in parts
    )
    return _PNG_START + b"".join(chunks)


def _record_parts(data: bytes) -> Parts:
    at, parts = 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if data[at + 8 : at + 12] != masked_checksum(data[at : at + 8]):
            return []
        parts.append((b"", data[at + 12 : at + 12 + length]))
        at += length + 16
    return parts


def _records(parts: Parts) -> bytes:
    lengths = [struct.pack("<Q", len(content)) for _, content in parts]
    return b"".join(
        length + masked_checksum(length) + content + masked_checksum(content)
        for length, (_, content) in zip(lengths, parts, strict=True)
    )
