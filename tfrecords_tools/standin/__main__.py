"""Makes the stand-in datasets: `python -m tfrecords_tools.standin --help`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from hmr.body.model_file import open_body
from hmr.errors import UserError, VerbParser, run_verb
from hmr.files.foreign import parsing, read_json
from hmr.files.whole import whole_folder
from tfrecords_tools.standin.choices import (
    LOOKS,
    add_look_flags,
    look_settings,
    parse_with_preset,
    scene_style,
)
from tfrecords_tools.standin.scene import SceneStyle

DESCRIPTION = """Makes licence-free datasets of rendered people, in the layouts in which the real
ones are downloaded: LSP, COCO 2014, MPI-INF-3DHP with its test set, 3DPW and AMASS. Subject S8, the
test set, 3DPW's validation split and the second half of LSP show people and poses that the rest
never shows."""
EPILOG = """example:
  python -m tfrecords_tools.standin --output data/standin_raw --images_3d 8000
  python -m tfrecords_tools --mpi_inf_3dhp data/standin_raw/mpi_inf_3dhp --output data/tfrecords

The same flags give the same files, whatever the number of workers. --preset photo is for weights
that shall work on photographs; each of its flags can still be given."""
README = """Pictures of people who do not exist, rendered by python -m tfrecords_tools.standin, in
the layouts of LSP, COCO 2014, MPI-INF-3DHP, 3DPW and AMASS. They hold no data of those datasets and
are free of their licences. standin.json holds the settings: the same settings make the same files.

A subject of mpi_inf_3dhp is a cast of people, its cameras do not film the same moment, and only
cameras 0, 1, 2, 4, 5, 6, 7 and 8 film. People and key poses of S8, of the test set TS1 to TS6 and
of the second half of lsp appear nowhere else.
"""
MANIFEST = "standin.json"
VERSION = 1
COUNTS = {
    "images_3d": (7000, "MPI-INF-3DHP pictures"),
    "test_3d": (240, "its test pictures"),
    "lsp": (700, "LSP pictures, half of them for training"),
    "coco": (800, "COCO pictures"),
    "smpl": (0, "3DPW pictures, whose labels are SMPL bodies"),
    "held_out": (24, "pictures to try prediction on"),
    "mocap": (40000, "AMASS frames"),
    "videos": (0, "videos of 8 s, of 2 to 6 people, with their true motion"),
}
RANGES = {
    "views": (0, 180, " degrees"),
    "occluders": (0, 1, ""),
    "truncation": (0, 1, ""),
    "bystanders": (0, 1, ""),
    "frame_px": (128, 2048, ""),
}


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = VerbParser(
        prog="python -m tfrecords_tools.standin",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--output", type=Path, default=Path("data/standin_raw"), help="folder to fill (%(default)s)"
    )
    parser.add_argument(
        "--body",
        type=Path,
        default=Path("models/standin_body.npz"),
        help="body file of the people; the stand-in body is made if there is none (%(default)s)",
    )
    counts = parser.add_argument_group("how many; 0 leaves a dataset out")
    for name, (default, what) in COUNTS.items():
        counts.add_argument(f"--{name}", type=int, default=default, help=f"{what} (%(default)s)")
    add_look_flags(parser)
    parser.add_argument("--seed", type=int, default=0, help="another seed, other people and poses")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="processes (%(default)s)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what the folder holds")
    return parse_with_preset(parser)


def main() -> None:
    """Makes what the command line asks for, or finds it made."""
    arguments = parse_arguments()
    _check(arguments)
    style = scene_style(arguments)
    counts = {name: getattr(arguments, name) for name in COUNTS}
    looks = look_settings(arguments, style)
    request = {"version": VERSION, **counts, **looks, "seed": arguments.seed}
    if _already_made(arguments.output, request, arguments.overwrite):
        print(f"{arguments.output} is up to date")
        return
    arguments.body.parent.mkdir(parents=True, exist_ok=True)  # the body is kept there
    body = open_body(arguments.body)
    with whole_folder(arguments.output, arguments.overwrite) as folder:
        _write_datasets(folder, arguments, style)
        record = {**request, "body": body.source}
        (folder / MANIFEST).write_text(json.dumps(record, indent=2) + "\n")
        (folder / "README.txt").write_text(README)
    print(f"wrote {arguments.output}")


def _check(arguments: argparse.Namespace) -> None:
    for name in (*COUNTS, "seed"):
        if getattr(arguments, name) < 0:
            raise UserError(f"--{name} must not be negative. Received: {getattr(arguments, name)}.")
    if arguments.lsp == 1:
        raise UserError("--lsp must be 0 or at least 2: half is for training, half for testing.")
    for name, (low, high, unit) in RANGES.items():
        value = getattr(arguments, name)
        if not low <= value <= high:
            raise UserError(f"--{name} must lie in {low}..{high}{unit}. Received: {value:.10g}.")
    if arguments.workers < 1:
        raise UserError(f"--workers must be at least 1. Received: {arguments.workers}.")


def _already_made(output: Path, request: dict[str, Any], overwrite: bool) -> bool:
    """Whether the folder holds what is asked for.

    Raises:
        UserError: it holds something else, and may not be overwritten.
    """
    if not output.exists():
        return False
    manifest = output / MANIFEST
    if not manifest.is_file():
        raise UserError(
            f"{output} exists, but was not made by this command (it has no {MANIFEST}). "
            "Choose another --output."
        )
    # Manifests do not name flags that came later.
    defaults = {name: default for name, (default, *_) in (COUNTS | LOOKS).items()}
    with parsing(manifest, "list of settings", f"Choose another --output than {output}."):
        told = {**read_json(manifest)}
    names = [*request, *(name for name in defaults if name not in request)]
    held = {name: told.get(name, defaults.get(name)) for name in names}
    request = {**{name: defaults.get(name) for name in names}, **request}
    if held == request:
        return True
    if overwrite:
        return False
    changed = ", ".join(
        f"{name} {held[name]} -> {value}" for name, value in request.items() if held[name] != value
    )
    raise UserError(
        f"{output} holds stand-in datasets made with other settings ({changed}). "
        "Add --overwrite to replace them, or choose another --output."
    )


def _write_datasets(folder: Path, arguments: argparse.Namespace, style: SceneStyle) -> None:
    # Keras takes seconds to import: --help and a folder that is up to date do not need it.
    from tfrecords_tools.standin.amass import write_amass
    from tfrecords_tools.standin.coco import write_coco, write_held_out
    from tfrecords_tools.standin.lsp import write_lsp
    from tfrecords_tools.standin.mpi_inf_3dhp import write_mpi_inf_3dhp, write_test_set
    from tfrecords_tools.standin.poses import REPERTOIRES
    from tfrecords_tools.standin.pw3d import write_pw3d
    from tfrecords_tools.standin.studio import Studio
    from tfrecords_tools.standin.videos import write_videos

    seed, frame_px = arguments.seed, arguments.frame_px
    with Studio(arguments.body, arguments.workers) as studio:
        if arguments.lsp:
            write_lsp(folder / "lsp", arguments.lsp, style, seed, studio)
        if arguments.coco:
            write_coco(folder / "coco", arguments.coco, style, seed, studio)
        root = folder / "mpi_inf_3dhp"
        if arguments.images_3d:
            write_mpi_inf_3dhp(root, arguments.images_3d, style, frame_px, seed, studio)
        if arguments.test_3d:
            write_test_set(root, arguments.test_3d, style, frame_px, seed, studio)
        if arguments.smpl:
            write_pw3d(folder / "3dpw", arguments.smpl, style, seed, studio)
        if arguments.held_out:
            write_held_out(folder / "held_out", arguments.held_out, style, seed, studio)
        if arguments.mocap:
            write_amass(
                folder / "amass", arguments.mocap, seed, studio.smpl, REPERTOIRES[style.poses]
            )
        if arguments.videos:
            write_videos(folder / "videos", arguments.videos, style, seed, studio)


if __name__ == "__main__":
    run_verb(main)
