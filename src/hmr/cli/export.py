"""Writes a model for other programs to run, and runs each export again to check it."""

from __future__ import annotations

import argparse
from pathlib import Path

from hmr.cli import check_folder, check_keras_settings
from hmr.errors import UserError, VerbParser, printable
from hmr.network.description import check_model
from hmr.prediction import DEFAULT_MODEL
from hmr.serving.portable import FORMATS, check_installed, export_portable
from hmr.serving.report import ExportReport

EPILOG = """\
examples:
  python -m src.export --checkpoint runs/demo --output runs/export
  python -m src.export --checkpoint runs/demo --output runs/export --format savedmodel,tflite,onnx
  docker run -p 8501:8501 -v $PWD/runs/export:/models/hmr -e MODEL_NAME=hmr tensorflow/serving

formats, each run again in a fresh process and compared with the Keras model:
  savedmodel      OUTPUT/N, a folder for TensorFlow Serving, N being the next free version
  tflite          OUTPUT/hmr.tflite, for LiteRT on phones and small machines; also with rounded
                  weights: tflite_float16 (half the size), tflite_int8 (a third)
  onnx            OUTPUT/hmr.onnx, for ONNX Runtime
A difference above 1e-4 fails (2e-2 and 0.5 where weights are rounded). TFLite and ONNX need the
extras tflite and onnx: pip install "hmr-tf2[tflite,onnx]"

signatures: from_images (default; SavedModel only) takes image_bytes (B,), JPEG or PNG files, and
boxes (B, 4) left, top, width, height in pixels; from_pictures (SavedModel only) takes image_bytes
alone and finds up to six people in each; from_crops takes crops (B, S, S, 3) float32 in
[-1, 1]. Inputs and outputs are described in OUTPUT/N/assets.extra/export.json and beside each file.
"""
SAVED_MODEL = "savedmodel"


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "--checkpoint", default=DEFAULT_MODEL, help=f"model folder ({DEFAULT_MODEL})"
    )
    parser.add_argument("--body", help="another body file than the model's")
    parser.add_argument("--output", default="runs/export", help="base folder (runs/export)")
    parser.add_argument(
        "--format", default=SAVED_MODEL, help=f"comma-separated formats ({SAVED_MODEL})"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    check_keras_settings()
    kinds = _kinds(options.format, (SAVED_MODEL, *FORMATS))
    portable = [kind for kind in kinds if kind != SAVED_MODEL]
    check_installed(portable)
    check_model(options.checkpoint, options.body)
    check_folder(options.output)

    from hmr.network.checkpoint import load_model
    from hmr.serving.saved_model import export_saved_model

    model = load_model(options.checkpoint, options.body)
    if SAVED_MODEL in kinds:
        report = export_saved_model(model, options.output, source=options.checkpoint)
        _print(report)
        count = report.warmup_requests or "none (tensorflow-serving-api is absent)"
        print(f"  warm-up requests: {count}")
    if portable:
        reports = export_portable(model, portable, Path(options.output), source=options.checkpoint)
        for report in reports.values():
            _print(report)
    return 0


def _kinds(text: str, known: tuple[str, ...]) -> list[str]:
    kinds = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = sorted(set(kinds) - set(known))
    if unknown or not kinds:
        raise UserError(
            f"--format knows {', '.join(known)}; received {', '.join(unknown) or 'none'}"
        )
    return kinds


def _print(report: ExportReport) -> None:
    print(printable(f"wrote {report.path}"))
    for signature, outputs in report.differences.items():
        print(f"  {signature}: {', '.join(outputs)}")
    print(
        f"  largest difference to the Keras model, re-run: {report.export_max_abs_diff:.2g}\n"
        f"  {report.megabytes:.1f} MB, {report.milliseconds:.1f} ms for one crop on this machine"
    )
