"""The authors' mean-parameter file is read as it is, and others are named."""

import h5py
import numpy as np
import pytest

from hmr.body.mean_params import read_mean_params
from hmr.errors import UserError


def write(path, **arrays):
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            file.create_dataset(key, data=value)
    return path


def test_reads_pose_and_shape_as_float32(tmp_path):
    pose, shape = np.linspace(-1, 1, 72), np.linspace(0, 1, 10)
    path = write(tmp_path / "mean.h5", pose=pose, shape=shape)
    read_pose, read_shape = read_mean_params(path)
    assert read_pose.dtype == read_shape.dtype == np.float32
    np.testing.assert_allclose(read_pose, pose, atol=1e-7)
    np.testing.assert_allclose(read_shape, shape, atol=1e-7)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pose": np.zeros(72)}, "no dataset 'shape'"),
        ({"pose": np.zeros(69), "shape": np.zeros(10)}, r"pose must .*\(72,\).*\(69,\)"),
        ({"pose": np.full(72, np.nan), "shape": np.zeros(10)}, "not finite"),
    ],
)
def test_wrong_contents(tmp_path, arrays, message):
    with pytest.raises(UserError, match=message):
        read_mean_params(write(tmp_path / "mean.h5", **arrays))


def test_missing_and_foreign_files(tmp_path):
    with pytest.raises(UserError, match=r"no mean parameters at .*mean_params=mocap"):
        read_mean_params(tmp_path / "absent.h5")
    (tmp_path / "x.h5").write_bytes(b"<html>sign in</html>")
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        read_mean_params(tmp_path / "x.h5")
