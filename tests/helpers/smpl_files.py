"""Makes files in the formats in which SMPL and mocap pickles are handed out, from made numbers."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import scipy.sparse

from hmr.body.joints import SMPL_PARENTS

PYTHON2_MODULES = {
    "copyreg": "copy_reg",
    "builtins": "__builtin__",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "scipy.sparse._csc": "scipy.sparse.csc",
}


def sparse_rows(rng: np.random.Generator, rows: int, columns: int) -> scipy.sparse.csc_matrix:
    """Rows of eight positive weights that sum to 1."""
    dense = np.zeros((rows, columns))
    for row in dense:
        row[rng.choice(columns, 8, replace=False)] = 1 / 8
    return scipy.sparse.csc_matrix(dense)


def smpl_dict(
    num_betas: int = 10, num_joints: int = 24, num_vertices: int = 6890, coco: bool = False
) -> dict:
    """The keys of an official SMPL file, with made numbers of the right shapes (float32)."""
    rng = np.random.default_rng(0)
    skinning = rng.random((num_vertices, num_joints), np.float32)
    parents = np.array([*SMPL_PARENTS, *range(23, num_joints - 1)])
    model = {
        "v_template": rng.standard_normal((num_vertices, 3), np.float32),
        "shapedirs": rng.standard_normal((num_vertices, 3, num_betas), np.float32),
        "posedirs": rng.standard_normal((num_vertices, 3, 9 * (num_joints - 1)), np.float32),
        "weights": skinning / skinning.sum(1, keepdims=True),
        "J_regressor": sparse_rows(rng, num_joints, num_vertices),
        "kintree_table": np.array([parents, np.arange(num_joints)]).astype(np.uint32),
        "f": rng.integers(0, num_vertices, (13776, 3)).astype(np.uint32),
        "bs_type": "lrotmin",
    }
    if coco:
        model["cocoplus_regressor"] = sparse_rows(rng, 19, num_vertices)
    return model


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2.7 wrote: 8-bit strings and the module names of its time."""

    dispatch: ClassVar[dict] = dict(pickle._Pickler.dispatch)

    def _save_string(self, data: bytes, value: str | bytes) -> None:
        short = len(data) < 256
        size = len(data).to_bytes(1 if short else 4, "little")
        self.write((pickle.SHORT_BINSTRING if short else pickle.BINSTRING) + size + data)
        self.memoize(value)

    def save_bytes(self, value: bytes) -> None:
        self._save_string(value, value)

    def save_str(self, value: str) -> None:
        self._save_string(value.encode("latin1"), value)

    def save_global(self, value, name=None) -> None:
        name = name or value.__qualname__
        module = pickle.whichmodule(value, name)
        module = PYTHON2_MODULES.get(module, module)
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(value)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str
    dispatch[type] = save_global
    dispatch[types.FunctionType] = save_global
    dispatch[types.BuiltinFunctionType] = save_global


def _chumpy_class(module: str, name: str) -> type:
    return type(name, (), {"__module__": module, "__qualname__": name})


@contextmanager
def fake_chumpy() -> Iterator[dict[str, type]]:
    """Classes under chumpy's names, importable while a pickle is being written."""
    names = {
        "chumpy": [],
        "chumpy.ch": ["Ch"],
        "chumpy.reordering": ["Select", "transpose"],
        "chumpy.ch_ops": ["add"],
    }
    classes = {}
    for module_name, class_names in names.items():
        module = types.ModuleType(module_name)
        for name in class_names:
            classes[name] = _chumpy_class(module_name, name)
            setattr(module, name, classes[name])
        sys.modules[module_name] = module
    try:
        yield classes
    finally:
        for module_name in names:
            del sys.modules[module_name]


def chumpy_object(cls: type, **state) -> object:
    """An instance with chumpy's bookkeeping attributes around its own terms."""
    instance = cls.__new__(cls)
    instance.__dict__.update(state, _dirty_vars=set(), _itr=None, _make_dense=False)
    return instance


def with_chumpy(model: dict, classes: dict[str, type]) -> dict:
    """The model as the official v1.0.0 files hold it: leaves, a selection, derived entries."""
    leaf = chumpy_object(classes["Ch"], x=model["v_template"])
    flat = chumpy_object(classes["Ch"], x=model["shapedirs"])
    idxs = np.arange(model["shapedirs"].size)
    shape = model["shapedirs"].shape
    select = chumpy_object(classes["Select"], a=flat, idxs=idxs, preferred_shape=shape)
    return model | {
        "v_template": leaf,
        "shapedirs": select,
        "J": chumpy_object(classes["transpose"], a=leaf, axes=None),
        "v_shaped": chumpy_object(classes["add"], a=leaf, b=leaf),
    }


def write_pickle(path: Path, value: object, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(value, protocol))
    return path


def write_python2_pickle(path: Path, value: object, protocol: int = 2) -> Path:
    with open(path, "wb") as file:
        Python2Pickler(file, protocol).dump(value)
    return path
