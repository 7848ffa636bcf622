"""Reads a TF1 checkpoint of the authors' as it is and writes a model folder of this project."""

from __future__ import annotations

import argparse
import glob
from pathlib import Path

from hmr.cli import verb_parser
from hmr.errors import UserError
from hmr.files.whole import whole_folder
from hmr.network.description import check_body

EPILOG = """\
examples:
  python -m src.convert_checkpoint --input models/model.ckpt-667589 --output models/hmr
  python -m src.convert_checkpoint --input model.ckpt-667589 --output models/hmr \\
      --training --body models/smpl_neutral.npz
  python -m src.convert_checkpoint --input resnet_v2_50.ckpt --output models/imagenet
  python -m src.main --config hmr \\
      --config.initial_encoder=models/imagenet/encoder.weights.h5

Every variable is matched by name; a missing, unknown or misshaped one stops the conversion. HMR's
checkpoints hold the SMPL body they were trained with, which is written beside the weights. They
hold no faces: name your body file with --body, and pictures and meshes can be made as well.
"""


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(__doc__, EPILOG)
    parser.add_argument(
        "--input",
        required=True,
        metavar="PREFIX",
        help="checkpoint, with or without suffix; or keras, for Keras's own ImageNet weights",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="model folder to write")
    parser.add_argument(
        "--body", help="body file: gives the faces, and all of the body if the checkpoint has none"
    )
    parser.add_argument(
        "--training",
        action="store_true",
        help="also both Adams' moments and the step, to continue the authors' training",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    output = Path(options.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} exists already. Choose another --output, or remove it first.")
    prefix = Path(options.input)
    if options.input != "keras" and not any(prefix.parent.glob(f"{glob.escape(prefix.name)}*")):
        raise UserError(
            f"no TF1 checkpoint at {prefix}: {prefix}.index is missing. Give the path without "
            "suffix, such as models/model.ckpt-667589."
        )
    if options.body:
        check_body(options.body)

    from hmr.original.convert import convert_checkpoint

    with whole_folder(output) as folder:
        lines = convert_checkpoint(options.input, folder, options.body, options.training)
    print("\n".join([*lines, f"wrote {output}"]))
    return 0
