"""LSP in its own layout: 3 x 14 x N, flag 0 = visible, names from 1."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.io import savemat

from hmr.errors import UserError
from tests.helpers.converting import (
    brightness_at,
    manifest_of,
    read_people,
    run,
    write_picture,
)
from tfrecords_tools.lsp import CONVERTER, read_joints

COUNT = 6


@pytest.fixture
def lsp(tmp_path):
    """Six pictures; joint j of picture i lies at (10 + 5 j, 20 + i + 3 j), joint 2 is occluded."""
    root = tmp_path / "lsp_dataset"
    joints = np.zeros((3, 14, COUNT))
    for i in range(COUNT):
        joints[0, :, i] = 10 + 5 * np.arange(14)
        joints[1, :, i] = 20 + i + 3 * np.arange(14)
        joints[2, 2, i] = 1
        write_picture(root / "images" / f"im{i + 1:04d}.jpg", 100 + i, 90)
    savemat(root / "joints.mat", {"joints": joints})
    return root


def test_halves_and_pictures_as_they_are(lsp, tmp_path):
    run(CONVERTER, lsp, tmp_path / "out")
    train = read_people(tmp_path / "out", "lsp", "train")
    test = read_people(tmp_path / "out", "lsp", "test")
    assert [person["filename"] for person in train] == [b"im0001.jpg", b"im0002.jpg", b"im0003.jpg"]
    assert [person["filename"] for person in test] == [b"im0004.jpg", b"im0005.jpg", b"im0006.jpg"]
    for person in train + test:
        original = (lsp / "images" / person["filename"].decode()).read_bytes()
        assert person["image_bytes"] == original


def test_labels(lsp, tmp_path):
    run(CONVERTER, lsp, tmp_path / "out")
    person = read_people(tmp_path / "out", "lsp", "train")[1]
    np.testing.assert_array_equal(person["visibility"], [1, 1, 0] + [1] * 11 + [0] * 5)
    np.testing.assert_array_equal(person["keypoints2d_px"][13], [75, 60])
    np.testing.assert_array_equal(person["keypoints2d_px"][2], [0, 0])
    # x from 10 to 75, y from 21 to 60; halves are cut off, as in the original.
    np.testing.assert_array_equal(person["center_px"], [42, 40])


def test_what_cannot_be_used_is_counted_and_loses_nothing_else(lsp, tmp_path):
    images = lsp / "images"
    (images / "im0001.jpg").unlink()
    whole = (images / "im0002.jpg").read_bytes()
    (images / "im0002.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "im0005.jpg").write_bytes(b"no picture")
    run(CONVERTER, lsp, tmp_path / "out")
    train = manifest_of(tmp_path / "out", "lsp", "train")
    assert train.dropped == {"missing picture": 1, "unreadable picture": 1}
    assert train.dropped_names["unreadable picture"] == ["im0002.jpg"]
    assert train.examples == 1
    test = manifest_of(tmp_path / "out", "lsp", "test")
    assert test.dropped == {"unreadable picture": 1} and test.examples == 2


def test_not_a_number_and_no_label_are_counted(lsp, tmp_path):
    joints = np.zeros((3, 14, COUNT))
    joints[:2] = np.arange(14)[:, None]
    joints[0, 3, 0] = np.nan
    joints[2, :, 1] = 1
    savemat(lsp / "joints.mat", {"joints": joints})
    run(CONVERTER, lsp, tmp_path / "out", "--splits", "train")
    manifest = manifest_of(tmp_path / "out", "lsp", "train")
    assert manifest.dropped == {"coordinates that are not finite": 1, "no labelled keypoint": 1}
    assert manifest.examples == 1


def test_either_axis_may_come_first(tmp_path):
    joints = np.random.default_rng(0).uniform(0, 100, (3, 14, 5))
    savemat(tmp_path / "a.mat", {"joints": joints})
    savemat(tmp_path / "b.mat", {"joints": joints.transpose(1, 0, 2)})
    first, second = (read_joints(tmp_path / name, "lsp") for name in ("a.mat", "b.mat"))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first[4, 13], joints[:, 13, 4])


@pytest.mark.parametrize("joints", [np.zeros((3, 13, 5)), np.zeros((14, 3)), np.zeros((2, 14, 5))])
def test_another_shape_is_refused(tmp_path, joints):
    savemat(tmp_path / "joints.mat", {"joints": joints})
    with pytest.raises(UserError, match="expected 3 x 14 x N or 14 x 3 x N"):
        read_joints(tmp_path / "joints.mat", "lsp")


@pytest.mark.parametrize("content", [b"", b"\x89HDF\r\n\x1a\n", b"hello" * 100])
def test_a_damaged_file_is_named(tmp_path, content):
    (tmp_path / "joints.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"joints\.mat"):
        read_joints(tmp_path / "joints.mat", "lsp")


def test_a_file_of_version_7_3_says_how_to_save_it_anew(tmp_path):
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "joints.mat").write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UserError, match=r"joints\.mat is a MATLAB file of version 7\.3.*'-v7'"):
        read_joints(tmp_path / "joints.mat", "lsp")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"no file at .*joints\.mat"):
        run(CONVERTER, tmp_path, tmp_path / "out")


def test_an_unknown_split_is_named(lsp, tmp_path):
    with pytest.raises(UserError, match="there is no split trial"):
        run(CONVERTER, lsp, tmp_path / "out", "--splits", "trial")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="expected a folder"):
        run(CONVERTER, tmp_path / "nowhere", tmp_path / "out")


def test_people_of_the_original_size_are_scaled_to_150_px(tmp_path):
    root = tmp_path / "lsp_dataset_original"
    points = np.stack([100 + 10.0 * np.arange(14), 40 + 30.0 * np.arange(14)], axis=1)
    joints = np.concatenate([points.T, np.zeros((1, 14))])[:, :, None]
    for number in (1, 2):
        write_picture(root / "images" / f"im{number:04d}.jpg", 480, 400, points)
    savemat(root / "joints.mat", {"joints": np.repeat(joints, 2, axis=2)})
    run(CONVERTER, root, tmp_path / "out", "--original_size")
    (person,) = read_people(tmp_path / "out", "lsp", "train")
    assert np.linalg.norm(np.ptp(person["keypoints2d_px"][:14], axis=0)) == pytest.approx(
        150, abs=1
    )
    assert brightness_at(person, np.arange(14)).min() > 180
