"""The files of a whole video: its drawn copies, and the motion of its people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hmr.body.model_file import BodyModel
from hmr.files.video import VideoWriter
from hmr.prediction.result import Result
from hmr.prediction.stopwatch import Stopwatch
from hmr.prediction.writers.pictures import draw_overlay, draw_side

if TYPE_CHECKING:
    from hmr.prediction.writers.motion import MotionWriter

DRAWINGS = {"overlay": draw_overlay, "side": draw_side}
MOTION_KINDS = ("bvh", "motion")
STREAM_KINDS = (*DRAWINGS, *MOTION_KINDS)


class VideoStreams:
    """Writes a video's files frame by frame; they take their names when `close` is called.

    Args:
        base: path without suffix that their names begin with.
        kinds: among `STREAM_KINDS`.
        body: the arrays of the body model.
        rate: frames per second.
        watch: adds up the time of each kind, as `save <kind>`.
        strength: of the motion's smoothing, 0 to 1.
    """

    def __init__(
        self,
        base: Path,
        kinds: tuple[str, ...],
        body: BodyModel,
        rate: float,
        watch: Stopwatch,
        strength: float,
    ):
        self._body, self._watch = body, watch
        self._writers = {
            kind: VideoWriter(base.with_name(f"{base.name}_{kind}.mp4"), rate)
            for kind in kinds
            if kind in DRAWINGS
        }
        moving = tuple(kind for kind in kinds if kind in MOTION_KINDS)
        self._motion: MotionWriter | None = None
        if moving:
            # SciPy's filters take half a second to import.
            from hmr.prediction.writers.motion import MotionWriter

            self._motion = MotionWriter(base, moving, body, rate, strength)

    @property
    def draws(self) -> bool:
        """Whether `add` needs the pictures' pixels."""
        return bool(self._writers)

    def add(self, result: Result, frame: int) -> None:
        """Appends a frame; frames are numbered from 0."""
        for kind, writer in self._writers.items():
            with self._watch(f"save {kind}"):
                writer.add(DRAWINGS[kind](result, self._body))
        if self._motion:
            self._motion.add(result, frame)

    def close(self) -> list[Path]:
        """Finishes the files and returns their paths."""
        done = [writer.path for writer in self._writers.values() if writer.close()]
        if self._motion:
            with self._watch("save motion"):
                done += self._motion.close()
        return done

    def abandon(self) -> None:
        """Removes unfinished files."""
        for writer in self._writers.values():
            writer.abandon()
        if self._motion:
            self._motion.abandon()
