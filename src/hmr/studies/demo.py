"""The demo's plan and its summary: python -m hmr.studies.demo [--plan] --workdir runs/demo

With --plan, which `make demo` calls first, it measures this machine for a second and prints how
long each step will take. Without, it reads what training, evaluation and export left in the folder,
writes `summary.json` and prints a short table with the places to look at.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hmr.configs.demo import get_config
from hmr.errors import UserError, VerbParser, run_verb
from hmr.files.foreign import parsing, read_json
from hmr.files.whole import write_text
from hmr.serving.report import read_report

SUMMARY_FILE = "summary.json"
TRAINING_KEYS = ("train_images", "steps", "seconds")
METRIC_KEYS = (
    "mpjpe_mm",
    "pa_mpjpe_mm",
    "mean_body_mpjpe_mm",
    "mean_body_pa_mpjpe_mm",
    "keypoint_error_px",
)
_TABLE = """\
unseen people and poses  network  best constant answer  change
  MPJPE, mm              {mpjpe_mm:7.1f}  {mean_body_mpjpe_mm:20.1f}  {mpjpe_change:+4.0f} %
  PA-MPJPE, mm           {pa_mpjpe_mm:7.1f}  {mean_body_pa_mpjpe_mm:20.1f}  {pa_change:+4.0f} %
  2D error, px of 224    {keypoint_error_px:7.1f}
training: {train_images} images, {steps} steps, which took {seconds:.0f} s
SavedModel, largest difference to the Keras model: {export_max_abs_diff:.1e}"""
_PLACES = {
    "pictures, meshes, numbers": "predictions",
    "best and worst cases": "evaluation",
    "SavedModel": "export",
    "curves (tensorboard --logdir)": "logs",
    "all figures": SUMMARY_FILE,
}


class Speed(NamedTuple):
    """Milliseconds of a product of matrices by all cores, and of compressing bytes by one core."""

    matrices_ms: float
    bytes_ms: float


# Seconds of each step on two cores of an AMD EPYC with AVX-512 and nothing beside it; its speed.
STEPS = {
    "1/7 raw datasets": 38.0,
    "2/7 TFRecords": 14.0,
    "3/7 training": 143.0,
    "4/7 errors": 17.0,
    "5/7 SavedModel": 28.0,
    "6/7 pictures": 11.0,
}
TRAINING = "3/7 training"
MEASURED = Speed(11.1, 6.5)
SLOW_MINUTES = 12.0


def measure_speed(seconds: float = 0.5) -> Speed:
    """Measures each for so many seconds: what else runs on the cores is in the mean."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((1024, 1024), np.float32)
    data = rng.integers(0, 64, 1 << 18, np.uint8).tobytes()

    def mean_ms(work: Callable[[], object]) -> float:
        work()
        started, calls = time.perf_counter(), 0
        while (passed := time.perf_counter() - started) < seconds:
            work()
            calls += 1
        return 1000.0 * passed / calls

    return Speed(mean_ms(lambda: matrix @ matrix), mean_ms(lambda: zlib.compress(data)))


def plan(speed: Speed) -> str:
    """The steps' times on a machine of this speed, and what to do where they are long."""
    factors = [mine / theirs for mine, theirs in zip(speed, MEASURED, strict=True)]
    seconds = {name: each * factors[name != TRAINING] for name, each in STEPS.items()}
    minutes = sum(seconds.values()) / 60.0
    lines = [f"the plan, from a second of measuring: about {minutes:.0f} minutes in all"]
    lines += [f"  {name:<18}{_duration(each):>8}" for name, each in seconds.items()]
    if minutes > SLOW_MINUTES:
        lines.append(
            f"this machine is slow, or busy (load {os.getloadavg()[0]:.1f}, {os.cpu_count()} "
            "cores). A finished model is here: "
            "python -m src.predict --checkpoint models/demo_standin --input PICTURE"
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100.0 else f"{seconds / 60.0:.1f} min"


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(prog="python -m hmr.studies.demo", description=__doc__)
    parser.add_argument("--workdir", type=Path, default=Path("runs/demo"), help="(runs/demo)")
    parser.add_argument("--plan", action="store_true", help="print how long it will take, and end")
    parser.add_argument(
        "--release",
        type=Path,
        metavar="FOLDER",
        help="also write the model there in half precision, as models/demo_standin was",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    workdir = options.workdir
    if options.plan:
        _check_earlier_run(workdir)
        print(plan(measure_speed()))
        return 0
    summary = summarise(workdir)
    write_text(workdir / SUMMARY_FILE, json.dumps(summary, indent=2) + "\n")
    print(
        _TABLE.format(
            **summary,
            mpjpe_change=_change(summary["mpjpe_mm"], summary["mean_body_mpjpe_mm"]),
            pa_change=_change(summary["pa_mpjpe_mm"], summary["mean_body_pa_mpjpe_mm"]),
        )
    )
    for label, name in _PLACES.items():
        print(f"{label + ':':<32}{workdir / name}")
    if options.release:
        _release(workdir, options.release)
        print(f"{'half-precision model:':<32}{options.release}")
    return 0


def _check_earlier_run(workdir: Path) -> None:
    """Says at the start what the training would find out: that the folder holds another one."""
    stored = workdir / "config.json"
    if not stored.is_file():
        return
    with parsing(stored, "training's configuration"):
        trained = read_json(stored)["model"]["encoder"]
    encoder = get_config().model.encoder
    if trained != encoder:
        raise UserError(
            f"{workdir} holds a training of the encoder {trained}, the demo now trains {encoder}. "
            f"Keep it elsewhere, or remove it: rm -r {workdir}"
        )


def _release(workdir: Path, folder: Path) -> None:
    from hmr.network.checkpoint import load_model, read_spec, save_model

    model = load_model(workdir, with_discriminator=True)
    save_model(model, read_spec(workdir / "model"), folder, half=True)


def summarise(workdir: Path) -> dict[str, float]:
    """Collects the demo's figures.

    Args:
        workdir: holds `training.json`, `evaluation/metrics.json` and the export's `export.json`.
    Returns:
        the keys of `TRAINING_KEYS` and `METRIC_KEYS` (mm, px of the 224-pixel crop, s), and
        `export_max_abs_diff`.
    Raises:
        UserError: a step of the demo has not been run.
    """
    training = _read(workdir / "training.json", "python -m src.main")
    metrics = _read(workdir / "evaluation" / "metrics.json", "python -m src.evaluate")["metrics"]
    reports = (workdir / "export").glob("*/assets.extra/export.json")
    versions = {int(path.parts[-3]): path for path in reports if path.parts[-3].isdigit()}
    newest = versions[max(versions)] if versions else workdir / "export"
    exported = read_report(_existing(newest, "python -m src.export"))
    return {
        **{key: training[key] for key in TRAINING_KEYS},
        **{key: metrics[key] for key in METRIC_KEYS},
        "export_max_abs_diff": exported.export_max_abs_diff,
    }


def _read(path: Path, command: str) -> dict:
    return read_json(_existing(path, command))


def _existing(path: Path, command: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing: run {command} first, or the whole: make demo.")
    return path


def _change(value: float, constant: float) -> float:
    return 100.0 * (value / constant - 1.0)


if __name__ == "__main__":
    run_verb(main)
