"""Archives of unknown origin are read without trusting what they say of themselves."""

import io
import zipfile

import numpy as np
import pytest
import scipy.sparse

from hmr.errors import UserError
from hmr.files.safe_npz import load_npz


def write_members(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def npy(array, **options):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def test_reads_what_savez_writes(tmp_path):
    arrays = {
        "matrix": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 3), np.float32),
        "text": np.array("neutral"),
        "count": np.array(7),
    }
    np.savez_compressed(tmp_path / "x.npz", sparse=scipy.sparse.csc_matrix(np.eye(2)), **arrays)
    read = load_npz(tmp_path / "x.npz")
    np.testing.assert_array_equal(read.pop("sparse").toarray(), np.eye(2))
    assert set(read) == set(arrays)
    for key, value in arrays.items():
        np.testing.assert_array_equal(read[key], value)


class Evil:
    def __reduce__(self):
        return (print, ("run",))


def test_pickled_code_inside_is_refused(tmp_path, capsys):
    data = npy(np.array(Evil(), object), allow_pickle=True)
    with pytest.raises(UserError, match=r"refused builtins\.print in .*a\.npy"):
        load_npz(write_members(tmp_path / "x.npz", a=data))
    assert capsys.readouterr().out == ""


def test_a_header_that_promises_more_than_there_is(tmp_path):
    data = npy(np.zeros((1000, 3))).replace(b"(1000, 3)", b"(9999, 9)")
    with pytest.raises(UserError, match="24,000 bytes of data, expected 719,928"):
        load_npz(write_members(tmp_path / "x.npz", a=data))


def test_archive_that_unpacks_to_too_much(tmp_path):
    path = write_members(tmp_path / "x.npz", a=npy(np.zeros(10**6)))
    assert path.stat().st_size < 10**5
    with pytest.raises(UserError, match="expected at most 1,000,000"):
        load_npz(path, max_bytes=10**6)


def test_other_archives(tmp_path):
    with zipfile.ZipFile(tmp_path / "SMPL.zip", "w") as archive:
        archive.writestr("smpl/models/basicModel_f.pkl", b"x")
    with pytest.raises(UserError, match=r"zip archive, not an \.npz.*basicModel_f"):
        load_npz(tmp_path / "SMPL.zip")
    with pytest.raises(UserError, match="no file at"):
        load_npz(tmp_path / "absent.npz")
    (tmp_path / "x.npz").write_bytes(b"not a zip")
    with pytest.raises(UserError, match="not a readable"):
        load_npz(tmp_path / "x.npz")
