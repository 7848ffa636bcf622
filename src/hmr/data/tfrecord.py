"""TFRecord files and `tf.train.Example` messages, written without TensorFlow.

Converter processes that do not import TensorFlow start in a fraction of a second and stay small.
Both formats are public and stable: https://www.tensorflow.org/tutorials/load_data/tfrecord and
tensorflow/core/example/{example,feature}.proto.
"""

from __future__ import annotations

import contextlib
import functools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

_MASK_DELTA = 0xA282EAD8
_UINT32 = 0xFFFFFFFF
_UINT64 = 0xFFFFFFFFFFFFFFFF
_LENGTH_DELIMITED = 2
# Field numbers of tensorflow.Feature's three kinds.
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3


def encode_example(features: Mapping[str, tuple[str, Any]]) -> bytes:
    """Serialises features as a `tf.train.Example`, sorted by name.

    Args:
        features: name -> (type, values). The values of "string" are one bytes object, those of
            "float32" and "int64" a number or an array of numbers.
    """
    entries = [
        _field(1, _field(1, name.encode()) + _field(2, _encode_feature(*features[name])))
        for name in sorted(features)
    ]
    return _field(1, b"".join(entries))


def _encode_feature(kind: str, values: Any) -> bytes:
    if kind == "string":
        return _field(_BYTES_LIST, _field(1, values))
    if kind == "float32":
        return _field(_FLOAT_LIST, _field(1, np.asarray(values, "<f4").tobytes()))
    return _field(
        _INT64_LIST, _field(1, b"".join(_varint(int(value)) for value in np.ravel(values)))
    )


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(payload)) + payload


@functools.lru_cache(maxsize=1 << 14)
def _varint(value: int) -> bytes:
    """Seven bits per byte, lowest first; negative numbers as 64-bit two's complement."""
    value &= _UINT64
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


class RecordWriter(contextlib.AbstractContextManager):
    """Writes a TFRecord file; a context manager, which closes the file.

    Args:
        path: the file, replaced if it exists.

    Attributes:
        crc32c: of all bytes written.
    """

    def __init__(self, path: str | Path):
        self._stream = open(path, "wb")  # noqa: SIM115 - closed by __exit__
        self.crc32c = 0

    def write(self, record: bytes) -> None:
        """Appends a record: length, checksum of the length, bytes, checksum of the bytes."""
        length = struct.pack("<Q", len(record))
        parts = (length, _masked_checksum(length), record, _masked_checksum(record))
        framed = b"".join(parts)
        self._stream.write(framed)
        self.crc32c = google_crc32c.extend(self.crc32c, framed)

    def __exit__(self, *error: object) -> None:
        self._stream.close()


def _masked_checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & _UINT32)
