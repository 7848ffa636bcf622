"""Reads the authors' release or a TF1 checkpoint as it is and writes a model folder."""

from __future__ import annotations

import argparse
from pathlib import Path

from hmr.cli import check_folder, check_keras_settings
from hmr.errors import UserError, VerbParser, printable
from hmr.files.whole import scratch_folder, whole_folder
from hmr.network.description import check_body
from hmr.original.release import (
    DOWNLOAD,
    check_weights,
    checkpoint_prefix,
    is_release,
    open_release,
)

EPILOG = """\
examples:
  python -m src.convert_checkpoint --input models.tar.gz --output models/hmr \\
      --body basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl
  python -m src.convert_checkpoint --input model.ckpt-667589 --output models/hmr \\
      --training --body models/smpl_neutral.npz
  python -m src.convert_checkpoint --input resnet_v2_50.ckpt --output models/imagenet
  python -m src.main --config hmr \\
      --config.initial_encoder=models/imagenet/encoder.weights.h5

Every variable is matched by name; a missing, unknown or misshaped one stops the conversion. HMR's
checkpoints hold the SMPL body they were trained with, which is written beside the weights. They
hold no faces, which pictures and meshes need: they come from the SMPL file in the archive, or from
the one that --body names, as it was downloaded or converted.
"""


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "--input",
        required=True,
        metavar="PATH",
        help="the authors' models.tar.gz, or its folder; or a checkpoint, with or without suffix; "
        "or keras, for Keras's own ImageNet weights",
    )
    parser.add_argument("--output", required=True, metavar="DIR", help="model folder to write")
    parser.add_argument(
        "--body",
        help="SMPL file or body file: the faces, and the whole body if the checkpoint has none",
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
    check_keras_settings()
    output = Path(options.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"{output} exists already. Choose another --output, or remove it first.")
    check_folder(output)
    source = options.input
    packed = source != DOWNLOAD and is_release(Path(source))
    if source.endswith(".h5"):
        check_weights(source)
    elif source != DOWNLOAD and not packed:
        checkpoint_prefix(source)
    if options.body:
        check_body(options.body)

    unpacked = output.with_name(f"{output.name}.unpacked")
    with whole_folder(output) as folder, scratch_folder(unpacked) as scratch:
        body = options.body
        if packed:
            release = open_release(Path(source), scratch)
            source, body = str(release.prefix), body or release.body

        from hmr.original.convert import convert_checkpoint

        lines = convert_checkpoint(source, folder, body, options.training)
    print("\n".join(map(printable, [*lines, f"wrote {output}"])))
    return 0
