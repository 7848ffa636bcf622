"""Reads videos and cameras frame by frame, and writes frames as mp4 that browsers play."""

from __future__ import annotations

import os
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from hmr.errors import UserError
from hmr.files.images import LazyImage
from hmr.files.whole import make_folder, partial_path, take_name

# The endings of videos; they count where a file's content does not say what it is.
VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".mts",
    ".m2ts", ".ts", ".flv",
)  # fmt: skip
# This module reports what is wrong with a video in one line, so FFmpeg inside OpenCV is silenced.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
_USUAL_RATE = 25.0
_FASTEST_RATE = 1000.0
# Of what OpenCV's wheel can write into an mp4, VP9 alone is played by browsers.
_CODEC = "vp09"
_MOST_FRAMES_WAITING = 8


class Video:
    """The frames of a video file or of a camera, read one at a time.

    Args:
        source: the file, or the camera's number.
        max_frames: stop after so many; None for all.

    Attributes:
        rate: frames per second; 25 where the file does not say.
        problem: set after iterating if the video was shorter than its header says.
        notes: what was given with it and is not used.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, source: Path | int, max_frames: int | None = None):
        if max_frames is not None and max_frames < 1:
            raise UserError(f"--max_frames must be at least 1, got {max_frames}")
        self.source, self.max_frames = source, max_frames
        self.stem = source.stem if isinstance(source, Path) else f"camera{source}"
        self.problem: str | None = None
        capture = self._open()
        rate = capture.get(cv2.CAP_PROP_FPS)
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        capture.release()
        self.rate = float(rate) if 0 < rate <= _FASTEST_RATE else _USUAL_RATE
        self._announced = int(count) if isinstance(source, Path) and 0 < count < 1e9 else None

    def _open(self) -> cv2.VideoCapture:
        source = self.source
        if isinstance(source, Path):
            if not source.is_file() or source.stat().st_size == 0:
                raise UserError(f"{source}: no such video, or it is empty")
            capture = open_video(source)
            reason = f"{source} cannot be opened as a video: cut short, damaged, or of another kind"
        else:
            capture = cv2.VideoCapture(source)
            reason = (
                f"no camera {source} can be opened: none is connected under this number, another "
                "program holds it, or this user may not use it"
            )
        if not capture.isOpened():
            capture.release()
            raise UserError(reason)
        return capture

    def __len__(self) -> int:
        """The number of frames as the header gives it, 0 where unknown."""
        known = self._announced or 0
        return known if self.max_frames is None else min(known or self.max_frames, self.max_frames)

    @property
    def names(self) -> list[str]:
        """The names of the frames as the header counts them; none where it does not."""
        return [self._name(frame) for frame in range(len(self) if self._announced else 0)]

    def _name(self, frame: int) -> str:
        return f"{self.stem}_{frame:012d}"

    def __iter__(self) -> Iterator[LazyImage]:
        capture = self._open()
        origin = self.source if isinstance(self.source, Path) else None
        read, last_s, start_s = 0, 0.0, time.monotonic()
        try:
            while self.max_frames is None or read < self.max_frames:
                good, picture = capture.read()
                if not good:
                    break
                name, last_s = self._name(read), capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
                seconds = read / self.rate if origin else time.monotonic() - start_s
                load = partial(np.asarray, rgb)
                yield LazyImage(name, Path(self.stem) / name, load, origin, seconds)
                read += 1
        finally:
            capture.release()
        self.problem = self._early_end(read, last_s)

    def _early_end(self, read: int, last_s: float) -> str | None:
        """What is wrong with a video of which so many frames were read, the last at that time."""
        if read == 0:
            return (
                f"{self.source}: no frame can be read: damaged, or in a codec that OpenCV lacks "
                "(AV1 mostly); save it anew as H.264: ffmpeg -i VIDEO -c:v libx264 NEW.mp4"
            )
        expected = len(self)
        # Headers of intact files may count a frame or two too many: only a larger gap is reported.
        # Those that know their length in seconds only count too many where the rate varies.
        reached = last_s * (1 + 2 / max(read - 1, 1)) * self.rate
        if self._announced and max(read, reached) < 0.98 * expected - 1:
            return f"{self.source} ended early: {read} frames of {expected} announced"
        return None


def _is_text(path: Path) -> bool:
    """Whether a path is UTF-8. OpenCV crashes on one that is not, such as a Latin-1 name."""
    return str(path).isascii() or "\\udc" not in ascii(str(path))


def open_video(path: Path) -> cv2.VideoCapture:
    """A video file, by a link to it where OpenCV cannot take its name.

    Its whole path is given, as FFmpeg takes what stands before a colon for a protocol.
    """
    path = path.absolute()
    if _is_text(path):
        return cv2.VideoCapture(str(path))
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"video{path.suffix if _is_text(Path(path.suffix)) else ''}"
        link.symlink_to(path)
        return cv2.VideoCapture(str(link))


class VideoWriter:
    """Writes an mp4, frame by frame; the file takes its name when `close` is called.

    Args:
        path: of the file.
        rate: frames per second.
    """

    def __init__(self, path: Path, rate: float):
        self.path = path
        self.rate = rate
        self._partial = partial_path(
            path if _is_text(path) else path.with_name("video.mp4")
        ).absolute()
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        # VP9 takes a tenth of a second a frame of 1280 x 720: OpenCV leaves the GIL to others then.
        self._encoder = ThreadPoolExecutor(1)
        self._waiting: deque[Future] = deque()

    def add(self, image: np.ndarray) -> None:
        """Appends (H, W, 3) uint8 RGB; frames are fitted into the size of the first one."""
        if self._writer is None:
            # The codec halves the colour's resolution: sides must be even.
            self._size = (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)
            make_folder(self.path.parent)
            if not _is_text(self._partial):
                raise UserError(f"{self.path.parent}: a video's folder needs a name in UTF-8")
            code = cv2.VideoWriter.fourcc(*_CODEC)
            rate = _writable_rate(self.rate)
            self._writer = cv2.VideoWriter(str(self._partial), code, rate, self._size)
            if not self._writer.isOpened():
                raise UserError(f"{self.path} cannot be written as a video")
        picture = cv2.cvtColor(fit_into(image, *self._size), cv2.COLOR_RGB2BGR)
        self._waiting.append(self._encoder.submit(self._writer.write, picture))
        if len(self._waiting) > _MOST_FRAMES_WAITING:
            self._waiting.popleft().result()

    def close(self) -> bool:
        """Finishes the file and gives it its name; returns False if no frame was added."""
        if self._writer is None:
            return False
        for frame in self._waiting:
            frame.result()  # raises what writing it raised
        self._release()
        take_name(self._partial, self.path)
        return True

    def abandon(self) -> None:
        """Removes the unfinished file, if there is one."""
        self._release()
        self._partial.unlink(missing_ok=True)

    def _release(self) -> None:
        """Waits for the frames that are being written, and ends the file."""
        self._encoder.shutdown()
        if self._writer is not None:
            self._writer.release()


def _writable_rate(rate: float) -> float:
    """The nearest rate that can be written: OpenCV makes a fraction of it, of at most 65535.

    It takes as many decimals as the rate has, up to three; the time drifts by under 1 in 10000.
    """
    decimals = 3 if rate < 65 else 2 if rate < 655 else 1
    return max(round(rate, decimals), 0.01)


def fit_into(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at exactly this size: one pixel too many is cut off, else it is put on white."""
    if 0 <= image.shape[1] - width <= 1 and 0 <= image.shape[0] - height <= 1:
        return np.ascontiguousarray(image[:height, :width])
    ratio = min(width / image.shape[1], height / image.shape[0])
    size = max(1, round(image.shape[1] * ratio)), max(1, round(image.shape[0] * ratio))
    canvas = np.full((height, width, 3), 255, np.uint8)
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas
