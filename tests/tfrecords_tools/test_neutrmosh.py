"""neutrMosh in its own layout: Python-2 pickles, aligned copies, test subjects."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.errors import UserError
from tests.helpers.converting import manifest_of, read_bodies, run
from tfrecords_tools.neutrmosh import CONVERTER, find_takes, read_fits, read_take


def python2_pickle(path, content):
    """Writes arrays as Python 2's cPickle does: protocol 2, old module names, text for bytes."""
    data = pickle.dumps(content, protocol=2, fix_imports=True)
    data = data.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _take(count=20, key="poses", first=0.0, **changes) -> dict:
    poses = np.zeros((count, 72))
    poses[:, 7] = first + np.arange(count)
    return {key: poses, "betas": np.arange(10) / 10, "trans": np.zeros((count, 3)), **changes}


@pytest.fixture
def mosh(tmp_path):
    root = tmp_path / "neutrMosh"
    python2_pickle(root / "neutrSMPL_CMU" / "01" / "01_01.pkl", _take())
    python2_pickle(root / "neutrSMPL_CMU" / "01" / "01_02.pkl", _take(5, first=100))
    human = root / "neutrSMPL_H3.6"
    python2_pickle(human / "S1" / "Eating.pkl", _take(8))
    python2_pickle(human / "S1" / "Eating_cam0_aligned.pkl", _take(4, key="new_poses"))
    python2_pickle(human / "S9" / "Eating.pkl", _take(8))
    python2_pickle(human / "S11" / "Eating.pkl", _take(8))
    python2_pickle(root / "neutrSMPL_jointLim" / "a" / "b.pkl", _take(3, key="new_poses"))
    return root


def test_each_folder_becomes_records_of_its_own(mosh, tmp_path):
    run(CONVERTER, mosh, tmp_path / "out")
    counts = {
        name: manifest_of(tmp_path / "out", name, "train").examples
        for name in ("mocap_cmu", "mocap_h36m_mosh", "mocap_posePrior")
    }
    assert counts == {"mocap_cmu": 25, "mocap_h36m_mosh": 8, "mocap_posePrior": 3}


def test_all_poses_in_one_seeded_shuffle_with_their_shapes(mosh, tmp_path):
    run(CONVERTER, mosh, tmp_path / "out")
    poses, shapes = read_bodies(tmp_path / "out", "mocap_cmu")
    values = poses[:, 7].tolist()
    assert sorted(values) == [*range(20), *range(100, 105)] and values != sorted(values)
    np.testing.assert_allclose(shapes, np.tile(np.arange(10) / 10, (25, 1)), rtol=1e-6)


def test_aligned_copies_and_test_subjects_are_left_out(mosh, tmp_path):
    run(CONVERTER, mosh, tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "mocap_h36m_mosh", "train")
    assert manifest.dropped == {"aligned copy": 1, "test subject": 2}


def test_a_path_that_holds_s9_elsewhere_is_kept(tmp_path):
    folder = tmp_path / "disk_S9" / "neutrSMPL_H3.6"
    python2_pickle(folder / "S1" / "S9_like.pkl", _take(2))
    takes, dropped = find_takes(folder)
    assert len(takes) == 1 and not dropped.counts


def test_thinning(mosh, tmp_path):
    run(CONVERTER, mosh, tmp_path / "out", "--keep_every", "10")
    poses, _ = read_bodies(tmp_path / "out", "mocap_cmu")
    assert sorted(poses[:, 7]) == [0, 10, 100]


def test_any_folder_of_pickles_can_be_named(tmp_path):
    python2_pickle(tmp_path / "takes" / "cmu_smpl_01_01.pkl", _take(4))
    run(CONVERTER, tmp_path / "takes", tmp_path / "out", "--name", "cmu")
    assert manifest_of(tmp_path / "out", "mocap_cmu", "train").examples == 4
    run(CONVERTER, tmp_path / "takes", tmp_path / "out")
    assert manifest_of(tmp_path / "out", "mocap_takes", "train").examples == 4


def test_fits_of_an_identity_root_stand_upright_in_the_camera_frame(tmp_path):
    content = {"new_poses": np.zeros((1, 72)), "betas": np.zeros(10)}
    python2_pickle(tmp_path / "a.pkl", content)
    poses, _ = read_fits(tmp_path / "a.pkl")
    head = Rotation.from_rotvec(poses[0, :3]).apply([0, 1, 0])
    np.testing.assert_allclose(head, [0, -1, 0], atol=1e-6)


class _Runs:
    def __reduce__(self):
        return (print, ("run by a pickle",))


def test_a_pickle_that_runs_code_is_refused(tmp_path, capfd):
    folder = tmp_path / "neutrSMPL_CMU" / "01"
    python2_pickle(folder / "good.pkl", _take(4))
    python2_pickle(folder / "evil.pkl", _take(4, extra=_Runs()))
    run(CONVERTER, tmp_path, tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "mocap_cmu", "train")
    assert manifest.examples == 4 and manifest.dropped == {"unreadable take": 1}
    assert "refused" in manifest.dropped_names["unreadable take"][0]
    assert "run by a pickle" not in capfd.readouterr().out


@pytest.mark.parametrize(
    "content",
    [{"betas": np.zeros(10)}, _take(poses=np.zeros((3, 71))), _take(betas=np.zeros(3)), [1, 2]],
)
def test_unusable_takes_are_counted(tmp_path, content):
    folder = tmp_path / "neutrSMPL_CMU" / "01"
    python2_pickle(folder / "good.pkl", _take(4))
    python2_pickle(folder / "odd.pkl", content)
    run(CONVERTER, tmp_path, tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "mocap_cmu", "train")
    assert manifest.examples == 4 and sum(manifest.dropped.values()) == 1


def test_a_longer_shape_is_cut_to_ten(tmp_path):
    python2_pickle(tmp_path / "a.pkl", _take(betas=np.arange(16.0)))
    _, shape = read_take(tmp_path / "a.pkl", 1)
    np.testing.assert_array_equal(shape, np.arange(10))


def test_a_folder_without_pickles_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no \.pkl"):
        run(CONVERTER, tmp_path, tmp_path / "out")
