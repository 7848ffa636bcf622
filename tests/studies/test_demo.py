"""The demo's plan and its last step."""

from __future__ import annotations

import json
import time

import pytest

from hmr.errors import UserError
from hmr.serving.report import ExportReport, write_report
from hmr.studies import demo

METRICS = {
    "mpjpe_mm": 90.0,
    "pa_mpjpe_mm": 60.0,
    "mean_body_mpjpe_mm": 200.0,
    "mean_body_pa_mpjpe_mm": 100.0,
    "keypoint_error_px": 7.0,
}


def _write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def test_summary_holds_every_figure(tmp_path, capsys):
    _write(tmp_path / "training.json", {"train_images": 10, "steps": 20, "seconds": 30.0})
    _write(tmp_path / "evaluation" / "metrics.json", {"metrics": METRICS})
    for version, difference in (("2", 1.0), ("10", 1e-6), (".partial-host-1.export", 1.0)):
        path = tmp_path / "export" / version / "assets.extra" / "export.json"
        write_report(
            path, ExportReport("", difference, {"from_crops": {"beta": difference}}, 1.0, 1.0)
        )
    assert demo.main(["--workdir", str(tmp_path)]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary == {
        "train_images": 10, "steps": 20, "seconds": 30.0, "export_max_abs_diff": 1e-6, **METRICS
    }  # fmt: skip
    printed = capsys.readouterr().out
    assert "-55 %" in printed and "-40 %" in printed and str(tmp_path / "predictions") in printed


def test_the_plan_is_scaled_by_what_was_measured(monkeypatch, capsys):
    monkeypatch.setattr(demo, "measure_speed", lambda: demo.MEASURED)
    assert demo.main(["--plan"]) == 0
    printed = capsys.readouterr().out
    assert "about 4 minutes in all" in printed and "slow" not in printed
    assert {"1/7 raw datasets 38 s", "3/7 training 2.4 min"} <= {
        " ".join(line.split()) for line in printed.splitlines()
    }
    matrices_ms, bytes_ms = demo.MEASURED
    told = demo.plan(demo.Speed(4 * matrices_ms, 2 * bytes_ms))
    training_s, others_s = 4 * demo.STEPS[demo.TRAINING], 2 * sum(demo.STEPS.values())
    others_s -= 2 * demo.STEPS[demo.TRAINING]
    assert f"about {(training_s + others_s) / 60:.0f} minutes" in told
    assert f"3/7 training {training_s / 60:.1f} min" in " ".join(told.split())
    assert "this machine is slow, or busy (load " in told.splitlines()[-1]


def test_a_run_of_another_encoder_is_said_before_the_plan(tmp_path):
    _write(tmp_path / "config.json", {"model": {"encoder": "resnet14_v2_narrow"}})
    with pytest.raises(UserError, match=r"holds a training of the encoder resnet14.* rm -r "):
        demo.main(["--plan", "--workdir", str(tmp_path)])
    _write(tmp_path / "config.json", {"model": {"encoder": "movenet_lightning_adapter"}})
    assert demo.main(["--plan", "--workdir", str(tmp_path)]) == 0


def test_the_speed_is_measured_in_moments():
    started = time.monotonic()
    speed = demo.measure_speed(seconds=0.01)
    assert 0 < speed.matrices_ms < 1e5 and 0 < speed.bytes_ms < 1e5
    assert time.monotonic() - started < 30


def test_a_step_that_was_not_run_is_named(tmp_path):
    _write(tmp_path / "training.json", {"train_images": 10, "steps": 20, "seconds": 30.0})
    with pytest.raises(UserError, match=r"metrics.json is missing: run python -m src.evaluate"):
        demo.summarise(tmp_path)
