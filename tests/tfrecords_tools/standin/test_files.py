"""The stand-in datasets as files: official layouts, exact labels, the same on every run."""

import hashlib
import json
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import scipy.io
from pycocotools.coco import COCO

from hmr.body.joints import LSP14, MPI_INF_3DHP28, joint_map
from hmr.body.model_file import save_body
from hmr.errors import UserError
from hmr.prediction.people_files import open_people
from tfrecords_tools.standin import __main__ as verb
from tfrecords_tools.standin.mpi_inf_3dhp import DERIVED_JOINTS, joint_matrix

SMALL = {
    "images_3d": 256,
    "test_3d": 12,
    "lsp": 12,
    "coco": 24,
    "held_out": 3,
    "mocap": 600,
    "frame_px": 192,
}
FILMED = (0, 1, 2, 4, 5, 6, 7, 8)


def make(output: Path, body: Path, workers: int, **changes) -> None:
    flags = {**SMALL, **changes, "output": output, "body": body, "workers": workers}
    sys.argv[1:] = [f"--{name}={value}" for name, value in flags.items()]
    verb.main()


@pytest.fixture(scope="module")
def standin_body(tmp_path_factory, standin) -> Path:
    path = tmp_path_factory.mktemp("standin_body") / "standin_body.npz"
    save_body(path, standin)
    return path


@pytest.fixture(scope="module")
def raw(tmp_path_factory, standin_body) -> Path:
    output = tmp_path_factory.mktemp("standin") / "raw"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["standin"])
        make(output, standin_body, workers=2)
    return output


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def read_cells(raw: Path, subject: int, sequence: int, name: str) -> list[np.ndarray]:
    path = raw / "mpi_inf_3dhp" / f"S{subject}" / f"Seq{sequence}" / "annot.mat"
    cells = scipy.io.loadmat(path)[name]
    assert cells.shape == (14, 1)
    return [cell.reshape(len(cell), 28, -1) for cell in cells[:, 0]]


def read_intrinsics(raw: Path, camera: int) -> np.ndarray:
    path = raw / "mpi_inf_3dhp" / "S1" / "Seq1" / "camera.calibration"
    rows = [line.split()[1:] for line in path.read_text().splitlines() if "intrinsic" in line]
    return np.array(rows[camera], float).reshape(4, 4)[:3, :3]


@pytest.mark.slow
def test_the_number_of_workers_does_not_change_a_byte(raw, standin_body, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["standin"])
    make(tmp_path / "again", standin_body, workers=1)
    assert digests(tmp_path / "again") == digests(raw)


def test_no_two_pictures_are_alike(raw):
    pictures = list(raw.rglob("*.jpg"))
    assert len(pictures) == 256 + 12 + 12 + 24 + 3
    assert len({path.read_bytes() for path in pictures}) == len(pictures)


def test_lsp_as_its_readers_expect_it(raw):
    joints = scipy.io.loadmat(raw / "lsp" / "joints.mat")["joints"]
    assert joints.shape == (3, 14, 12)
    assert joints.dtype == np.float64
    assert set(np.unique(joints[2])) == {0, 1}
    for number in range(12):
        picture = cv2.imread(str(raw / "lsp" / "images" / f"im{number + 1:04d}.jpg"))
        height, width = picture.shape[:2]
        x, y = joints[:2, joints[2, :, number] == 0, number]
        assert ((x > -0.6) & (x < width) & (y > -0.6) & (y < height)).all()


def test_coco_as_its_own_reader_expects_it(raw):
    coco = COCO(raw / "coco" / "annotations" / "person_keypoints_train2014.json")
    names = coco.loadCats(1)[0]["keypoints"]
    assert names[0] == "nose"
    assert names[-1] == "right_ankle"
    people = coco.loadAnns(coco.getAnnIds(iscrowd=False))
    assert len(coco.getImgIds()) == 24
    assert len(people) > 24
    for person in people:
        image = coco.loadImgs(person["image_id"])[0]
        picture = cv2.imread(str(raw / "coco" / "train2014" / image["file_name"]))
        assert picture.shape[:2] == (image["height"], image["width"])
        mask = coco.annToMask(person) > 0
        keypoints = np.array(person["keypoints"]).reshape(17, 3)
        assert (keypoints[:, 2] > 0).sum() == person["num_keypoints"]
        assert (keypoints[keypoints[:, 2] == 0] == 0).all()
        near = cv2.dilate(mask.astype(np.uint8), np.ones((7, 7)))
        seen = np.rint(keypoints[keypoints[:, 2] == 2, :2]).astype(int)
        assert near[seen[:, 1], seen[:, 0]].all()


def test_visible_flags_are_neither_all_true_nor_all_false(raw):
    coco = COCO(raw / "coco" / "annotations" / "person_keypoints_train2014.json")
    flags = [person["keypoints"][2::3] for person in coco.loadAnns(coco.getAnnIds(iscrowd=False))]
    assert set(np.unique(flags)) == {0, 1, 2}
    assert 0.5 < np.mean(np.array(flags) == 2) < 0.95


@pytest.mark.parametrize("subject", [1, 8])
def test_3d_joints_reproject_exactly(raw, subject):
    for camera in range(14):
        joints_mm = read_cells(raw, subject, 2, "annot3")[camera]
        pixels = joints_mm @ read_intrinsics(raw, camera).T
        pixels = pixels[..., :2] / pixels[..., 2:]
        annotated = read_cells(raw, subject, 2, "annot2")[camera]
        np.testing.assert_allclose(pixels, annotated, atol=1e-4)


def test_3d_joints_are_people_in_front_of_the_camera(raw):
    at = MPI_INF_3DHP28.index
    for camera in FILMED:
        joints_mm = read_cells(raw, 3, 1, "annot3")[camera]
        assert joints_mm[..., 2].min() > 500
        shin = joints_mm[:, at("left_knee")] - joints_mm[:, at("left_ankle")]
        assert ((np.linalg.norm(shin, axis=1) > 280) & (np.linalg.norm(shin, axis=1) < 560)).all()


def test_universal_joints_have_one_leg_length_and_do_not_reproject(raw):
    joints = read_cells(raw, 2, 1, "univ_annot3")[0]
    at = MPI_INF_3DHP28.index
    thigh = np.linalg.norm(joints[:, at("left_knee")] - joints[:, at("left_hip")], axis=1)
    shin = np.linalg.norm(joints[:, at("left_ankle")] - joints[:, at("left_knee")], axis=1)
    np.testing.assert_allclose(thigh + shin, 800.0)
    measured = read_cells(raw, 2, 1, "annot3")[0]
    assert np.abs(joints - measured).max() > 5


def test_frames_are_counted_from_one_and_match_the_annotations(raw):
    for subject in range(1, 9):
        root = raw / "mpi_inf_3dhp" / f"S{subject}" / "Seq1"
        rows = len(scipy.io.loadmat(root / "annot.mat")["frames"])
        for camera in FILMED:
            names = sorted(path.name for path in (root / f"imageFrames/video_{camera}").iterdir())
            assert names == [f"frame_{row + 1:06d}.jpg" for row in range(rows)]
    picture = cv2.imread(str(root / "imageFrames" / "video_0" / names[0]))
    assert picture.shape == (192, 192, 3)


def test_lsp_joints_of_3d_pictures_are_the_bodys_own():
    rows = joint_matrix()[joint_map(MPI_INF_3DHP28, LSP14)]
    np.testing.assert_array_equal(rows, np.eye(14, rows.shape[1]))
    assert set(DERIVED_JOINTS).isdisjoint(LSP14)
    np.testing.assert_allclose(joint_matrix().sum(axis=1), 1.0)


def test_held_out_people_and_poses_are_nobody_elses(raw):
    """Nobody in S8 has the bone lengths or the pose of anybody in S1 to S7."""

    def bones(subject):
        joints = np.concatenate([read_cells(raw, subject, s, "annot3")[0] for s in (1, 2)])
        pairs = [("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("neck", "head_top")]
        index = np.array([[MPI_INF_3DHP28.index(name) for name in pair] for pair in pairs])
        return np.linalg.norm(joints[:, index[:, 0]] - joints[:, index[:, 1]], axis=-1)

    trained = np.concatenate([bones(subject) for subject in range(1, 8)])
    apart = np.abs(bones(8)[:, None] - trained[None]).max(axis=-1)
    assert apart.min() > 0.01


def test_3d_test_set_as_its_readers_expect_it(raw):
    root = raw / "mpi_inf_3dhp" / "mpi_inf_3dhp_test_set" / "mpi_inf_3dhp_test_set"
    for sequence in range(1, 7):
        with h5py.File(root / f"TS{sequence}" / "annot_data.mat") as file:
            assert file["annot2"].shape == (2, 1, 17, 2)
            assert file["annot3"].shape == file["univ_annot3"].shape == (2, 1, 17, 3)
            assert file["valid_frame"].shape == file["activity_annotation"].shape == (2, 1)
            pixels = file["annot3"][:, 0] @ read_intrinsics(raw, 0).T
            np.testing.assert_allclose(
                pixels[..., :2] / pixels[..., 2:], file["annot2"][:, 0], atol=1e-4
            )
        assert (root / f"TS{sequence}" / "imageSequence" / "img_000002.jpg").is_file()


def test_motions_as_their_readers_expect_them(raw):
    motions = sorted((raw / "amass").glob("*/*/*_poses.npz"))
    assert {path.parts[-3] for path in motions} == {"CMU", "MPI_Limits"}
    for path in motions:
        assert (path.parent / "shape.npz").is_file()
        with np.load(path, allow_pickle=False) as file:
            frames = len(file["poses"])
            assert file["poses"].shape == (frames, 156)
            assert file["trans"].shape == (frames, 3)
            assert file["dmpls"].shape == (frames, 8)
            assert file["betas"].shape == (16,)
            assert file["gender"].shape == ()
            assert 29 < float(file["mocap_framerate"]) < 121
            assert np.abs(file["trans"][:, 2] - 1.0).max() < 1.0
            jump = np.abs(np.diff(file["poses"][:, 3:66], axis=0)).max()
            assert jump * float(file["mocap_framerate"]) < 40


def test_pictures_to_predict_on_say_where_their_person_is(raw):
    pictures = sorted((raw / "held_out" / "images").glob("*.jpg"))
    people = open_people(None, raw / "held_out" / "keypoints.json", min_score=0.2)
    assert len(pictures) == 3
    for path in pictures:
        image = cv2.imread(str(path))
        (person,) = people.find(str(path), image).people
        assert 100 < max(person.rectangle_px[2:]) < max(image.shape)


def test_a_second_run_finds_the_work_done(raw, standin_body, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["standin"])
    before = digests(raw)
    make(raw, standin_body, workers=2)
    assert "up to date" in capsys.readouterr().out
    assert digests(raw) == before


def test_other_settings_do_not_replace_what_is_there(raw, standin_body, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["standin"])
    with pytest.raises(UserError, match=r"views 75\.0 -> 180"):
        make(raw, standin_body, workers=2, views=180)


def test_a_foreign_folder_is_left_alone(tmp_path, standin_body, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["standin"])
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not made by this command"):
        make(tmp_path, standin_body, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("flag", "value"),
    [("lsp", 1), ("images_3d", -1), ("views", 270), ("workers", 0), ("frame_px", 9)],
)
def test_impossible_settings_are_refused(tmp_path, standin_body, monkeypatch, flag, value):
    monkeypatch.setattr(sys, "argv", ["standin"])
    with pytest.raises(UserError, match=f"--{flag}"):
        make(tmp_path / "out", standin_body, **{"workers": 1, flag: value})
    assert not list(tmp_path.iterdir())


def test_nothing_half_made_is_left_behind(tmp_path, standin_body, monkeypatch):
    def fail(*_):
        raise RuntimeError("disk full")

    monkeypatch.setattr(sys, "argv", ["standin"])
    monkeypatch.setattr("tfrecords_tools.standin.lsp.write_lsp", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        make(tmp_path / "out", standin_body, workers=1)
    assert not list(tmp_path.iterdir())


def test_the_manifest_tells_the_settings(raw):
    manifest = json.loads((raw / "standin.json").read_text())
    assert manifest.items() >= {**SMALL, "views": 75.0, "seed": 0}.items()
    assert "free" in (raw / "README.txt").read_text()
