"""The command over all datasets, and what all converters share."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hmr.errors import UserError
from hmr.files.lock import BusyError
from tests.helpers.converting import write_picture
from tests.helpers.in_process import run_python
from tests.tfrecords_tools.test_neutrmosh import python2_pickle
from tfrecords_tools import __main__ as command
from tfrecords_tools.common import cli
from tfrecords_tools.common.cli import build_parser

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lsp(tmp_path):
    root = tmp_path / "lsp"
    joints = np.random.default_rng(0).uniform(10, 80, (3, 14, 4))
    joints[2] = 0
    savemat(root.parent / "joints.mat", {"joints": joints})
    for number in range(4):
        write_picture(root / "images" / f"im{number + 1:04d}.jpg", 90, 90)
    (root.parent / "joints.mat").rename(root / "joints.mat")
    return root


def _main(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
    return command.main()


def test_what_is_given_is_converted_and_the_rest_listed(monkeypatch, capsys, lsp, tmp_path):
    code = _main(monkeypatch, "--lsp", lsp, "--output", tmp_path / "out", "--workers", 0)
    printed = capsys.readouterr().out
    assert code == 0
    lines = {tuple(line.split()[:3]) for line in printed.splitlines()}
    assert {("lsp", "train", "2"), ("lsp", "test", "2")} <= lines
    assert ("coco", "-", "not") in lines


def test_what_is_broken_fails_and_the_others_go_on(monkeypatch, capsys, lsp, tmp_path):
    arguments = ("--lsp", lsp, "--coco", tmp_path / "nowhere", "--output", tmp_path / "out")
    code = _main(monkeypatch, *arguments, "--workers", 0)
    printed = capsys.readouterr()
    assert code == 1
    assert "nowhere" in printed.err
    assert "FAILED" in printed.out and (tmp_path / "out" / "lsp" / "train_manifest.json").exists()


def test_nothing_converted_has_an_exit_code_of_its_own(monkeypatch, tmp_path):
    arguments = ("--coco", tmp_path / "nowhere", "--output", tmp_path / "out", "--workers", 0)
    assert _main(monkeypatch, *arguments) == 2


def test_two_sources_of_one_record_set_are_refused(monkeypatch, capsys, tmp_path):
    python2_pickle(
        tmp_path / "mosh" / "neutrSMPL_CMU" / "01" / "a.pkl",
        {"poses": np.zeros((5, 72)), "betas": np.zeros(10)},
    )
    take = tmp_path / "amass" / "CMU" / "01" / "a_poses.npz"
    take.parent.mkdir(parents=True)
    np.savez(take, poses=np.zeros((24, 156)), betas=np.zeros(16), mocap_framerate=12.0)
    sources = ("--amass", tmp_path / "amass", "--neutrmosh", tmp_path / "mosh", "--overwrite")
    code = _main(monkeypatch, *sources, "--output", tmp_path / "out", "--workers", 0)
    assert code == 1
    assert "mocap_cmu/train has just been made" in capsys.readouterr().err


def test_nothing_given_is_an_error(monkeypatch):
    with pytest.raises(UserError, match="--lsp"):
        _main(monkeypatch)


@pytest.mark.parametrize("converter", command.CONVERTERS, ids=lambda converter: converter.name)
def test_every_converter_explains_itself(converter, capsys):
    module = f"tfrecords_tools.{converter.name}"
    assert run_python(("-m", module, "--help"), ROOT) == 0
    shown = capsys.readouterr().out
    assert f"example: python -m {module} --input" in shown
    assert "Layout:" in shown


@pytest.mark.parametrize("module", ["__main__", "standin.__main__"])
def test_help_waits_for_nothing_that_only_the_work_needs(module):
    slow = ("tensorflow", "scipy.spatial", "scipy.sparse", "numba")
    code = f"import sys, tfrecords_tools.{module}; print(*sys.modules.keys() & set({slow}))"
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert shown.stdout.split() == []


@pytest.mark.parametrize("verb", ["", ".lsp", ".h36m", ".standin", ".inspect"])
def test_a_package_that_is_not_installed_is_named_in_one_line(verb):
    command = [sys.executable, "-S", "-m", f"tfrecords_tools{verb}"]  # -S: no installed packages
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1
    assert re.match(r"error: the package \w+ is not installed in .*: make install", ended.stderr)


def test_what_another_process_converts_is_left_to_it(monkeypatch, capsys, tmp_path):
    tried = []

    def write_job(job, *_):
        tried.append(job.dataset)
        raise BusyError("under way already")

    monkeypatch.setattr(cli, "write_job", write_job)
    for number in range(2):
        for name in ("CMU", "SSM_synced"):
            take = tmp_path / "amass" / name / "01" / f"{number}_poses.npz"
            take.parent.mkdir(parents=True, exist_ok=True)
            np.savez(take, poses=np.zeros((24, 156)), betas=np.zeros(16), mocap_framerate=12.0)
    arguments = ("--amass", tmp_path / "amass", "--output", tmp_path / "out", "--workers", 0)
    assert _main(monkeypatch, *arguments) == 2
    assert len(tried) == 1 and "error: under way already" in capsys.readouterr().err


def test_rendering_needs_no_tensorflow():
    code = "import sys, tfrecords_tools.standin.studio; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize(
    ("converter", "option", "value"),
    [("lsp", "--workers", "-1"), ("amass", "--fps", "0"), ("neutrmosh", "--keep_every", "0"),
     ("amass", "--fps", "nan"), ("neutrmosh", "--keep_every", "many")],
)  # fmt: skip
def test_options_without_sense_are_refused(converter, option, value):
    (found,) = [c for c in command.CONVERTERS if c.name == converter]
    with pytest.raises(UserError, match=f"^argument {option}: .*See python -m tfrecords_tools"):
        build_parser(found).parse_args(["--input", ".", option, value])
