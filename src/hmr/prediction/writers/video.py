"""The files of a whole video: its drawn copies, and one motion file per person."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from hmr.body.model_file import BodyModel
from hmr.files.video import VideoWriter
from hmr.prediction.result import Body, Result
from hmr.prediction.stopwatch import Stopwatch
from hmr.prediction.writers.bvh import MotionFrame, write_motion
from hmr.prediction.writers.pictures import draw_overlay, draw_side

DRAWINGS = {"overlay": draw_overlay, "side": draw_side}
STREAM_KINDS = (*DRAWINGS, "bvh")


class VideoStreams:
    """Writes a video's files frame by frame; they take their names when `close` is called.

    Args:
        base: path without suffix that their names begin with.
        kinds: among `STREAM_KINDS`.
        body: the arrays of the body model.
        rate: frames per second.
        watch: adds up the time of each drawing, as `save <kind>`.
    """

    def __init__(
        self, base: Path, kinds: tuple[str, ...], body: BodyModel, rate: float, watch: Stopwatch
    ):
        self._base, self._body, self._rate, self._watch = base, body, rate, watch
        self._writers = {
            kind: VideoWriter(base.with_name(f"{base.name}_{kind}.mp4"), rate)
            for kind in kinds
            if kind in DRAWINGS
        }
        self._keeps_motion = "bvh" in kinds
        self._motions: dict[str, list[MotionFrame]] = defaultdict(list)
        self._last_frame: dict[str, int] = {}

    @property
    def draws(self) -> bool:
        """Whether `add` needs the pictures' pixels."""
        return bool(self._writers)

    def add(self, result: Result, frame: int) -> None:
        """Appends a frame; frames are numbered from 0."""
        for kind, writer in self._writers.items():
            with self._watch(f"save {kind}"):
                writer.add(DRAWINGS[kind](result, self._body))
        if self._keeps_motion:
            for person in result.bodies:
                self._extend_motion(person, frame)

    def _extend_motion(self, person: Body, frame: int) -> None:
        """Appends a person's frame; missing frames repeat the last one, so that timing is kept."""
        motion = self._motions[person.label]
        missing = frame - self._last_frame.get(person.label, frame - 1) - 1
        if motion:
            motion.extend([motion[-1]] * missing)
        motion.append(MotionFrame.of(person))
        self._last_frame[person.label] = frame

    def close(self) -> list[Path]:
        """Finishes the files and returns their paths."""
        done = [writer.path for writer in self._writers.values() if writer.close()]
        for label, motion in self._motions.items():
            name = "".join(c if c.isalnum() or c in "-." else "_" for c in label)
            path = self._base.with_name(f"{self._base.name}_{name}.bvh")
            write_motion(path, motion, self._body, self._rate)
            done.append(path)
        return done

    def abandon(self) -> None:
        """Removes unfinished files."""
        for writer in self._writers.values():
            writer.abandon()
