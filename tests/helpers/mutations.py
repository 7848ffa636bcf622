"""Damaged copies of a file's bytes, the same for the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_LENGTHS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 40, (1 << 64) - 1)
_WORDS = (b"-1", b"NaN", b"null", b"[]", b"{}", b"9" * 400, b"1e999", b"\x00", b"true", b'"x"')


def _flip_bit(data: bytearray, rng: np.random.Generator) -> None:
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def _set_byte(data: bytearray, rng: np.random.Generator) -> None:
    data[rng.integers(len(data))] = rng.integers(256)


def _cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[rng.integers(len(data)) :]


def _remove(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    del data[start : start + int(rng.integers(1, 40))]


def _repeat(data: bytearray, rng: np.random.Generator) -> None:
    start, place = rng.integers(len(data), size=2)
    data[place:place] = data[start : start + int(rng.integers(1, 40))]


def _claim_length(data: bytearray, rng: np.random.Generator) -> None:
    size = int(rng.choice((1, 2, 4, 8)))
    start = int(rng.integers(len(data)))
    value = int(_LENGTHS[rng.integers(len(_LENGTHS))]) & ((1 << (8 * size)) - 1)
    data[start : start + size] = value.to_bytes(size, "little" if rng.integers(2) else "big")


def _write_word(data: bytearray, rng: np.random.Generator) -> None:
    start = int(rng.integers(len(data)))
    data[start : start + int(rng.integers(5))] = _WORDS[rng.integers(len(_WORDS))]


_KINDS: tuple[Callable[[bytearray, np.random.Generator], None], ...] = (
    _flip_bit, _set_byte, _cut, _remove, _repeat, _claim_length, _write_word,
)  # fmt: skip


def mutations(data: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """Yields `count` damaged copies, each with one to four changes."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            if copy:
                _KINDS[rng.integers(len(_KINDS))](copy, rng)
        yield bytes(copy)
