"""AMASS in its own layout: SMPL+H poses of 156 numbers, 16 shape coefficients, odd frame rates."""

from __future__ import annotations

import numpy as np
import pytest

from hmr.errors import UserError
from tests.helpers.converting import manifest_of, read_bodies, run
from tfrecords_tools.amass import CONVERTER, find_sets, read_take, record_name, to_smpl


def _write(path, count=120, rate=120.0, columns=156, **changes):
    poses = np.tile(np.arange(columns) / 1000.0, (count, 1))
    poses[:, 5] = np.arange(count)
    take = {
        "poses": poses,
        "trans": np.zeros((count, 3)),
        "betas": np.arange(16) / 10,
        "dmpls": np.zeros((count, 8)),
        "gender": np.array(b"female"),
        "mocap_framerate": np.array(rate),
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: value for key, value in take.items() if value is not None})


def test_takes_are_thinned_to_12_frames_a_second(tmp_path):
    _write(tmp_path / "amass" / "CMU" / "01" / "01_01_poses.npz")
    run(CONVERTER, tmp_path / "amass", tmp_path / "out")
    poses, shapes = read_bodies(tmp_path / "out", "mocap_cmu")
    assert sorted(poses[:, 5]) == list(range(0, 120, 10))
    np.testing.assert_allclose(shapes, np.tile(np.arange(10) / 10, (12, 1)), rtol=1e-6)


@pytest.mark.parametrize(("rate", "kept"), [(59.99, 24), (60, 24), (100, 15), (250, 6), (12, 120)])
def test_odd_rates_are_rounded(tmp_path, rate, kept):
    _write(tmp_path / "a_poses.npz", rate=rate)
    poses, _ = read_take(tmp_path / "a_poses.npz", 12.0)
    assert len(poses) == kept


def test_pose_prior_is_kept_whole(tmp_path):
    _write(tmp_path / "amass" / "MPI_Limits" / "03099" / "op2_poses.npz", rate=100.0)
    run(CONVERTER, tmp_path / "amass", tmp_path / "out")
    assert manifest_of(tmp_path / "out", "mocap_posePrior", "train").examples == 120


def test_bodies_keep_22_joints_and_get_hands_at_rest():
    poses = np.arange(2 * 156.0).reshape(2, 156)
    smpl = to_smpl(poses)
    np.testing.assert_array_equal(smpl[1, :66], poses[1, :66])
    assert smpl.shape == (2, 72) and not smpl[:, 66:].any()


def test_smpl_poses_keep_their_hands():
    np.testing.assert_array_equal(to_smpl(np.ones((1, 72))), np.ones((1, 72)))


def test_smplx_files_are_read(tmp_path):
    changes = {"mocap_framerate": None, "mocap_frame_rate": np.array(60.0)}
    _write(tmp_path / "a_stageii.npz", columns=165, **changes)
    poses, _ = read_take(tmp_path / "a_stageii.npz", 12.0)
    assert poses.shape == (24, 72)


def test_every_set_becomes_records_of_its_own(tmp_path):
    for name in ("CMU/01", "PosePrior/x", "BMLrub/rub001"):
        _write(tmp_path / name / "a_poses.npz")
    (tmp_path / "CMU" / "01" / "shape.npz").write_bytes(b"")
    assert sorted(find_sets(tmp_path)) == ["bmlrub", "cmu", "posePrior"]
    assert record_name("MPI_Limits") == "posePrior"


def test_one_sets_folder_can_be_given(tmp_path):
    _write(tmp_path / "CMU" / "01" / "a_poses.npz")
    assert list(find_sets(tmp_path / "CMU")) == ["cmu"]


def test_sets_can_be_chosen(tmp_path):
    for name in ("CMU/01", "BMLrub/rub001"):
        _write(tmp_path / "amass" / name / "a_poses.npz")
    run(CONVERTER, tmp_path / "amass", tmp_path / "out", "--sets", "BMLrub", "--fps", "60")
    assert manifest_of(tmp_path / "out", "mocap_bmlrub", "train").examples == 60
    assert not (tmp_path / "out" / "mocap_cmu").exists()
    with pytest.raises(UserError, match=r"no set \['kit'\]"):
        run(CONVERTER, tmp_path / "amass", tmp_path / "out", "--sets", "KIT")


def test_what_cannot_be_used_is_counted_and_loses_nothing_else(tmp_path):
    subject = tmp_path / "amass" / "CMU" / "01"
    _write(subject / "01_poses.npz")
    _write(subject / "02_poses.npz", columns=100)
    _write(subject / "03_poses.npz", mocap_framerate=None)
    _write(subject / "04_poses.npz", poses=None)
    _write(subject / "05_poses.npz", betas=np.full(16, np.nan))
    (subject / "06_poses.npz").write_bytes(b"PK damage")
    np.savez(subject / "07_poses.npz", poses=np.array([{}], dtype=object), betas=np.zeros(16))
    run(CONVERTER, tmp_path / "amass", tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "mocap_cmu", "train")
    assert manifest.dropped == {
        "unreadable take": 3,
        "take of an unknown layout": 1,
        "take without frame rate": 1,
        "take without usable frames": 1,
    }
    assert manifest.examples == 12


def test_frames_that_are_not_finite_are_left_out(tmp_path):
    poses = np.zeros((120, 156))
    poses[10] = np.nan
    _write(tmp_path / "a_poses.npz", poses=poses)
    assert len(read_take(tmp_path / "a_poses.npz", 12.0)[0]) == 11


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"_poses\.npz"):
        find_sets(tmp_path)
