"""Every known SMPL file gives the same body; every wrong one is named for what it is."""

import numpy as np
import pytest
import scipy.sparse

from hmr.body.joints import COCOPLUS, SMPL_JOINTS, SMPL_PARENTS
from hmr.body.model_file import load_body
from hmr.cli.convert_smpl import main as convert
from hmr.errors import UserError
from hmr.original.smpl_file import FACE_VERTICES, fallback_regressor, read_official
from tests.helpers.smpl_files import (
    fake_chumpy,
    smpl_dict,
    with_chumpy,
    write_pickle,
    write_python2_pickle,
)


@pytest.fixture(scope="module")
def model():
    return smpl_dict(coco=True)


def without_regressor(model):
    return {key: value for key, value in model.items() if key != "cocoplus_regressor"}


def dense(model):
    return {
        key: value.toarray() if scipy.sparse.issparse(value) else value
        for key, value in model.items()
    }


def assert_is(body, model):
    np.testing.assert_array_equal(body.v_template, model["v_template"])
    np.testing.assert_array_equal(body.shapedirs, model["shapedirs"][..., :10])
    np.testing.assert_array_equal(body.posedirs, model["posedirs"])
    np.testing.assert_array_equal(body.lbs_weights, model["weights"])
    np.testing.assert_allclose(body.joint_regressor, model["J_regressor"].toarray())
    np.testing.assert_array_equal(body.faces, model["f"].astype(np.int32))
    assert tuple(body.parents) == SMPL_PARENTS


def test_authors_neutral_file_with_keypoint_rows(tmp_path, model):
    path = write_python2_pickle(tmp_path / "neutral_smpl_with_cocoplus_reg.pkl", model)
    official = read_official(path)
    assert_is(official.body, model)
    np.testing.assert_allclose(
        official.body.cocoplus_regressor, model["cocoplus_regressor"].toarray()
    )
    assert (official.gender, official.notes) == ("neutral", ())


def test_v1_0_0_with_chumpy_inside(tmp_path, model):
    path = tmp_path / "basicModel_f_lbs_10_207_0_v1.0.0.pkl"
    with fake_chumpy() as classes:
        write_python2_pickle(path, with_chumpy(without_regressor(model), classes))
    official = read_official(path)
    assert_is(official.body, model)
    assert (official.gender, official.version, official.num_betas) == ("female", "1.0.0", 10)
    assert "SMPL's own joints" in official.notes[0]


def test_v1_1_0_keeps_the_first_ten_of_300_components(tmp_path):
    model = smpl_dict(num_betas=300)
    path = write_pickle(tmp_path / "SMPL_MALE.pkl", model)
    official = read_official(path)
    assert_is(official.body, model)
    assert (official.gender, official.version, official.num_betas) == ("male", "1.1.0", 300)
    assert official.notes[0] == "the file has 300 shape components; using the first 10"


@pytest.mark.parametrize("as_dense", [True, False])
def test_npz_with_dense_or_pickled_sparse_matrices(tmp_path, model, as_dense):
    path = tmp_path / "SMPL_NEUTRAL.npz"
    np.savez(path, **(dense(model) if as_dense else model))
    official = read_official(path)
    assert_is(official.body, model)
    assert official.notes == ()


def test_npz_renamed_to_pkl_is_read_and_named(tmp_path, model):
    np.savez(tmp_path / "x.npz", **dense(model))
    renamed = (tmp_path / "x.npz").rename(tmp_path / "SMPL_NEUTRAL.pkl")
    official = read_official(renamed)
    assert_is(official.body, model)
    assert official.notes == (
        'SMPL_NEUTRAL.pkl begins with "PK": it is an .npz, and is read as one',
    )


def test_keypoint_rows_of_another_file(tmp_path, model):
    paper = write_pickle(tmp_path / "neutral_smpl_with_cocoplus_reg.pkl", model)
    male = write_pickle(tmp_path / "SMPL_MALE.pkl", without_regressor(model))
    official = read_official(male, regressor_from=paper)
    np.testing.assert_allclose(
        official.body.cocoplus_regressor, model["cocoplus_regressor"].toarray()
    )
    assert official.notes == ()
    with pytest.raises(UserError, match="has no 'cocoplus_regressor'"):
        read_official(male, regressor_from=male)


def test_fallback_rows_are_joints_and_single_vertices():
    joint_regressor = np.arange(24.0)[:, None] * np.ones((24, 6890))
    template = np.zeros((6890, 3))
    template[411, 1] = 0.6
    rows = fallback_regressor(joint_regressor, template)
    for name in ("left_knee", "right_wrist", "neck"):
        assert (rows[COCOPLUS.index(name)] == SMPL_JOINTS.index(name)).all()
    for name, vertex in (FACE_VERTICES | {"head_top": 411}).items():
        row = rows[COCOPLUS.index(name)]
        assert row[vertex] == 1 and row.sum() == 1


def part(vertices: int, joints: int) -> dict:
    return {"v_template": np.zeros((vertices, 3)), "kintree_table": np.zeros((2, joints))}


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (part(6890, 52), "is SMPL-H"),
        (part(10475, 55), "is SMPL-X"),
        (part(778, 16), "is MANO"),
        ({"poses": np.zeros((9, 72)), "betas": np.zeros(10)}, "is a motion sequence"),
        ({"means": np.zeros(3), "covars": np.zeros(3)}, "is a pose prior"),
        ({"camera": np.zeros(3)}, "has no 'v_template'; it holds camera"),
        ([1, 2], "holds a list, not a SMPL body"),
    ],
)
def test_other_bodies_and_files_are_named(tmp_path, contents, message):
    path = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", contents)
    with pytest.raises(UserError, match=message):
        read_official(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"posedirs": np.zeros((6890, 3, 93))}, r"posedirs must be \(6890, 3, 207\).*93"),
        ({"shapedirs": np.zeros((6890, 3, 6))}, r"shapedirs must be .*6\)"),
        ({"weights": np.full((6890, 24), "a")}, "weights must hold numbers"),
        ({"weights": np.full((6890, 24), np.nan)}, "not finite"),
        ({"kintree_table": np.zeros((2, 24), np.uint32)}, "kinematic tree"),
    ],
)
def test_misshaped_entries(tmp_path, model, change, message):
    small = {key: value for key, value in model.items() if key != "posedirs"}
    small["posedirs"] = np.broadcast_to(np.float32(0), (6890, 3, 207))
    path = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", small | change)
    with pytest.raises(UserError, match=message):
        read_official(path)


def test_truncated_pickle_and_archive(tmp_path, model):
    pkl = write_pickle(tmp_path / "SMPL_NEUTRAL.pkl", model)
    pkl.write_bytes(pkl.read_bytes()[: 10**6])
    with pytest.raises(UserError, match="ends too early"):
        read_official(pkl)
    np.savez(tmp_path / "body.npz", **dense(model))
    data = (tmp_path / "body.npz").read_bytes()
    (tmp_path / "body.npz").write_bytes(data[: 10**6])
    with pytest.raises(UserError, match=r"not a readable \.npz file"):
        read_official(tmp_path / "body.npz")


def test_verb_writes_a_body_and_says_what_it_read(tmp_path, model, capsys):
    path = write_pickle(tmp_path / "basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl", model)
    output = tmp_path / "models" / "smpl_neutral.npz"
    assert convert([str(path), str(output)]) == 0
    assert_is(load_body(output), model)
    printed = capsys.readouterr().out
    assert "SMPL version 1.1.0, neutral" in printed
    assert f"wrote {output}" in printed


def test_verb_writes_nothing_for_a_wrong_file(tmp_path):
    page = tmp_path / "SMPL_NEUTRAL.pkl"
    page.write_bytes(b"<html>please sign in</html>")
    with pytest.raises(UserError, match="web page"):
        convert([str(page), str(tmp_path / "out.npz")])
    with pytest.raises(UserError, match="no file at"):
        convert([str(tmp_path / "absent.pkl"), str(tmp_path / "out.npz")])
    assert sorted(tmp_path.iterdir()) == [page]
