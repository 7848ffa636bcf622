"""Sums up a finished demo: python -m hmr.studies.demo --workdir runs/demo

Reads what training, evaluation and export left in the folder, writes `summary.json` and prints a
short table with the places to look at. `make demo` calls it last.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hmr.errors import UserError, run_verb
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
training: {train_images} images, {steps} steps, {seconds:.0f} s
SavedModel, largest difference to the Keras model: {export_max_abs_diff:.1e}"""
_PLACES = {
    "pictures, meshes, numbers": "predictions",
    "best and worst cases": "evaluation",
    "SavedModel": "export",
    "curves (tensorboard --logdir)": "logs",
    "all figures": SUMMARY_FILE,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hmr.studies.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--workdir", type=Path, default=Path("runs/demo"), help="(runs/demo)")
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
    return json.loads(_existing(path, command).read_text())


def _existing(path: Path, command: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing: run {command} first, or the whole: make demo.")
    return path


def _change(value: float, constant: float) -> float:
    return 100.0 * (value / constant - 1.0)


if __name__ == "__main__":
    run_verb(main)
