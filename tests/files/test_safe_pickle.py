"""Pickles of every protocol and time are read, and nothing in them is run."""

import pickle
import struct
import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr.errors import UserError
from hmr.files.safe_pickle import Unread, safe_load, safe_loads
from tests.helpers.smpl_files import chumpy_object, fake_chumpy, write_pickle, write_python2_pickle


def sample() -> dict:
    return {
        "rows": np.arange(6.0).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "swapped": np.arange(3, dtype=">i2"),
        "flags": np.array([True, False]),
        "names": np.array(["a", "bc"]),
        "scalar": np.float32(2.5),
        "nothing": None,
        "raw": b"\x00\xff",
        "nested": {"list": [1, 2.5, "x"], "tuple": (True, -7)},
        "set": {1, 2},
    }


def assert_same(actual, expected):
    assert set(actual) == set(expected)
    for key, value in expected.items():
        np.testing.assert_array_equal(actual[key], value, err_msg=key)


@pytest.mark.parametrize("protocol", range(6))
def test_reads_every_protocol(tmp_path, protocol):
    assert_same(safe_load(write_pickle(tmp_path / "x.pkl", sample(), protocol)), sample())


@pytest.mark.parametrize("protocol", [1, 2])
def test_reads_python2_strings_and_module_names(tmp_path, protocol):
    value = sample() | {"sparse": scipy.sparse.csc_matrix(np.eye(3))}
    path = write_python2_pickle(tmp_path / "x.pkl", value, protocol)
    assert b"__builtin__" in path.read_bytes()
    read = safe_load(path)
    np.testing.assert_array_equal(read.pop("sparse").toarray(), np.eye(3))
    assert read.pop("raw") == "\x00\xff"
    assert_same(read, {key: item for key, item in sample().items() if key != "raw"})


def test_reads_protocol_0_bytes_with_escapes():
    text = b"(dp0\nS'key\\xe9'\np1\nS'\\x00\\xff'\np2\ns."
    assert safe_loads(text, "x") == {"key\xe9": "\x00\xff"}


def test_chumpy_leaves_and_selections_become_arrays(tmp_path):
    values = np.arange(12.0).reshape(3, 4)
    with fake_chumpy() as classes:
        leaf = chumpy_object(classes["Ch"], x=values)
        picked = chumpy_object(
            classes["Select"], a=leaf, idxs=np.array([11, 0]), preferred_shape=(2, 1)
        )
        turned = chumpy_object(classes["transpose"], a=leaf)
        total = chumpy_object(classes["add"], a=leaf, b=leaf)
        unread = chumpy_object(classes["transpose"], a=total)
        value = {"leaf": leaf, "picked": picked, "turned": turned, "unread": unread}
        for write, protocol in [(write_pickle, 2), (write_pickle, 0), (write_python2_pickle, 2)]:
            write(tmp_path / f"{write.__name__}{protocol}.pkl", value, protocol)
    assert "chumpy" not in sys.modules
    for path in tmp_path.glob("*.pkl"):
        read = safe_load(path)
        np.testing.assert_array_equal(read["leaf"], values)
        np.testing.assert_array_equal(read["picked"], [[11.0], [0.0]])
        np.testing.assert_array_equal(read["turned"], values.T)
        assert isinstance(read["unread"], Unread)
        assert read["unread"].name == "chumpy.reordering.transpose"


class Runs:
    """Pickles as a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_call_of_anything_else_is_refused_and_not_run(tmp_path, protocol):
    witness = tmp_path / "witness"
    path = write_pickle(tmp_path / "x.pkl", Runs(open, str(witness), "w"), protocol)
    with pytest.raises(UserError, match=r"refused (_io|io)\.open in .*x\.pkl"):
        safe_load(path)
    assert not witness.exists()


@pytest.mark.parametrize(
    "name",
    ["os system", "posix system", "__builtin__ eval", "builtins getattr", "numpy load",
     "numpy.core.multiarray fromstring", "chumpy.ch.x y.z", "scipy.sparse.csc os",
     "numpy ndarray.tofile", "hmr.files.safe_pickle safe_load"],
)  # fmt: skip
def test_refused_names(name):
    module, attribute = name.split()
    with pytest.raises(UserError, match="refused"):
        safe_loads(f"c{module}\n{attribute}\n(S'true'\ntR.".encode(), "x.pkl")


@pytest.mark.parametrize(
    "program",
    [
        b"cnumpy\nndarray\n}S'x'\nI1\nsb.",
        b"cnumpy\nndarray\n(N}S'__setstate__'\nI1\nstb.",
        b"cnumpy.core.multiarray\n_reconstruct\n}S'_call'\nI1\nsb.",
        b"cnumpy.core.multiarray\n_reconstruct\n(N}S'_call'\nI1\nstb.",
        b"ccopy_reg\n_reconstructor\n(c__builtin__\nobject\nc__builtin__\nobject\nI5\ntR.",
    ],
)
def test_permitted_names_cannot_be_altered(program):
    with pytest.raises(UserError, match="damaged"):
        safe_loads(program, "x.pkl")
    assert_same(safe_loads(pickle.dumps(sample(), 2), "x"), sample())


def test_a_memo_index_reserves_no_memory():
    program = b"\x80\x02}r" + struct.pack("<I", 0xFFFFFFF0) + b"."
    assert safe_loads(program, "x") == {}


def test_a_declared_length_reserves_no_memory():
    with pytest.raises(UserError, match="ends too early"):
        safe_loads(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 50), "x.pkl")


def test_short_files_cannot_unfold_into_much_memory():
    body = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20) + b"q\x00"
    encode = b"c_codecs\nencode\nq\x01U\x06latin1q\x02"
    call = b"h\x01h\x00h\x02\x86R"
    with pytest.raises(UserError, match="unfolds"):
        safe_loads(b"\x80\x02](" + body + encode + call * 1000 + b"e.", "x.pkl")


def test_shared_parts_are_resolved_once():
    value = [0]
    for _ in range(16):
        value = [value, value]
    assert safe_loads(pickle.dumps(value), "x") == value
    for _ in range(44):
        value = [value, value]
    with pytest.raises(UserError, match="unfolds to more data"):
        safe_loads(pickle.dumps(value), "x")


def test_loops_and_deep_nesting_are_damage():
    loop: list = []
    loop.append(loop)
    with pytest.raises(UserError, match="contains itself"):
        safe_loads(pickle.dumps(loop), "x.pkl")
    with pytest.raises(UserError, match="damaged"):
        safe_loads(b"(" + b"]" + b"(]" * 5000 + b"l" * 5000 + b"t.", "x.pkl")


@pytest.mark.parametrize(
    ("head", "meaning"),
    [
        (b"PK\x03\x04rest", r'begins with "PK"'),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"MATLAB 5.0", "MATLAB"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_other_kinds_of_file_are_named(tmp_path, head, meaning):
    path = tmp_path / "SMPL.pkl"
    path.write_bytes(head)
    with pytest.raises(UserError, match=meaning):
        safe_load(path)


def test_missing_empty_and_oversized_files(tmp_path):
    with pytest.raises(UserError, match="no file at"):
        safe_load(tmp_path / "absent.pkl")
    (tmp_path / "empty.pkl").touch()
    with pytest.raises(UserError, match="0 bytes"):
        safe_load(tmp_path / "empty.pkl")
    path = write_pickle(tmp_path / "x.pkl", sample())
    with pytest.raises(UserError, match="expected 1 to 100"):
        safe_load(path, max_bytes=100)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_bytes_end_in_one_clear_error(data):
    original = pickle.dumps(sample(), data.draw(st.sampled_from([0, 2, 4])))
    changed = bytearray(original[: data.draw(st.integers(1, len(original)))])
    for _ in range(data.draw(st.integers(0, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        safe_loads(bytes(changed), "x.pkl")
    except UserError as error:
        assert "x.pkl" in str(error)


@pytest.mark.parametrize("protocol", range(6))
def test_an_empty_array_is_read_in_every_protocol(protocol):
    read = safe_loads(pickle.dumps({"x": np.zeros((0, 72))}, protocol), "x")
    assert read["x"].shape == (0, 72)


_PAIRS = b"2\x86" * 64  # (t, t), 64 times nested
_LEAF = b"cchumpy.ch\nCh\n)\x81}X\x01\0\0\0xK\x01%bsb."


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02}K\x01" + _PAIRS + b"K\x01s.",
        b"\x80\x04\x8f(K\x01" + _PAIRS + b"\x90.",
        b"\x80\x04(K\x01" + _PAIRS + b"\x91.",
        b"\x80\x02c__builtin__\nset\n]K\x01" + _PAIRS + b"a\x85R.",
        b"\x80\x02]K\x01" + _PAIRS + b"a.",
        _LEAF.replace(b"%b", _PAIRS),
    ],
    ids=["key", "set", "frozenset", "set of Python 2", "list", "chumpy"],
)
def test_shared_parts_do_not_take_for_ever(data):
    with pytest.raises(UserError, match="damaged"):
        safe_loads(data, "x")


def test_sizes_are_not_believed_before_their_bytes_are_there():
    with pytest.raises(UserError, match="ends too early"):
        safe_loads(b"\x80\x05\x96" + struct.pack("<Q", 3 << 30) + b".", "x")
    number = b"cnumpy\nndarray\n)\x81(K\x01K\x04\x85cnumpy\ndtype\nX\x02\0\0\0u1\x85R\x89"
    with pytest.raises(UserError, match="array over a int"):
        safe_loads(b"\x80\x02" + number + b"\x8a\x05\0\0\0\0\x01tb.", "x")


def test_texts_of_very_different_lengths_are_not_made_an_array_of():
    texts = ["x" * 1_000_000, *map(str, range(100_000))]
    with pytest.raises(UserError, match="unfolds"):
        safe_loads(pickle.dumps(texts), "x")
