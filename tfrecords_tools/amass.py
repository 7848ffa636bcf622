"""AMASS: motion capture as SMPL+H bodies, the public source of the adversarial prior.

Each set (CMU, PosePrior, ...) becomes a record set of its own: `mocap_cmu`, `mocap_posePrior`, and
`mocap_<set>` for others. The first 22 joints of SMPL+H are SMPL's; SMPL's two hands get the rest
pose, because AMASS's finger joints are something else. The first 10 shape coefficients are kept,
although they belong to the gendered SMPL+H body: as a prior of the neutral SMPL shape they are
approximate.

Takes are thinned to --fps frames a second: 12 gives the paper's 390 thousand poses of CMU.
PosePrior (MPI_Limits) is short and kept whole, as in the paper (180 thousand poses).
"""

from __future__ import annotations

import argparse
import math
import re
from functools import partial
from pathlib import Path

import numpy as np

from hmr.errors import UserError, run_verb
from hmr.files.safe_npz import load_npz
from tfrecords_tools.common.bodies import POSE_SIZE, SHAPE_SIZE, bodies_job, usable_take
from tfrecords_tools.common.cli import Converter, above_zero, plan_splits, run_converter
from tfrecords_tools.common.jobs import DropLog, Job, Plan, SampleError, reading_sample

NAME = "amass"
FPS = 12.0
POSE_PRIOR = "posePrior"
_RECORD_NAMES = {"CMU": "cmu", "MPI_Limits": POSE_PRIOR, "PosePrior": POSE_PRIOR}
_TAKE_PATTERNS = ("*_poses.npz", "*_stageii.npz")
_RATE_KEYS = ("mocap_framerate", "mocap_frame_rate")
# Half an hour at 60 frames a second; of the file with the rest of what it holds.
_MAX_BYTES, _MAX_FILE_BYTES = 1 << 27, 1 << 29
_BODY_NUMBERS = 66
_KNOWN_WIDTHS = {POSE_SIZE: "SMPL", 156: "SMPL+H", 165: "SMPL-X"}


def read_take(path: Path, fps: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Reads one take.

    Args:
        path: npz with `poses` (N, 156) in rad, `betas` and `mocap_framerate`.
        fps: frames a second to keep; None keeps all.
    Returns:
        poses (n, 72) float32, beta (10,) float32.
    Raises:
        SampleError: unreadable, of an unknown layout, or without usable frames.
    """
    with reading_sample("unreadable take", path):
        take = load_npz(path, _MAX_BYTES, ("poses", "betas", *_RATE_KEYS), _MAX_FILE_BYTES)
        poses, betas = np.asarray(take["poses"], np.float32), np.asarray(take["betas"], np.float64)
        rate = next((float(take[key]) for key in _RATE_KEYS if key in take), None)
    if poses.ndim != 2 or poses.shape[1] not in _KNOWN_WIDTHS or betas.size < SHAPE_SIZE:
        raise SampleError("take of an unknown layout", f"{path}: {poses.shape}, {betas.shape}")
    return usable_take(path, to_smpl(poses[:: _stride(path, rate, fps)]), betas)


def _stride(path: Path, rate: float | None, fps: float | None) -> int:
    if fps is None:
        return 1
    if rate is None or not 0 < rate < math.inf:
        raise SampleError("take without frame rate", str(path))
    return max(1, round(round(rate) / fps))


def to_smpl(poses: np.ndarray) -> np.ndarray:
    """SMPL poses (N, 72) of SMPL+H or SMPL-X poses (N, 156 or 165), with the hands at rest."""
    smpl = np.zeros((len(poses), POSE_SIZE), np.float32)
    width = POSE_SIZE if poses.shape[1] == POSE_SIZE else _BODY_NUMBERS
    smpl[:, :width] = poses[:, :width]
    return smpl


def find_sets(root: Path) -> dict[str, list[Path]]:
    """Record name -> takes, for each set below `root`, or for `root` itself if it is a set.

    Raises:
        UserError: there are no takes.
    """
    takes = sorted(path for pattern in _TAKE_PATTERNS for path in root.rglob(pattern))
    if not takes:
        raise UserError(
            f"{NAME}: no {' or '.join(_TAKE_PATTERNS)} below {root}. Expected layout: "
            f"{root}/CMU/01/01_01_poses.npz"
        )
    is_set = all(len(path.relative_to(root).parts) < 3 for path in takes)
    sets: dict[str, list[Path]] = {}
    for path in takes:
        name = root.resolve().name if is_set else path.relative_to(root).parts[0]
        sets.setdefault(record_name(name), []).append(path)
    return sets


def record_name(set_name: str) -> str:
    """Name of a set's record set, without the prefix `mocap_`."""
    return _RECORD_NAMES.get(set_name, re.sub(r"\W+", "_", set_name).lower())


def plan(args: argparse.Namespace) -> Plan:
    """One job per set."""
    sets = find_sets(args.input)
    wanted = {record_name(name) for name in args.sets.split(",")} if args.sets else set(sets)
    if unknown := wanted - set(sets):
        raise UserError(f"{NAME}: no set {sorted(unknown)} in {args.input}; there: {sorted(sets)}.")
    plan_splits(args, CONVERTER)
    return Plan([_job(name, sets[name], args) for name in sorted(wanted)])


def _job(name: str, paths: list[Path], args: argparse.Namespace) -> Job:
    fps = args.fps or (None if name == POSE_PRIOR else FPS)
    arguments = {"source": NAME, "fps": fps}
    return bodies_job(name, paths, partial(read_take, fps=fps), DropLog(), arguments, args.workers)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds options: which sets, and how many frames a second."""
    parser.add_argument("--sets", help="comma-separated set folders (default: all that are there)")
    parser.add_argument(
        "--fps",
        type=above_zero(float),
        help=f"frames a second to keep (default: {FPS:g}; all frames of PosePrior)",
    )


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download the sets as "SMPL+H G" (CMU and PosePrior for the paper). Layout:
  CMU/01/01_01_poses.npz ..., MPI_Limits/03099/op2_poses.npz ...
A single set's folder can be given, too.""",
    plan=plan,
    splits=("train",),
    add_options=add_options,
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
