"""Writes a model as a SavedModel for TensorFlow Serving, and runs it again to prove it."""

from __future__ import annotations

import argparse

from src.errors import run_verb

EPILOG = """\
example:
  python -m src.export --checkpoint runs/demo --output runs/export
  docker run -p 8501:8501 -v $PWD/runs/export:/models/hmr -e MODEL_NAME=hmr tensorflow/serving

Signatures: from_images (default) takes image_bytes (B,), JPEG or PNG files, and boxes (B, 4) left,
top, width, height in pixels; from_crops takes crops (B, S, S, 3) float32 in [-1, 1]. Inputs and
outputs are described in OUTPUT/VERSION/assets.extra/export.json.
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m src.export",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--checkpoint", default="models/demo_standin", help="model folder (models/demo_standin)"
    )
    parser.add_argument("--body", help="another body file than the model's")
    parser.add_argument(
        "--output", default="runs/export", help="base folder; the next free version is written"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)

    from src.network.checkpoint import load_model
    from src.serving.saved_model import export_saved_model

    model = load_model(options.checkpoint, options.body)
    report = export_saved_model(model, options.output, source=options.checkpoint)
    print(f"wrote {report.path}")
    for signature, outputs in report.differences.items():
        print(f"  {signature}: {', '.join(outputs)}")
    print(f"largest difference to the Keras model, re-run: {report.export_max_abs_diff:.2g}")
    print(
        f"warm-up requests: {report.warmup_requests or 'none (tensorflow-serving-api is absent)'}"
    )
    return 0


if __name__ == "__main__":
    run_verb(main)
