"""Serves a local page: upload a photo or a video, look at the bodies, download their files."""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from hmr.cli import check_address, check_keras_settings, ended_by_signals
from hmr.errors import VerbParser
from hmr.network.description import check_model
from hmr.prediction import DEFAULT_MODEL

if TYPE_CHECKING:
    from hmr.web.estimator import Estimator

EPILOG = """\
examples:
  python -m src.web
  python -m src.web --checkpoint runs/hmr --port 8080

The page is for this machine alone (127.0.0.1), nothing is shared or sent anywhere, and it works
without a network: no usage figures, no fonts or scripts from elsewhere. With --host 0.0.0.0 the
whole local network can open it; there is no password.

On the page: choose a photo or a sample; everyone in it is found and their bodies moved onto the
keypoints that are found (switch it off to see the network's own answer), or drag a box around the
one person whom you mean; then compare, turn everyone's mesh, and download every kind of file that
predict writes. Or choose a video: the motion of its first 600 frames is played, to be turned and
downloaded. Uploads and results are deleted when the program ends, or after an hour.

Needs the extra web: pip install "hmr-tf2[web]"
"""


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "--checkpoint", default=DEFAULT_MODEL, help=f"model folder ({DEFAULT_MODEL})"
    )
    parser.add_argument("--body", help="another body file than the model's")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, help="port to serve at (7860)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    check_keras_settings()
    check_model(options.checkpoint, options.body, needs_faces=True)
    check_address(options.host, options.port)

    from hmr.web.app import build_app, launch

    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="hmr_web_") as folder:
        # Gradio reads this when the page is built; uploads are then deleted with the folder.
        os.environ["GRADIO_TEMP_DIR"] = f"{folder}/uploads"
        page = build_app(_estimator(options, folder), _about(options.checkpoint))
        print(f"{launch(page, options.host, options.port)} (Ctrl-C ends it)", flush=True)
        threading.Event().wait()  # the page is served by threads that end with this one
    return 0


def _estimator(options: argparse.Namespace, folder: str) -> Estimator:
    """Loads the model and runs it once, so that the first visitor does not wait for it."""
    from hmr.prediction.predictor import Predictor
    from hmr.prediction.writers.save import KINDS, check_kinds
    from hmr.web.estimator import SAMPLES, SAMPLES_FOLDER, Estimator, discard, open_photo

    predictor = Predictor.load(options.checkpoint, options.body, batch_size=1, fit=True)
    check_kinds(KINDS, predictor.body)
    estimator = Estimator(predictor, Path(folder))
    discard(estimator.estimate(open_photo(SAMPLES_FOLDER / next(iter(SAMPLES))), None))
    return estimator


def _about(checkpoint: str) -> str:
    if Path(checkpoint) == Path(DEFAULT_MODEL):
        return (
            "These weights were trained on made people; their encoder, Google's MoveNet, has seen "
            "photographs. Poses are often right, hidden limbs and depth less so."
        )
    return f"Model: {checkpoint}"
