"""Pictures in, bodies out: batched, streaming, resumable; one bad picture stops no other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hmr.errors import UserError
from hmr.files.video import Frame, Video
from hmr.files.whole import make_folder, write_text
from hmr.prediction.inputs import Source
from hmr.prediction.people import Detection, Found, PeopleSource, select
from hmr.prediction.predictor import Predictor
from hmr.prediction.writers.save import (
    Picture,
    check_kinds,
    is_current,
    load_npz,
    planned_files,
    save_picture,
)
from hmr.prediction.writers.video import STREAM_KINDS, VideoStreams

_MOST_LINES_SAID = 20
_MOST_LINES_KEPT = 10_000

# Pictures that wait for a full batch; whatever their size, memory stays within this and one more.
_MOST_BYTES_HELD = 200_000_000
_SUMMARY_FILE = "prediction_summary.json"


@dataclass
class Tally:
    """What happened to the pictures (or frames) and the people of a run."""

    pictures: int = 0
    predicted: int = 0
    finished_before: int = 0
    failed: int = 0
    without_people: int = 0
    people: int = 0
    left_out: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0, or 1 if a picture failed, a person was left out, or a video ended early."""
        return 1 if self.problems else 0

    def line(self) -> str:
        """The final count in one line."""
        return (
            f"pictures {self.pictures}: {self.predicted} predicted, "
            f"{self.finished_before} finished before, {self.failed} failed; "
            f"people {self.people}, {self.left_out} left out; "
            f"pictures without people {self.without_people}"
        )


@dataclass
class Work:
    """A picture on its way: read and searched for people, or found finished, or failed."""

    frame: Frame
    request: str
    image: np.ndarray | None = None
    found: Found = field(default_factory=Found)
    people: list[Detection] = field(default_factory=list)
    earlier: Picture | None = None
    failure: str | None = None


@dataclass
class Done:
    """A picture with its bodies; `picture` is None where it failed."""

    frame: Frame
    picture: Picture | None
    resumed: bool = False


@dataclass(frozen=True)
class Request:
    """What a run is asked for.

    Attributes:
        output: folder of the results.
        kinds: what to write, among `hmr.prediction.writers.save.KINDS`. The npz is always written:
            a resumed run reads it.
        person: one of `hmr.prediction.people.SELECTIONS`.
        settings: text of everything that decides the numbers. Results of the same settings and the
            same input file are not made again.
        overwrite: make everything again.
    """

    output: Path
    kinds: tuple[str, ...]
    person: str = "all"
    settings: str = ""
    overwrite: bool = False

    def fingerprint(self, origin: Path | None) -> str:
        """Of the settings and the input file; empty for a camera, which never repeats itself."""
        if origin is None:
            return ""
        state = origin.stat() if origin.is_file() else None
        stamp = f"{origin.name}:{state.st_size}:{state.st_mtime_ns}" if state else origin.name
        return hashlib.sha256(f"{self.settings}|{self.person}|{stamp}".encode()).hexdigest()


class PictureRun:
    """One run over pictures or a video.

    Args:
        predictor: the loaded model.
        people: where the people are.
        request: what to write, and where.
        say: prints one line without disturbing the progress bar.

    Raises:
        UserError: a kind needs the body's faces, and the model's body has none.
    """

    def __init__(
        self,
        predictor: Predictor,
        people: PeopleSource,
        request: Request,
        say: Callable[[str], None] = print,
    ):
        check_kinds(request.kinds, predictor.body)
        self.predictor = predictor
        self.people = people
        self.request = request
        self.tally = Tally()
        self._kinds = tuple(dict.fromkeys(("npz", *request.kinds)))
        self._say = say
        self._watch = predictor.watch
        self._lines_said = 0

    def run(self, source: Source, advance: Callable[[int], object] = lambda count: None) -> Tally:
        """Works through the pictures, and writes their files and `prediction_summary.json`.

        Args:
            source: the pictures.
            advance: is told how many more pictures are done, for a progress bar.

        Raises:
            UserError: the output folder cannot be made or written to.
        """
        make_folder(self.request.output)
        if isinstance(source, Video):
            self._run_video(source, advance)
        else:
            for done in self._pictures(source):
                self._save(done, self._kinds)
                advance(1)
        self._write_summary()
        return self.tally

    def _run_video(self, video: Video, advance: Callable[[int], object]) -> None:
        streamed = tuple(kind for kind in self._kinds if kind in STREAM_KINDS)
        per_frame = tuple(kind for kind in self._kinds if kind not in STREAM_KINDS)
        base = self.request.output / video.stem
        streams = VideoStreams(base, streamed, self.predictor.body, video.rate, self._watch)
        try:
            for index, done in enumerate(self._pictures(video)):
                self._save(done, per_frame)
                if done.picture is not None:
                    picture = self._with_image(done) if streams.draws else done.picture
                    streams.add(picture, index)
                advance(1)
            streams.close()
        finally:
            streams.abandon()
        if video.problem:
            self._problem(video.problem)

    def _pictures(self, frames: Iterable[Frame]) -> Iterator[Done]:
        """Finished pictures in the order of the input, computed in common batches."""
        waiting: list[Work] = []
        for frame in self._watch.each("read", frames):
            waiting.append(self._prepare(frame))
            num_people = sum(len(work.people) for work in waiting)
            enough = max(num_people, len(waiting)) >= self.predictor.batch_size
            if enough or sum(map(_held_bytes, waiting)) >= _MOST_BYTES_HELD:
                yield from self._finish(waiting)
                waiting = []
        yield from self._finish(waiting)

    def _prepare(self, frame: Frame) -> Work:
        fingerprint = self.request.fingerprint(frame.origin)
        work = Work(frame, fingerprint)
        if fingerprint and not self.request.overwrite:
            earlier = load_npz(_npz_of(self._base(frame)))
            if earlier is not None and earlier.request == fingerprint:
                work.earlier = earlier
                return work
        try:
            with self._watch("read"):
                work.image = frame.load()
        except UserError as error:
            work.failure = str(error)
            return work
        with self._watch("find people"):
            work.found = self.people.find(frame.name, *work.image.shape[:2])
        work.people = select(work.found.people, self.request.person)
        return work

    def _base(self, frame: Frame) -> Path:
        return self.request.output / frame.target

    def _finish(self, waiting: list[Work]) -> Iterator[Done]:
        fresh = [work for work in waiting if work.image is not None]
        pictures = [(work.image, work.people) for work in fresh if work.image is not None]
        results = iter(self.predictor.predict_people(pictures))
        for work in waiting:
            self.tally.pictures += 1
            if work.failure is not None:
                self.tally.failed += 1
                self._problem(work.failure)
                yield Done(work.frame, None)
            elif work.earlier is not None:
                self.tally.finished_before += 1
                yield self._counted(Done(work.frame, work.earlier, resumed=True))
            else:
                bodies, problems = next(results)
                self.tally.predicted += 1
                yield self._counted(Done(work.frame, _picture(work, bodies, problems)))
                for note in work.found.notes:
                    self._note(f"{work.frame.name}: {note}")

    def _counted(self, done: Done) -> Done:
        picture = done.picture
        assert picture is not None
        self.tally.people += len(picture.bodies)
        self.tally.without_people += not picture.bodies
        self.tally.left_out += len(picture.problems)
        for problem in picture.problems:
            self._problem(f"{done.frame.name}: {problem}")
        return done

    def _save(self, done: Done, kinds: tuple[str, ...]) -> None:
        """Writes a picture's files; of a resumed one those that are missing or older than it."""
        if done.picture is None:
            return
        base = self._base(done.frame)
        plan = planned_files(base, len(done.picture.bodies), kinds)
        since_ns = _npz_of(base).stat().st_mtime_ns if done.resumed else None
        if all(is_current(path, since_ns) for path in plan):
            return
        body = self.predictor.body
        save_picture(base, self._with_image(done), body, kinds, since_ns, self._watch)

    def _with_image(self, done: Done) -> Picture:
        """The picture with its pixels, which a resumed one lacks until they are needed."""
        assert done.picture is not None
        if done.picture.image is None:
            with self._watch("read"):
                done.picture = dataclasses.replace(done.picture, image=done.frame.load())
        return done.picture

    def _problem(self, line: str) -> None:
        if len(self.tally.problems) < _MOST_LINES_KEPT:
            self.tally.problems.append(line)
        self._say_some(line)

    def _note(self, line: str) -> None:
        if len(self.tally.notes) < _MOST_LINES_KEPT:
            self.tally.notes.append(line)
        self._say_some(line)

    def _say_some(self, line: str) -> None:
        self._lines_said += 1
        if self._lines_said <= _MOST_LINES_SAID:
            self._say(line)
        elif self._lines_said == _MOST_LINES_SAID + 1:
            self._say(f"... further lines are in {self.request.output / _SUMMARY_FILE} only")

    def _write_summary(self) -> None:
        seconds = {stage: round(value, 3) for stage, value in self._watch.seconds.items()}
        content = {**dataclasses.asdict(self.tally), "seconds": seconds}
        write_text(self.request.output / _SUMMARY_FILE, json.dumps(content, indent=1))


def _npz_of(base: Path) -> Path:
    return base.with_name(f"{base.name}.npz")


def _held_bytes(work: Work) -> int:
    return 0 if work.image is None else work.image.nbytes


def _picture(work: Work, bodies: list, problems: list[str]) -> Picture:
    assert work.image is not None
    height, width = work.image.shape[:2]
    lines = (*work.found.problems, *problems)
    return Picture(work.frame.name, height, width, bodies, work.image, work.request, lines)
