"""Frames of videos, read in order without decoding those that are not wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from tfrecords_tools.common.jobs import SampleError


def read_frames(path: Path, wanted: Iterable[int]) -> Iterator[np.ndarray | SampleError]:
    """Reads frames of a video.

    Args:
        path: the video.
        wanted: 0-based frame numbers, ascending.
    Yields:
        for each wanted frame (H, W, 3) uint8 BGR, or why there is none.
    """
    capture = cv2.VideoCapture(str(path))
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
