"""Pictures and video frames with 3D joints: what the converters of 3D datasets share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hmr.body.joints import LSP14
from hmr.data.schema import Person, person_to_example
from hmr.files.video import open_video
from tfrecords_tools.common.jobs import Outcome, SampleError
from tfrecords_tools.common.pictures import (
    Labels,
    cut_person,
    full_body_scale,
    read_picture,
    reorder,
)

MARGIN_PX = 150
MIN_JOINTS_INSIDE = 8


@dataclass(frozen=True)
class LabelledFrame:
    """One person in one frame.

    Attributes:
        path: the picture, whose name the record stores; not read where the unit has a video.
        dataset, sequence: see `schema.PERSON_KEYS`.
        frame: 0-based number in the sequence.
        joints2d_px: (14, 2) LSP-14 joints.
        joints3d_lsp_mm: (14, 3) in the camera frame.
        intrinsics_px: (3,) focal length, cx, cy in px, or None.
        extras: what else a record holds of the person: further arguments of `Person`.
    """

    path: Path
    dataset: str
    sequence: str
    frame: int
    joints2d_px: np.ndarray
    joints3d_lsp_mm: np.ndarray
    intrinsics_px: np.ndarray | None = None
    extras: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What to call the frame in messages."""
        return f"{self.sequence}, frame {self.frame}"


@dataclass(frozen=True)
class FrameUnit:
    """The frames of one shard.

    Attributes:
        frames: the frames; those of a video in ascending order.
        video: where they are read from; None if each has its own picture.
        min_joints_inside: how many of the 14 joints have to lie inside the picture.
    """

    frames: list[LabelledFrame]
    video: Path | None = None
    min_joints_inside: int = MIN_JOINTS_INSIDE


def convert_frames(unit: FrameUnit) -> Iterator[Outcome]:
    """The records of a unit."""
    for frame, image in zip(unit.frames, _images(unit), strict=True):
        try:
            if isinstance(image, SampleError):
                raise image
            yield person_to_example(_person(frame, image, unit.min_joints_inside))
        except SampleError as error:
            yield error


def _images(unit: FrameUnit) -> Iterator[np.ndarray | SampleError]:
    if unit.video is not None:
        yield from read_frames(unit.video, (frame.frame for frame in unit.frames))
        return
    for frame in unit.frames:
        try:
            yield read_picture(frame.path)
        except SampleError as error:
            yield SampleError(error.reason, f"{frame.name}: {error.name}")


def _person(frame: LabelledFrame, image: np.ndarray, min_joints_inside: int) -> Person:
    labels = _labels(frame)
    inside = (frame.joints2d_px >= 0) & (frame.joints2d_px < image.shape[1::-1])
    if inside.all(axis=1).sum() < min_joints_inside:
        raise SampleError(f"fewer than {min_joints_inside} joints inside the picture", frame.name)
    return cut_person(
        image,
        labels,
        full_body_scale(labels),
        MARGIN_PX,
        whole_center=True,
        intrinsics_px=frame.intrinsics_px,
        filename=frame.path.name,
        dataset=frame.dataset,
        joints3d_lsp_m=frame.joints3d_lsp_mm / 1000.0,
        sequence=frame.sequence,
        frame=frame.frame,
        **frame.extras,
    )


def _labels(frame: LabelledFrame) -> Labels:
    """All 14 joints count as labelled, hidden or not; the face has no labels."""
    if not np.isfinite(frame.joints3d_lsp_mm).all():
        raise SampleError("coordinates that are not finite", frame.name)
    return reorder(np.column_stack([frame.joints2d_px, np.ones(len(LSP14))]), LSP14, frame.name)


def read_frames(path: Path, wanted: Iterable[int]) -> Iterator[np.ndarray | SampleError]:
    """Reads frames of a video in order, without decoding those that are not wanted.

    Args:
        path: the video.
        wanted: 0-based frame numbers, ascending.
    Yields:
        for each wanted frame: the picture (H, W, 3), uint8 BGR, or why there is none.
    """
    capture = open_video(path) if path.is_file() else cv2.VideoCapture()
    try:
        opened, position = capture.isOpened(), -1
        for frame in wanted:
            if not opened:
                yield SampleError("unreadable video", str(path))
                continue
            while position < frame and capture.grab():
                position += 1
            yield _retrieve(capture, path, frame, position)
    finally:
        capture.release()


def _retrieve(
    capture: cv2.VideoCapture, path: Path, frame: int, position: int
) -> np.ndarray | SampleError:
    if position < frame:
        return SampleError("frame behind the end of the video", f"{path}, frame {frame}")
    decoded, image = capture.retrieve()
    return image if decoded else SampleError("unreadable frame", f"{path}, frame {frame}")
