"""LSP extended in both releases: 14 x 3 x N, flag 1 = labelled."""

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
from tfrecords_tools.lsp_ext import CONVERTER


def _joints(count, factor=1.0) -> np.ndarray:
    """(14, 3, N); joint j at (10 + 5 j, 30 + 7 j) times `factor`, joint 4 without label."""
    joints = np.zeros((14, 3, count))
    joints[:, 0] = (factor * (10 + 5 * np.arange(14)))[:, None]
    joints[:, 1] = (factor * (30 + 7 * np.arange(14)))[:, None]
    joints[:, 2] = 1
    joints[4, 2] = 0
    joints[4, :2] = -999
    return joints


def test_the_first_release_passes_bytes_through(tmp_path):
    root = tmp_path / "lspet"
    for number in (1, 3):
        write_picture(root / "images" / f"im{number:05d}.jpg", 150, 100)
    savemat(root / "joints.mat", {"joints": _joints(3)})
    run(CONVERTER, root, tmp_path / "out")
    people = read_people(tmp_path / "out", "lsp_ext", "train")
    assert [person["filename"] for person in people] == [b"im00001.jpg", b"im00003.jpg"]
    assert people[0]["image_bytes"] == (root / "images" / "im00001.jpg").read_bytes()
    np.testing.assert_array_equal(people[0]["visibility"], [1] * 4 + [0] + [1] * 9 + [0] * 5)
    np.testing.assert_array_equal(people[0]["keypoints2d_px"][13], [75, 121])
    assert manifest_of(tmp_path / "out", "lsp_ext", "train").dropped == {"missing picture": 1}


def test_a_partial_copy_keeps_its_polarity(tmp_path):
    """The original tells the flag's meaning from the number of pictures."""
    root = tmp_path / "lspet"
    write_picture(root / "images" / "im00001.jpg", 150, 100)
    savemat(root / "joints.mat", {"joints": _joints(1)})
    run(CONVERTER, root, tmp_path / "out")
    assert read_people(tmp_path / "out", "lsp_ext", "train")[0]["visibility"].sum() == 13


def test_the_high_resolution_release_goes_by_position_and_is_scaled(tmp_path):
    root = tmp_path / "hr-lspet"
    joints = _joints(2, factor=5.0)
    labelled = np.delete(np.arange(14), 4)
    for row, number in enumerate((2, 9)):
        write_picture(root / f"im{number:05d}.png", 700, 500, joints[labelled, :2, row])
    savemat(root / "joints.mat", {"joints": joints})
    run(CONVERTER, root, tmp_path / "out")
    people = read_people(tmp_path / "out", "lsp_ext", "train")
    assert [person["filename"] for person in people] == [b"im00002.png", b"im00009.png"]
    for person in people:
        assert person["image_bytes"].startswith(b"\xff\xd8")
        assert brightness_at(person, labelled).min() > 180
        points = person["keypoints2d_px"][labelled]
        assert np.linalg.norm(np.ptp(points, axis=0)) == pytest.approx(150, abs=1)


def test_positions_need_all_pictures(tmp_path):
    write_picture(tmp_path / "im00001.png", 50, 50)
    savemat(tmp_path / "joints.mat", {"joints": _joints(2)})
    with pytest.raises(UserError, match=r"1 pictures .* 2 rows"):
        run(CONVERTER, tmp_path, tmp_path / "out")
