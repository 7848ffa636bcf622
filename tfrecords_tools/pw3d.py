"""3DPW: people outdoors with SMPL parameters. Not in the original; a later benchmark.

A record per person and picture: gendered pose and shape (first 10 coefficients) with the root
turned into the camera frame, OpenPose's keypoints without its neck, which is not LSP's, and the
intrinsics. Pictures without a valid camera, and people with fewer than 6 keypoints, are left out.
The box around the keypoints gets a diagonal of 150 px and the window is +-150 px.

With --male and --female, body files of the gendered SMPL models (python -m src.convert_smpl), the
14 LSP joints of those bodies are stored, too. Record set: `3dpw`; splits train, val (the dataset's
`validation`) and test.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import LSP14, OPENPOSE18
from hmr.errors import UserError, run_verb
from hmr.files.foreign import parsing
from hmr.files.safe_pickle import safe_load
from tfrecords_tools.common.cli import Converter, need_file, plan_splits, run_converter
from tfrecords_tools.common.jobs import Job, Plan, SampleError
from tfrecords_tools.common.people import PicturePeople, WindowRule, group_by_picture, people_job
from tfrecords_tools.common.pictures import Labels, full_body_scale, reorder

NAME, DATASET = "pw3d", "3dpw"
FOLDERS = {"train": "train", "val": "validation", "test": "test"}
WINDOW = WindowRule(margin_px=150, scale=full_body_scale)
MIN_KEYPOINTS = 6
_BATCH = 512
_MAX_BYTES = 1 << 26


@dataclass(frozen=True)
class Actor:
    """One person of a sequence.

    Attributes:
        name: <sequence>_<number>.
        gender: "m" or "f".
        poses: (N, 72) rad, root in the world frame.
        beta: (10,).
        translations_m: (N, 3).
        keypoints: (N, 18, 3) OpenPose's x, y, confidence; zero where undetected.
        valid: (N,) whether the camera is known.
    """

    name: str
    gender: str
    poses: np.ndarray
    beta: np.ndarray
    translations_m: np.ndarray
    keypoints: np.ndarray
    valid: np.ndarray


@dataclass(frozen=True)
class LabelledSequence:
    """One video with the people in it.

    Attributes:
        name: of the sequence.
        extrinsics: (N, 4, 4) from the world to the camera frame, metres.
        intrinsics_px: (3,) focal length, cx, cy.
        actors: the people.
    """

    name: str
    extrinsics: np.ndarray
    intrinsics_px: np.ndarray
    actors: list[Actor]


def read_sequence(path: Path) -> LabelledSequence:
    """Reads the pickle of a sequence.

    Raises:
        UserError: unreadable or of another layout.
    """
    content = safe_load(path, _MAX_BYTES)
    with parsing(path, "sequence of 3DPW"):
        extrinsics = np.array(content["cam_poses"], np.float64).reshape(-1, 4, 4)  # (N, 4, 4)
        intrinsics = np.asarray(content["cam_intrinsics"], np.float64)
        intrinsics_px = np.array([intrinsics[[0, 1], [0, 1]].mean(), *intrinsics[:2, 2]])
        count = len(content["poses"])
        actors = [_read_actor(content, path.stem, i, len(extrinsics)) for i in range(count)]
        if any((np.linalg.det(extrinsics[actor.valid, :3, :3]) <= 0).any() for actor in actors):
            raise ValueError("a camera that turns nothing, though it counts as valid")
        for actor in actors:
            to_camera(actor.poses, _known_or_identity(actor, extrinsics))  # raises on no rotations
    return LabelledSequence(path.stem, extrinsics, intrinsics_px, actors)


def _read_actor(content: dict[str, Any], sequence: str, index: int, frames: int) -> Actor:
    return Actor(
        name=f"{sequence}_{index}",
        gender=str(content["genders"][index])[0],
        poses=np.array(content["poses"][index], np.float64).reshape(frames, 72),
        beta=np.asarray(content["betas"][index], np.float32).ravel()[:10],
        translations_m=np.asarray(content["trans"][index], np.float64).reshape(frames, 3),
        keypoints=np.asarray(content["poses2d"][index])
        .reshape(frames, 3, len(OPENPOSE18))
        .transpose(0, 2, 1),  # (N, 18, 3)
        valid=np.asarray(content["campose_valid"][index]).reshape(frames) > 0,
    )


def _known_or_identity(actor: Actor, extrinsics: np.ndarray) -> np.ndarray:
    return np.where(actor.valid[:, None, None], extrinsics, np.eye(4))  # (N, 4, 4)


def to_camera(poses: np.ndarray, extrinsics: np.ndarray) -> np.ndarray:
    """Poses (N, 72) with the root turned from the world into the camera frame, (N, 4, 4)."""
    from scipy.spatial.transform import Rotation  # takes a quarter of a second to import

    turned = poses.copy()
    roots = Rotation.from_matrix(extrinsics[:, :3, :3]) * Rotation.from_rotvec(poses[:, :3])
    turned[:, :3] = roots.as_rotvec()
    return turned


class BodyJoints:
    """LSP-14 joints of the gendered SMPL bodies.

    Args:
        paths: gender -> body file.
    """

    def __init__(self, paths: dict[str, Path]):
        from hmr.body.model_file import open_body
        from hmr.body.smpl import SMPL

        self._bodies = {gender: SMPL(open_body(path)) for gender, path in paths.items()}

    def of(self, actor: Actor, extrinsics: np.ndarray) -> np.ndarray:
        """Joints (N, 14, 3) of an actor, camera frame, metres; `extrinsics` (N, 4, 4)."""
        body = self._bodies[actor.gender]
        betas = np.tile(actor.beta, (len(actor.poses), 1))
        parts = [
            body.keypoints(actor.poses[i : i + _BATCH].astype(np.float32), betas[i : i + _BATCH])
            for i in range(0, len(actor.poses), _BATCH)
        ]
        joints = np.concatenate([np.array(part["joints3d"]) for part in parts])[:, : len(LSP14)]
        world = joints + actor.translations_m[:, None]
        turned = np.einsum("nij,nkj->nki", extrinsics[:, :3, :3], world)  # (N, 14, 3)
        return turned + extrinsics[:, None, :3, 3]


def select_people(
    sequence: LabelledSequence, joints: BodyJoints | None
) -> Iterator[tuple[int, Labels | SampleError]]:
    """Yields the frame and the labels of each person in each frame, or why they are left out."""
    for actor in sequence.actors:
        extrinsics = _known_or_identity(actor, sequence.extrinsics)
        poses = to_camera(actor.poses, extrinsics)
        joints3d_lsp_m = joints.of(actor, extrinsics) if joints else None
        for frame in range(len(poses)):
            keypoints = actor.keypoints[frame]
            labels = reorder(
                np.column_stack([keypoints[:, :2], keypoints[:, 2] > 0]),
                OPENPOSE18,
                f"{actor.name}, {frame}",
                pose=poses[frame],
                beta=actor.beta,
                gender=actor.gender,
                joints3d_lsp_m=None if joints3d_lsp_m is None else joints3d_lsp_m[frame],
                intrinsics_px=sequence.intrinsics_px,
                sequence=actor.name,
                frame=frame,
            )
            reason = _rejection(actor, frame, labels)
            yield frame, SampleError(reason, labels.name) if reason else labels


def _rejection(actor: Actor, frame: int, labels: Labels) -> str | None:
    if not actor.valid[frame]:
        return "picture without valid camera"
    if not np.isfinite(actor.poses[frame]).all():
        return "coordinates that are not finite"
    if (labels.visibility > 0).sum() < MIN_KEYPOINTS:
        return f"fewer than {MIN_KEYPOINTS} keypoints"
    return None


def read_people(
    args: argparse.Namespace, paths: list[Path]
) -> Iterator[tuple[tuple[int, int, Path], Labels | SampleError]]:
    """Yields each person with (number of the sequence, frame, file) of the picture."""
    joints = BodyJoints({"m": args.male, "f": args.female}) if args.male else None
    for number, path in enumerate(paths):
        sequence = read_sequence(path)
        images = args.input / "imageFiles" / sequence.name
        for frame, person in select_people(sequence, joints):
            yield (number, frame, images / f"image_{frame:05d}.jpg"), person


def plan(args: argparse.Namespace) -> Plan:
    """One job per split."""
    if (args.male is None) != (args.female is None):
        raise UserError(f"{NAME}: --male and --female go together.")
    for path in filter(None, (args.male, args.female)):
        need_file(path, NAME)
    splits, skipped = plan_splits(args, CONVERTER, lambda split: _missing(args.input, split))
    return Plan([_job(args, split) for split in splits], skipped)


def _missing(root: Path, split: str) -> str | None:
    if split not in FOLDERS:
        return f"there is no split {split}"
    folder = root / "sequenceFiles" / FOLDERS[split]
    return None if any(folder.glob("*.pkl")) else f"no .pkl in {folder}"


def _job(args: argparse.Namespace, split: str) -> Job:
    paths = sorted((args.input / "sequenceFiles" / FOLDERS[split]).glob("*.pkl"))
    images = args.input / "imageFiles"
    people, dropped = group_by_picture(read_people(args, paths))
    pictures = [PicturePeople(at[2], DATASET, people[at], WINDOW) for at in sorted(people)]
    arguments = {"joints3d": args.male is not None}
    return people_job(DATASET, split, pictures, dropped, paths, images, arguments)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds options for the gendered body files."""
    parser.add_argument("--male", type=Path, help="body file of the male SMPL model")
    parser.add_argument("--female", type=Path, help="body file of the female SMPL model")


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Layout:
  imageFiles/courtyard_arguing_00/image_00000.jpg ...
  sequenceFiles/train/*.pkl, validation/*.pkl, test/*.pkl""",
    plan=plan,
    splits=("train", "val", "test"),
    add_options=add_options,
)

if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
