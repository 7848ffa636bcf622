"""Reads a SMPL file as it was downloaded and writes the body file that everything here uses."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from hmr.body.model_file import save_body
from hmr.errors import UserError, VerbParser, printable
from hmr.original.smpl_file import OfficialBody, read_official

EPILOG = """\
examples:
  python -m src.convert_smpl basicmodel_neutral_lbs_10_207_0_v1.1.0.pkl
  python -m src.convert_smpl SMPL_FEMALE.pkl models/smpl_female.npz \\
      --regressor-from neutral_smpl_with_cocoplus_reg.pkl

models/README.md says where each file comes from. No code in the file is run, and chumpy is not
needed. SMPL's licence does not allow passing the result on; git ignores it.
"""


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    parser.add_argument("input", help="SMPL file, .pkl or .npz, any version, under any name")
    parser.add_argument(
        "output", nargs="?", help="body file to write (models/smpl_GENDER.npz, by default)"
    )
    parser.add_argument(
        "--regressor-from",
        metavar="FILE",
        help="take the 19 keypoint rows of this file, for bodies that come without",
    )
    return parser


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _report(official: OfficialBody, source: Path, output: Path) -> None:
    height_m = float(official.body.v_template[:, 1].max() - official.body.v_template[:, 1].min())
    lines = [
        f"read {source}, sha256 {_sha256(source)}",
        f"SMPL version {official.version}, {official.gender}, "
        f"{official.num_betas} shape components, mean height {height_m:.2f} m",
        *(f"note: {note}" for note in official.notes),
        f"wrote {output}",
    ]
    print("\n".join(map(printable, lines)))


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    source = Path(options.input)
    if options.output and Path(options.output).suffix != ".npz":
        raise UserError(f"the output must end in .npz. Received: {options.output}.")
    official = read_official(source, options.regressor_from)
    gender = "neutral" if official.gender == "unknown" else official.gender
    output = Path(options.output or f"models/smpl_{gender}.npz")
    save_body(output, official.body)
    _report(official, source, output)
    return 0
