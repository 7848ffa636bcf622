"""Reads pickles of arrays without running any code in them.

SMPL's official files and the MoSh sequences of the original are Python-2 pickles, some with
chumpy objects, and a pickle may call any function. Here every name that a file mentions is looked
up in a short allow-list of stubs that only hold data; any other name is refused. chumpy itself is
not needed: a leaf is its array, and the few expressions that occur are evaluated with numpy.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import re
import struct
from collections.abc import Callable, Collection, Iterable
from typing import Any, ClassVar, NoReturn

import numpy as np
import scipy

from hmr.errors import UserError
from hmr.files.foreign import (
    FOREIGN_HEADS,
    MAX_BYTES,
    allowed,
    check_allowed,
    parsing,
    read_bounded,
)

# The memory that evaluating a file may take: a harmless file holds an array, its text form and a
# selection of it.
MEMORY_PER_BYTE, MEMORY_FLOOR_BYTES = 8, 1 << 26
# What each of its instructions takes at most, and the copies of it that reading makes.
_BYTES_PER_STEP, _COPIES = 400, 3
_MAX_PICKLE_BYTES = 2 * MAX_BYTES // 7
PLAIN_DTYPE = re.compile(r"[<>|=]?([biufSU]\d{1,9}|O\d?)")


class _Sealed(type):
    """A class whose attributes a pickle cannot set."""

    def __setattr__(cls, name: str, value: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__} is sealed")


class _Stub(metaclass=_Sealed):
    """Holds the arguments and the state that a pickle gives to an object, and does nothing."""

    __slots__ = ("arguments", "state")
    arguments: tuple
    state: Any

    def __new__(cls, *arguments: Any) -> _Stub:
        stub = super().__new__(cls)
        stub.__setstate__(None)
        object.__setattr__(stub, "arguments", arguments)
        return stub

    def __setstate__(self, state: Any) -> None:
        object.__setattr__(self, "state", state)


class _Function:
    """A permitted function; sealed, so that a pickle can only call it."""

    __slots__ = ("_call",)
    _call: Callable[..., Any]

    def __init__(self, call: Callable[..., Any]):
        object.__setattr__(self, "_call", call)

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise TypeError("sealed")


class Unread:
    """A chumpy expression that the file holds and this reader does not evaluate."""

    def __init__(self, name: str):
        self.name = name


def _stub_class(name: str) -> Any:
    return _Sealed(name, (_Stub,), {"__slots__": ()})


def _reconstruct_object(cls: Any, base: Any, state: Any) -> _Stub:
    """`copyreg._reconstructor` of protocols 0 and 1, for stubs only."""
    if not (isinstance(cls, _Sealed) and state is None):
        raise pickle.UnpicklingError("an object of an unexpected kind")
    return cls()


# A derived entry of a SMPL file may hold any chumpy class; as a stub it only holds data.
_CHUMPY_NAME = re.compile(r"chumpy\.\w+\.\w+")

# The same names as older and newer versions of Python, numpy and scipy spell them.
_RENAMED = (
    (re.compile(r"^__builtin__\."), "builtins."),
    (re.compile(r"^copyreg\."), "copy_reg."),
    (re.compile(r"^numpy\._core\."), "numpy.core."),
    (re.compile(r"^scipy\.sparse\._?cs[cr]\."), "scipy.sparse."),
    (re.compile(r"^chumpy\.Ch$"), "chumpy.ch.Ch"),
)


class _WholeReads(io.BytesIO):
    """Raises EOFError where a read would come back short, which `pickle` does not check."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if size is not None and len(data) < size:
            raise EOFError
        return data


# Opcodes that put keys into a dict or set -> where on the stack the keys are.
_KEYS_ON_STACK = {
    pickle.SETITEM: slice(-2, -1),
    pickle.SETITEMS: slice(None, None, 2),
    pickle.DICT: slice(None, None, 2),
    pickle.ADDITEMS: slice(None),
    pickle.FROZENSET: slice(None),
}
_LARGEST_KEY = 1 << 60


def _check_keys(keys: Iterable[Any]) -> None:
    """Refuses keys that can be made to take for ever: nested tuples, numbers of equal hashes."""
    for key in keys:
        plain = isinstance(key, str | bytes) or key is None
        if not plain and not (type(key) in (int, bool) and abs(key) < _LARGEST_KEY):
            raise ValueError(f"a dict or set with a {type(key).__name__} as its key")


def _with_plain_keys(load: Callable[[Any], None], keys: slice) -> Callable[[Any], None]:
    """The method of an opcode, which checks the keys on the stack first."""

    def checked(reader: Any) -> None:
        _check_keys(reader.stack[keys])
        load(reader)

    return checked


def _counted(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """The method of an opcode, which counts it as one of those that the file's size allows."""

    def counted(reader: Any) -> None:
        reader.steps_left -= 1
        if reader.steps_left < 0:
            raise ValueError("it holds more objects than are read from one file")
        load(reader)

    return counted


class _Reader(pickle._Unpickler):
    """The unpickler written in Python, with the look-up of names replaced.

    Private, but the public `pickle.Unpickler` is written in C and reserves memory for whatever memo
    index a file names: 9 bytes took a gigabyte in Python 3.11.7, 3.12.1 and 3.13.0 (bug 115952).
    """

    dispatch: ClassVar[dict[int, Callable]] = dict(pickle._Unpickler.dispatch)  # opcode -> method

    def __init__(self, data: bytes, source: str):
        super().__init__(_WholeReads(data), encoding="latin1")
        self._source = source
        self.steps_left = (allowed(MAX_BYTES) - _COPIES * len(data)) // _BYTES_PER_STEP

    def _load_bytearray8(self) -> None:
        """Reads before it reserves memory."""
        (length,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(bytearray(self.read(length)))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray8
    for _opcode, _keys in _KEYS_ON_STACK.items():
        dispatch[_opcode[0]] = _with_plain_keys(dispatch[_opcode[0]], _keys)
    for _number, _method in list(dispatch.items()):
        dispatch[_number] = _counted(_method)

    def find_class(self, module: str, name: str) -> Any:
        full_name = f"{module}.{name}"
        for pattern, replacement in _RENAMED:
            full_name = pattern.sub(replacement, full_name)
        if _CHUMPY_NAME.fullmatch(full_name):
            return _stub_class(full_name)
        if full_name not in _ALLOWED:
            raise UserError(
                f"refused {module}.{name} in {self._source}: this is not a plain file of arrays, "
                "and nothing in it has been run. Download the file again from its official site."
            )
        return _ALLOWED[full_name]


class _Resolver:
    """Turns what a pickle holds, stubs included, into plain Python and numpy objects.

    A few bytes can share parts so often that whoever unfolds them (into an array, a text) never
    ends, so the unfolded size of each object is limited.

    Args:
        budget_bytes: limit of the memory that evaluated stubs take, and of each unfolded size.
    """

    def __init__(self, budget_bytes: int):
        self._limit_bytes = self._budget_bytes = budget_bytes
        self._done: dict[int, Any] = {}
        self._open: set[int] = set()
        self._unfolded_bytes: dict[int, int] = {}  # by the id of the plain form

    def resolve(self, value: Any) -> Any:
        """The plain form of `value`; shared parts stay shared, loops raise ValueError."""
        if not isinstance(value, _Stub | dict | list | tuple | set | frozenset):
            return value
        if id(value) in self._open:
            raise ValueError("an object that contains itself")
        if id(value) not in self._done:
            self._open.add(id(value))
            plain = self._done[id(value)] = self._resolve_new(value)
            self._open.discard(id(value))
            self._unfolded_bytes[id(plain)] = self._measure(plain)
            if self._unfolded_bytes[id(plain)] > self._limit_bytes:
                raise ValueError("it unfolds to more data than is read from one file")
        return self._done[id(value)]

    def _resolve_new(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, _Stub):
            return self._evaluate(value)
        return type(value)(self.resolve(item) for item in value)

    def _evaluate(self, stub: _Stub) -> Any:
        name = type(stub).__name__
        arguments, state = self.resolve(stub.arguments), self.resolve(stub.state)
        is_chumpy = name.startswith("chumpy.")
        result = _evaluate_chumpy(name, state) if is_chumpy else _EVALUATE[name](arguments, state)
        if id(result) not in self._unfolded_bytes:  # not one that is there already
            self._budget_bytes -= self._measure(result)
        if self._budget_bytes < 0:
            raise ValueError("it unfolds to more data than is read from one file")
        return result

    def _measure(self, value: Any) -> int:
        """About how many bytes a plain object takes if nothing in it is shared."""
        if isinstance(value, str | bytes | bytearray):
            return len(value)
        if isinstance(value, np.ndarray):
            return self._measure_items(value.ravel()) if value.dtype.hasobject else value.nbytes
        if isinstance(value, dict):
            return self._measure_items(value.values())
        if isinstance(value, list | tuple | set | frozenset):
            return self._measure_items(value)
        return 0

    def _measure_items(self, items: Collection[Any]) -> int:
        """Text counts as in an array, in which every text is as long as the longest."""
        texts = [len(item) for item in items if isinstance(item, str | bytes)]
        parts = sum(self._unfolded_bytes.get(id(item), 0) for item in items)
        return 8 * len(items) + len(texts) * max(texts, default=0) + parts


def _encode(arguments: tuple, state: None) -> bytes:
    """Python 2's pickles carry bytes as text; only Latin-1 occurs."""
    text, encoding = arguments
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes in encoding {encoding!r}")
    return text.encode("latin1")


def _make_dtype(arguments: tuple, state: tuple | None) -> np.dtype:
    spec = arguments[0]
    order = state[1] if state is not None else ""
    text = spec if spec[0] in "<>|=" else order + spec
    if not PLAIN_DTYPE.fullmatch(text):
        raise ValueError(f"an array of type {text!r}; only numbers, text and objects are read")
    return np.dtype(text)


def _make_array(arguments: tuple, state: tuple) -> np.ndarray:
    _, shape, dtype, is_fortran, raw = state
    return _view(raw, dtype, shape, "F" if is_fortran else "C")


def _make_scalar(arguments: tuple, state: None) -> Any:
    dtype, raw = arguments
    return _view(raw, dtype, (), "C")[()]


def _make_from_buffer(arguments: tuple, state: None) -> np.ndarray:
    raw, dtype, shape, order = arguments
    return _view(raw, dtype, shape, order)


def _view(raw: Any, dtype: np.dtype, shape: tuple, order: Any) -> np.ndarray:
    """A read-only array over bytes of the file: it needs no memory of its own."""
    if dtype.hasobject:
        return np.fromiter(raw, object, len(raw)).reshape(shape, order=order)
    if not isinstance(raw, str | bytes | bytearray):
        raise ValueError(f"an array over a {type(raw).__name__}")
    data = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
    return np.frombuffer(data, dtype).reshape(shape, order=order)


def _make_set(arguments: tuple, state: None) -> set:
    (items,) = arguments or ((),)
    _check_keys(items)
    return set(items)


def _make_empty_bytes(arguments: tuple, state: None) -> bytes:
    """Protocols 0 to 2 have no bytes: Python 3 writes those of an empty array as a call."""
    if arguments:
        raise ValueError("bytes made of something")
    return b""


def _make_sparse(kind: str, arguments: tuple, state: dict) -> Any:
    parts = (state["data"], state["indices"], state["indptr"])
    # Importing scipy.sparse takes a tenth of a second.
    matrix = getattr(scipy.sparse, kind)(parts, shape=tuple(state["_shape"]))
    matrix.check_format(full_check=True)
    return matrix


def _select(array: np.ndarray, state: dict) -> np.ndarray:
    """chumpy's `Select`: elements of the flattened array, in a new shape."""
    if np.size(state["idxs"]) * array.itemsize > MEMORY_FLOOR_BYTES:
        raise ValueError("a selection much larger than what it selects from")
    selected = array.ravel()[state["idxs"]]
    return selected.reshape(state.get("preferred_shape", selected.shape))


# chumpy class: where its operand is, and its value; all that SMPL files need.
_CHUMPY: dict[str, tuple[str, Callable[[np.ndarray, dict], np.ndarray]]] = {
    "chumpy.ch.Ch": ("x", lambda array, state: array),
    "chumpy.reordering.Select": ("a", _select),
    "chumpy.reordering.Reshape": ("a", lambda array, state: array.reshape(state["newshape"])),
    "chumpy.reordering.transpose": ("a", lambda array, state: array.transpose(state.get("axes"))),
}


def _evaluate_chumpy(name: str, state: dict) -> np.ndarray | Unread:
    if name not in _CHUMPY:
        return Unread(name)
    operand, value = _CHUMPY[name]
    array = state[operand]
    return Unread(name) if isinstance(array, Unread) else value(np.asarray(array), state)


# What is a stub while the file is read -> its value, from its arguments and its state. Whatever
# could turn a short file into much memory is here: `_Resolver` limits memory.
_EVALUATE: dict[str, Callable[[tuple, Any], Any]] = {
    "_codecs.encode": _encode,
    "builtins.set": _make_set,
    "builtins.bytes": _make_empty_bytes,
    "numpy.dtype": _make_dtype,
    "numpy.ndarray": _make_array,
    "numpy.core.multiarray.scalar": _make_scalar,
    "numpy.core.numeric._frombuffer": _make_from_buffer,
    "scipy.sparse.csc_matrix": functools.partial(_make_sparse, "csc_matrix"),
    "scipy.sparse.csr_matrix": functools.partial(_make_sparse, "csr_matrix"),
}
_STUBS = {name: _stub_class(name) for name in _EVALUATE}
# All that a file may name, beside chumpy's classes.
_ALLOWED: dict[str, Any] = _STUBS | {
    "builtins.object": _Function(object),
    "copy_reg._reconstructor": _Function(_reconstruct_object),
    "numpy.core.multiarray._reconstruct": _Function(lambda *_: _STUBS["numpy.ndarray"]()),
}


def safe_load(path: str | os.PathLike, max_bytes: int = _MAX_PICKLE_BYTES) -> Any:
    """Loads a pickle of arrays, of Python 2 or 3, without running code from it.

    Args:
        path: the pickle file.
        max_bytes: the largest file that is read.
    Returns:
        dicts, lists, tuples, sets, numbers, str (Python 2's strings as Latin-1), numpy arrays
        (read-only views of the file's bytes) and scipy sparse matrices. chumpy leaves and
        selections come out as arrays, other chumpy expressions as `Unread`.
    Raises:
        UserError: the file is missing, too large, truncated, damaged, of another kind, or names
            anything beyond plain arrays.
    """
    return safe_loads(read_bounded(path, max_bytes), str(path))


def safe_loads(data: bytes, source: str) -> Any:
    """`safe_load` of bytes already read; `source` names them in messages."""
    for head, meaning in FOREIGN_HEADS:
        if data.startswith(head):
            raise UserError(f"{source} {meaning}.")
    check_allowed(source, len(data), _MAX_PICKLE_BYTES, "is a pickle of")
    budget_bytes = MEMORY_FLOOR_BYTES + MEMORY_PER_BYTE * len(data)
    budget_bytes = min(budget_bytes, allowed(MAX_BYTES) - (_COPIES - 1) * len(data))
    with parsing(source, "readable pickle"):
        try:
            return _Resolver(budget_bytes).resolve(_Reader(data, source).load())
        except KeyError as error:
            if not isinstance(error.args[0], int):
                raise
            raise UserError(
                f"{source} is not a readable pickle: it holds {bytes(error.args)!r}, which is no "
                "instruction of one."
            ) from error
        except EOFError as error:
            raise UserError(
                f"{source} ends too early, after {len(data):,} bytes: download it again."
            ) from error
