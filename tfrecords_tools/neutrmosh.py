"""neutrMosh: the authors' own motion capture as neutral SMPL bodies, in Python-2 pickles.

Each folder becomes a record set: `mocap_cmu` (3,934,267 poses), `mocap_h36m_mosh` (1,559,985),
`mocap_posePrior` (181,968). Pickles are read without running any code in them. Differences from
the original: `*_aligned.pkl` of Human3.6M, which repeat poses of other files, are left out here
(the converter of Human3.6M reads them: --fits); the test subjects S9 and S11 are left out by the
name of their folder, not wherever these letters occur in the path.

All frames are kept, as in the authors' records; --keep_every 10 gives the numbers that the paper
quotes for CMU and Human3.6M.
"""

from __future__ import annotations

import argparse
import re
from functools import partial
from pathlib import Path

import numpy as np

from hmr.errors import UserError, run_verb
from hmr.files.safe_pickle import safe_load
from tfrecords_tools.common.bodies import POSE_SIZE, SHAPE_SIZE, bodies_job, usable_take
from tfrecords_tools.common.cli import Converter, above_zero, plan_splits, run_converter
from tfrecords_tools.common.jobs import DropLog, Job, Plan, SampleError, reading_sample

NAME = "neutrmosh"
FOLDERS = {
    "neutrSMPL_CMU": "cmu",
    "neutrSMPL_H3.6": "h36m_mosh",
    "neutrSMPL_jointLim": "posePrior",
}
_TEST_SUBJECTS = {"S9", "S11"}
_ALIGNED = "_aligned"
_MAX_BYTES = 1 << 25
_UNREADABLE_FITS = "unreadable SMPL fits (the joints are kept)"


def read_take(path: Path, keep_every: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads one pickle with `poses` (or `new_poses`) (N, 72) in rad and `betas` (10,).

    Returns:
        poses (n, 72), beta (10,).
    Raises:
        SampleError: unreadable, of another layout, or without usable frames.
    """
    with reading_sample("unreadable take", path):
        content = safe_load(path, _MAX_BYTES)
        poses = np.asarray(content["poses" if "poses" in content else "new_poses"], np.float32)
        beta = np.asarray(content["betas"], np.float32).ravel()[:SHAPE_SIZE]
    if poses.ndim != 2 or poses.shape[1] != POSE_SIZE or beta.shape != (SHAPE_SIZE,):
        raise SampleError("take of an unknown layout", f"{path}: {poses.shape}, {beta.shape}")
    return usable_take(path, poses[::keep_every], beta)


def read_fits(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Reads the authors' SMPL fits of one video of Human3.6M, `<take>_cam<c>_aligned.pkl`.

    The fitted bodies stand on their heads. Half a turn of the root about the body's own x axis
    makes them project onto the picture.

    Returns:
        poses (N, 72), rad, root in the camera frame, row j for frame 5 j; beta (10,).
    Raises:
        SampleError: unreadable or of another layout.
    """
    with reading_sample(_UNREADABLE_FITS, path):
        content = safe_load(path, _MAX_BYTES)
        poses = np.array(content["new_poses"], np.float64).reshape(-1, POSE_SIZE)
        beta = np.asarray(content["betas"], np.float32).ravel()[:SHAPE_SIZE]
    if beta.shape != (SHAPE_SIZE,) or not (np.isfinite(poses).all() and np.isfinite(beta).all()):
        raise SampleError(_UNREADABLE_FITS, f"{path}: beta of {beta.size} numbers, or NaN")
    if not len(poses):
        raise SampleError(_UNREADABLE_FITS, f"{path}: no poses")
    from scipy.spatial.transform import Rotation  # takes a quarter of a second to import

    with reading_sample(_UNREADABLE_FITS, path):
        upright = Rotation.from_rotvec(poses[:, :3]) * Rotation.from_rotvec([np.pi, 0, 0])
        poses[:, :3] = upright.as_rotvec()
    return poses.astype(np.float32), beta


def find_takes(folder: Path) -> tuple[list[Path], DropLog]:
    """Pickles below a folder, and those that are left out on purpose."""
    takes, dropped = [], DropLog()
    for path in sorted(folder.rglob("*.pkl")):
        if path.stem.endswith(_ALIGNED):
            dropped.add("aligned copy", str(path.relative_to(folder)))
        elif _TEST_SUBJECTS & set(path.relative_to(folder).parts):
            dropped.add("test subject", str(path.relative_to(folder)))
        else:
            takes.append(path)
    return takes, dropped


def find_sets(args: argparse.Namespace) -> dict[str, Path]:
    """Name of the record set, without `mocap_` -> folder of pickles."""
    if args.name:
        return {args.name: args.input}
    sets = {name: args.input / folder for folder, name in FOLDERS.items()}
    present = {name: folder for name, folder in sets.items() if folder.is_dir()}
    folder_name = args.input.resolve().name
    own_name = FOLDERS.get(folder_name, re.sub(r"\W+", "_", folder_name).lower())
    return present or {own_name: args.input}


def plan(args: argparse.Namespace) -> Plan:
    """One job per folder."""
    plan_splits(args, CONVERTER)
    return Plan([_job(name, folder, args) for name, folder in find_sets(args).items()])


def _job(name: str, folder: Path, args: argparse.Namespace) -> Job:
    paths, dropped = find_takes(folder)
    if not paths:
        raise UserError(f"{NAME}: no .pkl to convert below {folder}.")
    arguments = {"source": NAME, "keep_every": args.keep_every}
    read = partial(read_take, keep_every=args.keep_every)
    return bodies_job(name, paths, read, dropped, arguments, args.workers)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds options: how many frames to keep, and the name of the record set."""
    parser.add_argument(
        "--keep_every", type=above_zero(int), default=1, help="keep every n-th frame"
    )
    parser.add_argument("--name", help="call the whole input mocap_<name>, whatever its folders")


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Layout: neutrSMPL_CMU/01/01_01.pkl ..., neutrSMPL_H3.6/S1/..., neutrSMPL_jointLim/...
Any other folder of such pickles is read as one set, called by --name or by the folder's name.""",
    plan=plan,
    splits=("train",),
    add_options=add_options,
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
