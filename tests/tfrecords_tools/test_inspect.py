"""The command that looks at records: what it prints, checks and draws."""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pytest

from hmr.body.model_file import open_body
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from tests.conftest import write_bodies, write_people
from tfrecords_tools import inspect
from tfrecords_tools.inspect import (
    contact_sheet,
    draw_body,
    draw_joints3d,
    fit_weak_perspective,
)


def test_bodies_are_placed_where_their_joints_meet_the_keypoints():
    points = np.random.default_rng(0).standard_normal((10, 2))
    scale, offset = fit_weak_perspective(points, 80 * points + (30, -7))
    assert scale == pytest.approx(80)
    np.testing.assert_allclose(offset, [30, -7])


def test_the_body_covers_its_vertices_and_nothing_else(body_path):
    pose = np.zeros(72, np.float32)
    pose[0] = np.pi
    posed = SMPL(open_body(body_path))(pose[None], np.zeros((1, 10), np.float32))
    joints, vertices = np.array(posed["joints3d"][0]), np.array(posed["vertices"][0])
    scale = 100 / np.ptp(vertices[:, :2], axis=0).max()
    person = {
        "pose": pose,
        "beta": np.zeros(10, np.float32),
        "visibility": np.ones(19),
        "keypoints2d_px": scale * joints[:, :2] + (90, 110),
    }
    drawn = draw_body(np.full((240, 200, 3), 255, np.uint8), person, body_path)
    rows, columns = np.nonzero((drawn != 255).any(axis=2))
    pixels = scale * vertices[:, :2] + (90, 110)
    np.testing.assert_allclose([columns.min(), rows.min()], pixels.min(axis=0), atol=1.5)
    np.testing.assert_allclose([columns.max(), rows.max()], pixels.max(axis=0), atol=1.5)


def test_3d_joints_are_seen_from_the_persons_side():
    """A point far from the camera is drawn left of a near one, at its height."""
    joints = np.zeros((14, 3))
    joints[0], joints[1] = (0, -1, 3), (0, 1, 2)
    canvas = draw_joints3d(joints).mean(axis=2)
    rows, columns = np.nonzero(canvas < 100)
    assert columns[rows.argmin()] < columns[rows.argmax()]


def test_cells_fill_rows(monkeypatch):
    monkeypatch.setattr(inspect, "COLUMNS", 2)
    cells = [np.zeros((10, 20, 3), np.uint8)] * 5
    assert contact_sheet(cells).shape == (30, 40, 3)


def _main(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["inspect", *map(str, arguments)])
    return inspect.main()


def test_records_are_printed_checked_and_drawn(monkeypatch, capsys, tmp_path, body_path):
    write_people(tmp_path / "lsp" / "train_00000.tfrecord", "lsp", False, 3)
    write_people(tmp_path / "mpi_inf_3dhp" / "train_00000.tfrecord", "mpi_inf_3dhp", True, 3)
    write_bodies(tmp_path / "mocap_cmu" / "train_00000.tfrecord", 3)
    sheet = tmp_path / "sheet.png"
    options = ("--draw", sheet, "--num", 4, "--check", "--body", body_path)
    assert _main(monkeypatch, tmp_path, *options) == 0
    printed = capsys.readouterr().out
    assert "3 records in 1 shards" in printed and "follows the schema" in printed
    assert "mocap_cmu/train_00000.tfrecord, record 2: joints turned by" in printed
    image = cv2.imread(str(sheet))
    assert image.shape[0] == 2 * 322 and image.std() > 5


def test_damage_is_found(monkeypatch, tmp_path):
    path = tmp_path / "lsp" / "train_00000.tfrecord"
    write_people(path, "lsp", False, 3)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="record 2"):
        _main(monkeypatch, tmp_path, "--check", "--num", 1)


def test_an_empty_folder_is_named(monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"no \.tfrecord"):
        _main(monkeypatch, tmp_path)


def test_folders_above_may_be_hidden_and_relative(monkeypatch, capsys, tmp_path):
    write_people(tmp_path / ".cache" / "out" / "lsp" / "train_00000.tfrecord", "lsp", False, 1)
    write_people(tmp_path / ".cache" / "out" / ".old" / "train_00000.tfrecord", "lsp", False, 1)
    (tmp_path / ".cache" / "here").mkdir()
    monkeypatch.chdir(tmp_path / ".cache" / "here")
    assert _main(monkeypatch, "../out") == 0
    assert ".old" not in capsys.readouterr().out


def test_a_sheet_without_an_ending_becomes_a_png(tmp_path):
    assert inspect.picture_path(tmp_path / "sheet") == tmp_path / "sheet.png"
    assert inspect.picture_path(tmp_path / "sheet.JPG").name == "sheet.JPG"
    for wrong in (tmp_path, tmp_path / "sheet.pdf"):
        with pytest.raises(UserError, match="--draw"):
            inspect.picture_path(wrong)
