"""The doctor tells what is there and what is broken, and never breaks itself."""

import json
import sys

import numpy as np
import pytest

from hmr.cli import doctor
from hmr.cli.doctor import Report, diagnose_batch, main, next_steps, probe_tensorflow


def text(report):
    return "\n".join(report.lines)


def test_requirement_lines_as_metadata_gives_them():
    parse = doctor._parse_requirement
    assert parse("numpy>=1.26") == ("numpy", ">=1.26", "")
    assert parse('ruff>=0.12; extra == "dev"') == ("ruff", ">=0.12", "dev")
    gpu = 'tensorflow[and-cuda]>=2.20; sys_platform == "linux" and extra == "gpu"'
    assert parse(gpu) == ("tensorflow", ">=2.20", "gpu")


def test_a_missing_needed_package_is_broken_and_a_missing_extra_is_not(monkeypatch):
    lines = ["numpy>=1.26", "no-such-package>=1", 'no-such-extra>=1; extra == "web"']
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: lines)
    report = Report()
    doctor.report_packages(report)
    assert report.broken == ["no-such-package is missing: make install"]
    assert "extra [web]" in text(report)


def test_a_package_that_two_groups_name_has_one_row(monkeypatch):
    lines = [
        "numpy>=2",
        'numpy>=2; extra == "beam"',
        'torch>=2; extra == "a"',
        'torch; extra == "b"',
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: lines)
    report = Report()
    doctor.report_packages(report)
    rows = [line.split() for line in report.lines[1:]]
    assert [row[0] for row in rows] == ["numpy", "torch"]
    assert rows[0][-2:] == [">=2", "needed"] and rows[1][-3:] == ["extra", "[a,", "b]"]


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("raise ImportError('no module named tensorflow')", "no module named tensorflow"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "killed by signal 4"),
    ],
)
def test_a_tensorflow_that_fails_or_crashes_is_reported(monkeypatch, program, problem):
    found, reason = probe_tensorflow((sys.executable, "-c", program))
    assert found is None
    assert problem in reason
    monkeypatch.setattr(doctor, "probe_tensorflow", lambda: (found, reason))
    report = Report()
    doctor.report_tensorflow(report)
    assert next_steps(report, has_smpl=True, num_records=1) == report.broken
    assert problem in report.broken[0]


@pytest.mark.slow
def test_the_tensorflow_of_this_environment_loads():
    found, problem = probe_tensorflow()
    assert problem == ""
    assert found["backend"] == "tensorflow"
    assert isinstance(found["gpus"], list)


def test_files_records_and_runs_are_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: ["numpy>=2.0"])
    machine = {"tensorflow": "2", "keras": "3", "backend": "tensorflow", "gpus": []}
    monkeypatch.setattr(doctor, "probe_tensorflow", lambda: (machine, ""))
    models, data, runs = tmp_path / "models", tmp_path / "data", tmp_path / "runs"
    for folder in (models, data / "lsp", data / "coco" / ".train_in_progress", runs / "hmr/model"):
        folder.mkdir(parents=True)
    np.savez(models / "smpl_neutral.npz", source="SMPL 1.1.0 neutral")
    manifest = {"examples": 1000, "shards": {"train_00000.tfrecord": 1000}}
    (data / "lsp" / "train_manifest.json").write_text(json.dumps(manifest))
    (data / "lsp" / "test_manifest.json").write_text("[" * 100_000)
    (data / "lsp" / "a\nb_manifest.json").write_text("{")
    code = main(["--models", str(models), "--data", str(data), "--runs", str(runs)])
    printed = capsys.readouterr().out
    assert code == 0
    assert "SMPL 1.1.0 neutral" in printed
    assert "1,000 records in 1 shards" in printed
    assert printed.count("unreadable manifest") == 2 and r"lsp a\nb" in printed
    assert "unfinished: run the same conversion again" in printed
    assert "finished" in printed
    assert "hmr train --config hmr" in printed
    assert "make demo" not in printed.split("Next")[1]


def test_an_empty_folder_leads_to_the_demo(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "probe_tensorflow", lambda: (None, "not installed"))
    code = main([f"--{name}={tmp_path / name}" for name in ("models", "data", "runs")])
    assert code == 1
    assert "TensorFlow cannot be loaded (not installed): make install" in capsys.readouterr().out
    assert "Try everything" in next_steps(Report(), has_smpl=False, num_records=0)[0]


def test_a_damaged_body_is_named(tmp_path):
    (tmp_path / "smpl_neutral.npz").write_bytes(b"PK\x03\x04 cut off")
    report = Report()
    doctor.report_models(report, tmp_path)
    assert "unreadable" in text(report)


def test_a_bad_batch_is_looked_into(tmp_path):
    images = np.zeros((3, 2, 2), np.float32)
    images[1, 0, 0] = np.nan
    np.savez(tmp_path / "bad_batch_7.npz", images=images, visible=np.ones(3), names=["a", "b", "c"])
    lines = diagnose_batch(tmp_path / "bad_batch_7.npz")
    assert "not finite in samples [1]" in lines[0]
    assert "1 to 1" in lines[1]
    assert len(lines) == 2
