"""Human3.6M from its official files: 15 activities, 4 cameras, 3D joints.

Train: S1, S5, S6, S7, S8. Test: S9, S11. Every fifth annotated frame (10 a second) is kept:
the keypoints' box gets a diagonal of 150 px in a window of +-150 px. 2D joints come from
D2_Positions, 3D joints from D3_Positions_mono (camera frame). A shard is a video; sequences are
called S9_Directions_0_cam3: subject, activity, trial (0 is subaction 1), camera (3 is 60457274).

Known faults: the video of S11, Directions, second trial, camera 0 is damaged and left out, as in
the original. In S9's Greeting (second trial), SittingDown (second) and Waiting (first) the joints
are shifted by about 20 cm against the pictures; they are kept, so that figures compare with the
original's, unless --misaligned drop is given.

--fits adds the authors' SMPL fits (neutrSMPL_H3.6, *_cam0_aligned.pkl) as pose and shape. They are
not published any more; training works with the joints alone.
"""

from __future__ import annotations

import argparse
import itertools
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hmr.body.joints import H36M32, LSP14, take_joints
from hmr.errors import UserError, run_verb
from hmr.files.foreign import reading
from tfrecords_tools.common.cdf import count_rows, read_positions
from tfrecords_tools.common.cli import (
    Converter,
    need_file,
    plan_splits,
    run_converter,
)
from tfrecords_tools.common.frames import (
    MIN_JOINTS_INSIDE,
    FrameUnit,
    LabelledFrame,
    convert_frames,
)
from tfrecords_tools.common.jobs import (
    DropLog,
    Job,
    Outcome,
    Plan,
    SampleError,
    fingerprint,
)
from tfrecords_tools.neutrmosh import read_fits

NAME = "h36m"
SUBJECTS = {"train": (1, 5, 6, 7, 8), "test": (9, 11)}
# Keys are the dataset's activity numbers; activity 1 holds recordings that no protocol uses.
ACTIVITIES = {
    2: "Directions", 3: "Discussion", 4: "Eating", 5: "Greeting", 6: "Phoning", 7: "Posing",
    8: "Purchases", 9: "Sitting", 10: "SittingDown", 11: "Smoking", 12: "TakingPhoto",
    13: "Waiting", 14: "Walking", 15: "WalkingDog", 16: "WalkingTogether",
}  # fmt: skip
FRAME_STEP = 5
DAMAGED_VIDEOS = {"S11_Directions_1_cam0"}
MISALIGNED_TAKES = ("S9_Greeting_1", "S9_SittingDown_1", "S9_Waiting_0")
_POSES_2D, _POSES_3D = "MyPoseFeatures/D2_Positions", "MyPoseFeatures/D3_Positions_mono"
FITS_NAME = "{prefix}_cam{camera}_aligned.pkl"
_NO_FITS = np.zeros((0, 72)), np.zeros(10)
_SOURCE_FOLDERS = ("Videos", _POSES_2D, _POSES_3D)
_METADATA_PLACES = (
    "metadata.xml",
    "Release-v1.2/metadata.xml",
    "code-v1.2/Release-v1.2/metadata.xml",
)
NUM_CAMERAS, NUM_SUBJECTS, NUM_TAKES = 4, 11, 32
# metadata.xml lists the extrinsics of each camera for each subject, then the intrinsics of each.
_EXTRINSIC, _INTRINSIC = 6, 9
_NUMBERS = NUM_CAMERAS * (NUM_SUBJECTS * _EXTRINSIC + _INTRINSIC)
_MAX_METADATA_BYTES = 1 << 24


@dataclass(frozen=True)
class Metadata:
    """What metadata.xml says.

    Attributes:
        prefixes: (subject, action, subaction), all from 1 -> how its files' names begin.
        camera_names: the four cameras' serial numbers, which the files' names hold.
        intrinsics_px: (4, 3) focal length (mean of both axes), cx, cy of each camera, px.
    """

    prefixes: dict[tuple[int, int, int], str]
    camera_names: list[str]
    intrinsics_px: np.ndarray


def read_metadata(path: Path) -> Metadata:
    """Reads metadata.xml.

    Raises:
        UserError: the file is not a metadata.xml of Human3.6M.
    """
    with reading(path, "metadata.xml of Human3.6M", _MAX_METADATA_BYTES):
        root = ElementTree.parse(path).getroot()
        rows = [[cell.text or "" for cell in row] for row in _element(root, "mapping")]
        cameras = [item.text or "" for item in _element(root, "dbcameras/index2id")]
        numbers = np.array((_element(root, "w0").text or "").strip(" []\n").split(), np.float64)
        prefixes = _read_prefixes(rows)
    if len(cameras) != NUM_CAMERAS or numbers.shape != (_NUMBERS,):
        raise UserError(
            f"{path}: {len(cameras)} cameras and {numbers.size} camera numbers, expected "
            f"{NUM_CAMERAS} and {_NUMBERS}."
        )
    # fx, fy, cx, cy and five numbers of distortion
    lenses = numbers[-NUM_CAMERAS * _INTRINSIC :].reshape(NUM_CAMERAS, _INTRINSIC)  # (4, 9)
    intrinsics_px = np.column_stack([lenses[:, :2].mean(axis=1), lenses[:, 2:4]])  # (4, 3)
    return Metadata(prefixes, cameras, intrinsics_px)


def _element(root: ElementTree.Element, name: str) -> ElementTree.Element:
    found = root.find(name)
    if found is None:
        raise ValueError(f"<{name}> is missing")
    return found


def _read_prefixes(rows: list[list[str]]) -> dict[tuple[int, int, int], str]:
    """The first row names the subjects; others hold action, subaction and a name per subject."""
    subjects = [int(name.removeprefix("S")) for name in rows[0][2:]]
    return {
        (subject, int(action), int(subaction)): prefix
        for action, subaction, *names in rows[1 : NUM_TAKES + 1]
        for subject, prefix in zip(subjects, names, strict=True)
    }


@dataclass(frozen=True)
class LabelledVideo:
    """One camera's video of one take, and where its annotations lie.

    Attributes:
        video, joints2d, joints3d: files.
        sequence: as S9_Directions_0_cam3.
        intrinsics_px: (3,) focal length, cx, cy in px.
        frames: how many frames a complete video gives.
        min_joints_inside: see `FrameUnit`.
        fits: file of SMPL fits, None without.
    """

    video: Path
    joints2d: Path
    joints3d: Path
    sequence: str
    intrinsics_px: np.ndarray
    frames: int
    min_joints_inside: int
    fits: Path | None


def convert_video(video: LabelledVideo) -> Iterator[Outcome]:
    """The records of a video; if its annotations cannot be read, all its frames are left out."""
    poses, beta = _NO_FITS
    try:
        if video.fits is not None:
            poses, beta = read_fits(video.fits)
    except SampleError as error:
        yield error
    try:
        frames = _frames(video, poses, beta)
    except SampleError as error:
        yield from (error for _ in range(video.frames))
        return
    yield from convert_frames(FrameUnit(frames, video.video, video.min_joints_inside))
    for row in range(len(frames), video.frames):
        name = f"{video.sequence}, frame {FRAME_STEP * row}"
        yield SampleError("frame without 2D annotation", name)


def _frames(video: LabelledVideo, poses: np.ndarray, beta: np.ndarray) -> list[LabelledFrame]:
    """The frames that have 2D and 3D joints; those that `poses` (n, 72) covers have SMPL's too."""
    joints2d_px = take_joints(read_positions(video.joints2d, 2), H36M32, LSP14)[::FRAME_STEP]
    joints3d_mm = take_joints(read_positions(video.joints3d, 3), H36M32, LSP14)[::FRAME_STEP]
    activity = video.sequence.split("_")[1]
    smpl: list[dict[str, Any]] = [{"pose": pose, "beta": beta, "gender": "n"} for pose in poses]
    return [
        LabelledFrame(
            path=video.video,
            dataset=NAME,
            sequence=video.sequence,
            frame=FRAME_STEP * row,
            joints2d_px=joints2d_px[row],
            joints3d_lsp_mm=joints3d_mm[row],
            intrinsics_px=video.intrinsics_px,
            extras={"activity": activity, **(smpl[row] if row < len(smpl) else {})},
        )
        for row in range(min(len(joints2d_px), len(joints3d_mm)))
    ]


class VideoCollector:
    """Lists the videos of subjects, and counts those that are left out.

    Args:
        args: parsed options.
        metadata: of the dataset.
        min_joints_inside: see `FrameUnit`.
    """

    def __init__(self, args: argparse.Namespace, metadata: Metadata, min_joints_inside: int):
        self._root, self._fits, self._metadata = args.input, args.fits, metadata
        self._drop_misaligned = args.misaligned == "drop"
        self._min_joints_inside = min_joints_inside
        self.videos: list[LabelledVideo] = []
        self.dropped = DropLog()

    def add_subject(self, subject: int) -> None:
        """Adds all takes of a subject."""
        for (activity, name), trial in itertools.product(ACTIVITIES.items(), (0, 1)):
            take = f"S{subject}_{name}_{trial}"
            prefix = self._metadata.prefixes.get((subject, activity, trial + 1))
            if not prefix:
                self.dropped.add("take without a name in metadata.xml", take)
                continue
            for camera in range(NUM_CAMERAS):
                try:
                    self.videos.append(self._video(take, prefix, camera))
                except SampleError as error:
                    self.dropped.add(error.reason, error.name)

    def _video(self, take: str, prefix: str, camera: int) -> LabelledVideo:
        sequence = f"{take}_cam{camera}"
        if sequence in DAMAGED_VIDEOS:
            raise SampleError("video known to be damaged", sequence)
        if self._drop_misaligned and take in MISALIGNED_TAKES:
            raise SampleError("take known to be misaligned", sequence)
        subject, name = take.split("_")[0], f"{prefix}.{self._metadata.camera_names[camera]}"
        folder = self._root / subject
        path, joints3d = folder / "Videos" / f"{name}.mp4", folder / _POSES_3D / f"{name}.cdf"
        if not path.is_file():
            raise SampleError("missing video", f"{sequence}: {path}")
        return LabelledVideo(
            video=path,
            joints2d=folder / _POSES_2D / f"{name}.cdf",
            joints3d=joints3d,
            sequence=sequence,
            intrinsics_px=self._metadata.intrinsics_px[camera],
            frames=-(-count_rows(joints3d, 3) // FRAME_STEP),
            min_joints_inside=self._min_joints_inside,
            fits=self._fits_of(sequence, FITS_NAME.format(prefix=prefix, camera=camera)),
        )

    def _fits_of(self, sequence: str, name: str) -> Path | None:
        if self._fits is None:
            return None
        path = self._fits / sequence.split("_")[0] / name
        if path.is_file():
            return path
        self.dropped.add("missing SMPL fits (the joints are kept)", sequence)
        return None


def find_metadata(args: argparse.Namespace) -> Path:
    """metadata.xml as given, or where it usually lies.

    Raises:
        UserError: it is not there.
    """
    if args.metadata is not None:
        return need_file(args.metadata, NAME)
    places = [args.input / place for place in _METADATA_PLACES]
    found = [path for path in places if path.is_file()]
    if not found:
        raise UserError(
            f"{NAME}: no metadata.xml in {args.input}; it comes with the dataset's code "
            f"(code-v1.2.zip, Release-v1.2). Add --metadata /path/to/metadata.xml."
        )
    return found[0]


def plan(args: argparse.Namespace) -> Plan:
    """One job per split; a unit is a video."""
    splits, skipped = plan_splits(args, CONVERTER, lambda split: _missing(args.input, split))
    if args.fits is not None and not any(args.fits.glob("S*/*_aligned.pkl")):
        example = FITS_NAME.format(prefix="Directions 1", camera=0)
        raise UserError(
            f"{NAME}: --fits {args.fits} holds no fits, expected S1/{example} and so on."
        )
    metadata_path = find_metadata(args)
    metadata = read_metadata(metadata_path)
    return Plan([_job(split, args, metadata, metadata_path) for split in splits], skipped)


def _missing(root: Path, split: str) -> str | None:
    if split not in SUBJECTS:
        return f"there is no split {split}"
    if any((root / f"S{subject}" / "Videos").is_dir() for subject in SUBJECTS[split]):
        return None
    return f"no Videos in any of {', '.join(f'S{s}' for s in SUBJECTS[split])} of {root}"


def _job(split: str, args: argparse.Namespace, metadata: Metadata, metadata_path: Path) -> Job:
    collector = VideoCollector(args, metadata, MIN_JOINTS_INSIDE if split == "train" else 0)
    folders = []
    for subject in SUBJECTS[split]:
        folder = args.input / f"S{subject}"
        if (folder / "Videos").is_dir():
            collector.add_subject(subject)
            folders += [folder / name for name in _SOURCE_FOLDERS if (folder / name).is_dir()]
        else:
            collector.dropped.add("missing subject", f"S{subject}")
    return Job(
        NAME,
        split,
        collector.videos,
        convert_video,
        samples=sum(video.frames for video in collector.videos),
        dropped=collector.dropped,
        arguments={
            "frame_step": FRAME_STEP,
            "misaligned": args.misaligned,
            "misaligned_takes": list(MISALIGNED_TAKES),
            "fits": args.fits is not None,
        },
        source_fingerprint=fingerprint([metadata_path], folders),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds options: where metadata and fits are, and what becomes of misaligned takes."""
    parser.add_argument("--metadata", type=Path, help="metadata.xml, if it lies elsewhere")
    parser.add_argument("--fits", type=Path, help="folder neutrSMPL_H3.6 of the authors' SMPL fits")
    parser.add_argument(
        "--misaligned",
        choices=("keep", "drop"),
        default="keep",
        help="what to do with the takes of S9 whose joints are shifted (default: %(default)s)",
    )


CONVERTER = Converter(
    name=NAME,
    about=f"""{__doc__}
Download, per subject, Videos, Poses_D2_Positions and Poses_D3_Positions_mono, and the code, which
holds metadata.xml. Layout:
  metadata.xml
  S1/Videos/Directions 1.54138969.mp4 ...
  S1/MyPoseFeatures/D2_Positions/Directions 1.54138969.cdf ...
  S1/MyPoseFeatures/D3_Positions_mono/Directions 1.54138969.cdf ...""",
    plan=plan,
    splits=("train", "test"),
    add_options=add_options,
)


if __name__ == "__main__":
    run_verb(lambda: run_converter(CONVERTER))
