"""Pictures in, bodies out: batched, streaming, resumable; one bad picture does not stop the others.

A picture goes through `_prepare` (read it, find the people; a video's frames go through
`_prepare_frames`), `_finish` (run the network on a batch
of several pictures) and `_save`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, count, islice, pairwise, repeat, tee
from pathlib import Path

import numpy as np

from hmr.errors import UserError
from hmr.files.images import LazyImage
from hmr.files.video import Video
from hmr.files.whole import make_folder, write_text, write_whole
from hmr.prediction import SMOOTHING
from hmr.prediction.between import between, with_ids
from hmr.prediction.inputs import PictureSource
from hmr.prediction.people import Detection, Detections, FoundPeople, PeopleSource, select
from hmr.prediction.predictor import Predictor
from hmr.prediction.result import SUMMARY_FILE, Body, Result
from hmr.prediction.summary import RunSummary
from hmr.prediction.writers.numbers import load_result
from hmr.prediction.writers.save import check_kinds, is_current, planned_files, save_result
from hmr.prediction.writers.video import STREAM_KINDS, VideoStreams

_MOST_LINES_SAID = 20
_MOST_LINES_KEPT = 10_000

# Pictures wait for a full batch until they hold this much memory: it bounds a run of large ones.
_MOST_BYTES_HELD = 200_000_000


@dataclass
class PictureTask:
    """A picture on its way through a run.

    Attributes:
        source: the picture, not read yet.
        fingerprint: of the settings and the file.
        image: (H, W, 3) uint8 RGB once it is read.
        detections: the people found in it.
        people: those of them that are wanted.
        result: the bodies once they are known; None where the picture failed.
        finished_before: whether an earlier run made the result.
        failure: why the picture cannot be read.
    """

    source: LazyImage
    fingerprint: str
    image: np.ndarray | None = None
    detections: Detections = field(default_factory=Detections)
    people: list[Detection] = field(default_factory=list)
    result: Result | None = None
    finished_before: bool = False
    failure: str | None = None

    def finish(self, bodies: list[Body], problems: list[str]) -> None:
        """Sets the result; `problems` has a line for each person without a body."""
        assert self.image is not None
        height, width = self.image.shape[:2]
        lines = (*self.detections.problems, *problems)
        name = self.source.name
        self.result = Result(name, height, width, bodies, self.image, self.fingerprint, lines)


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked for.

    Attributes:
        output: folder of the results.
        kinds: what to write, among `hmr.prediction.writers.save.KINDS`. The npz is always written:
            a resumed run reads it.
        person: one of `hmr.prediction.people.SELECTIONS`.
        settings: text of everything that changes the numbers. Results of the same settings and the
            same input file are not computed again.
        overwrite: compute everything again.
        find_every: in a video people are looked for in the first of so many frames and in the last
            one, and interpolated in the others, see `hmr.prediction.between`.
        smooth: strength with which a video's motion is smoothed, 0 to 1.
    """

    output: Path
    kinds: tuple[str, ...]
    person: str = "all"
    settings: str = ""
    overwrite: bool = False
    find_every: int = 1
    smooth: float = SMOOTHING

    def fingerprint(self, origin: Path | None) -> str:
        """Hash of the settings and the input file; empty for a camera, which never repeats."""
        if origin is None:
            return ""
        state = origin.stat() if origin.is_file() else None
        stamp = f"{origin.name}:{state.st_size}:{state.st_mtime_ns}" if state else origin.name
        text = f"{self.settings}|{self.person}|{stamp}"
        # A name that is no UTF-8 comes with surrogates in it.
        return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class PictureRun:
    """One run over pictures or a video.

    Args:
        predictor: the loaded model.
        people: where the people are.
        options: what to write, and where.
        say: prints one line without disturbing the progress bar.

    Raises:
        UserError: a kind needs the body's faces, and the model's body has none.
    """

    def __init__(
        self,
        predictor: Predictor,
        people: PeopleSource,
        options: RunOptions,
        say: Callable[[str], None] = print,
    ):
        check_kinds(options.kinds, predictor.body, of_video=True)
        self.predictor = predictor
        self.people = people
        self.options = options
        self.summary = RunSummary()
        self._kinds = tuple(dict.fromkeys(("npz", *options.kinds)))
        self._say = say
        self._watch = predictor.watch
        self._lines_said = 0

    def note(self, line: str) -> None:
        """Prints a line about the whole run, and keeps it for the summary."""
        self._report(self.summary.notes, line)

    def run(
        self, source: PictureSource, advance: Callable[[int], object] = lambda count: None
    ) -> RunSummary:
        """Works through the pictures, and writes their files and `prediction_summary.json`.

        Args:
            source: the pictures.
            advance: called with the number of pictures just done, for a progress bar.

        Raises:
            UserError: the output folder cannot be made or written to.
        """
        check_kinds(self.options.kinds, self.predictor.body, isinstance(source, Video))
        make_folder(self.options.output)
        if isinstance(source, Video):
            self._run_video(source, advance)
        else:
            for task in self._pictures(map(self._prepare, self._watch.each("read", source))):
                self._save(task, self._kinds)
                advance(1)
        self._write_summary()
        return self.summary

    def _run_video(self, video: Video, advance: Callable[[int], object]) -> None:
        streamed = tuple(kind for kind in self._kinds if kind in STREAM_KINDS)
        per_frame = tuple(kind for kind in self._kinds if kind not in STREAM_KINDS)
        base = self.options.output / video.stem
        streams = VideoStreams(
            base, streamed, self.predictor.body, video.rate, self._watch, self.options.smooth
        )
        live = None
        if isinstance(video.source, int) and self.options.smooth > 0:
            # Imports scipy.signal, which is slow to import, and pictures need not wait for it.
            from hmr.prediction.live import LiveSmoother

            live = LiveSmoother(self.predictor.model.smpl, self.options.smooth)
        try:
            check_sides = isinstance(self.people, FoundPeople)
            tasks = self._pictures(self._prepare_frames(video), check_sides)
            for index, task in enumerate(tasks):
                if live and task.result is not None:
                    task.result = live.calm(task.result, task.source.seconds)
                self._save(task, per_frame)
                if task.result is not None:
                    streams.add(self._with_image(task) if streams.draws else task.result, index)
                advance(1)
            streams.close()
        finally:
            streams.abandon()
        if video.problem:
            self._report(self.summary.problems, video.problem)

    def _pictures(
        self, tasks: Iterable[PictureTask], check_sides: bool = False
    ) -> Iterator[PictureTask]:
        """Finished pictures in the order of the input, computed in common batches."""
        waiting: list[PictureTask] = []
        for task in tasks:
            waiting.append(task)
            num_people = sum(len(task.people) for task in waiting)
            enough = max(num_people, len(waiting)) >= self.predictor.batch_size
            held_bytes = sum(task.image.nbytes for task in waiting if task.image is not None)
            if enough or held_bytes >= _MOST_BYTES_HELD:
                yield from self._finish(waiting, check_sides)
                waiting = []
        yield from self._finish(waiting, check_sides)

    def _prepare(self, source: LazyImage) -> PictureTask:
        task = self._open(source)
        if task.image is not None:
            with self._watch("find people"):
                found = self.people.find(source.name, task.image)
            self._place(task, found)
        return task

    def _prepare_frames(self, video: Video) -> Iterator[PictureTask]:
        """The frames with their people, who are looked for in the first of `find_every`.

        A second reader of the file looks for them some seconds ahead, from the start also where an
        earlier run finished frames, so that people get the same ids. Nobody looks ahead in a camera
        or where people are given.
        """
        every = self.options.find_every
        ahead = isinstance(self.people, FoundPeople) and isinstance(video.source, Path)
        frames, watched = (video, video) if ahead else tee(video)
        looks = map(self._look, _first_of(every, self._watch.each("read", watched)))
        pairs = pairwise(chain(with_ids(looks, ahead), repeat((np.inf, Detections()))))
        tasks = map(self._open, self._watch.each("read", frames))
        passed = 0
        for number in count():
            if not (held := list(islice(tasks, every))):
                return
            lacking = [task for task in held if task.image is not None]
            if lacking or not ahead:
                (start_s, before), (end_s, after) = next(islice(pairs, number - passed, None))
                passed = number + 1
            for task in lacking:
                share = (task.source.seconds - start_s) / (end_s - start_s)
                self._place(task, before if task is held[0] else between(before, after, share))
            yield from held

    def _look(self, frame: LazyImage) -> tuple[float, Detections, np.ndarray]:
        image = frame.load()
        with self._watch("find people"):
            return frame.seconds, self.people.find(frame.name, image), image

    def _place(self, task: PictureTask, found: Detections) -> None:
        task.detections, task.people = found, select(found.people, self.options.person)

    def _open(self, source: LazyImage) -> PictureTask:
        """A task with pixels; without them if an earlier run finished it or they cannot be read."""
        task = PictureTask(source, self.options.fingerprint(source.origin))
        if task.fingerprint and not self.options.overwrite:
            earlier = load_result(_npz_of(self._base(source)))
            if earlier is not None and earlier.fingerprint == task.fingerprint:
                task.result, task.finished_before = earlier, True
                return task
        try:
            with self._watch("read"):
                task.image = source.load()
        except UserError as error:
            task.failure = str(error)
        return task

    def _base(self, source: LazyImage) -> Path:
        return self.options.output / source.target

    def _finish(self, waiting: list[PictureTask], check_sides: bool) -> Iterator[PictureTask]:
        fresh = [(task, task.image) for task in waiting if task.image is not None]
        outcomes = self.predictor.predict_people(
            [(image, task.people) for task, image in fresh], check_sides=check_sides
        )
        for (task, _), (bodies, problems) in zip(fresh, outcomes, strict=True):
            task.finish(bodies, problems)
        for task in waiting:
            self._count(task)
            yield task

    def _count(self, task: PictureTask) -> None:
        summary, result = self.summary, task.result
        summary.pictures += 1
        if result is None:
            summary.failed += 1
            self._report(summary.problems, str(task.failure))
            return
        # Where nobody who was named could be estimated, nothing is predicted.
        done = bool(result.bodies) or not result.problems
        summary.failed += not done
        summary.finished_before += done and task.finished_before
        summary.predicted += done and not task.finished_before
        summary.count(result.bodies)
        summary.without_people += not result.bodies
        summary.left_out += len(result.problems)
        for problem in result.problems:
            self._report(summary.problems, f"{task.source.name}: {problem}")
        for note in task.detections.notes:
            self._report(summary.notes, f"{task.source.name}: {note}")

    def _save(self, task: PictureTask, kinds: tuple[str, ...]) -> None:
        """Writes a picture's files; after a resume only those missing or older than its npz."""
        if task.result is None:
            return
        base = self._base(task.source)
        plan = planned_files(base, task.result, kinds)
        since_ns = _npz_of(base).stat().st_mtime_ns if task.finished_before else None
        if not all(is_current(path, since_ns) for path in plan):
            result, body = self._with_image(task), self.predictor.body
            save_result(base, result, body, kinds, since_ns, self._watch)

    def _with_image(self, task: PictureTask) -> Result:
        """The result with its pixels, which are read only now if an earlier run made it."""
        assert task.result is not None
        if task.result.image is not None:
            return task.result
        # Not stored in the task, which stays in memory until the rest of its batch is done.
        with self._watch("read"):
            return dataclasses.replace(task.result, image=task.source.load())

    def _report(self, kept: list[str], line: str) -> None:
        """Keeps a line for the summary, and prints it if it is among the first of the run."""
        if len(kept) < _MOST_LINES_KEPT:
            kept.append(line)
        self._lines_said += 1
        if self._lines_said <= _MOST_LINES_SAID:
            self._say(line)
        elif self._lines_said == _MOST_LINES_SAID + 1:
            self._say(f"... further lines are in {self.options.output / SUMMARY_FILE} only")

    def _write_summary(self) -> None:
        seconds = {stage: round(value, 3) for stage, value in self._watch.seconds.items()}
        content = {**dataclasses.asdict(self.summary), "seconds": seconds}
        write_text(self.options.output / SUMMARY_FILE, json.dumps(content, indent=1))


def _first_of(every: int, frames: Iterable[LazyImage]) -> Iterator[LazyImage]:
    """The first of each `every` frames, and the last one of all."""
    index = 0
    for index, frame in enumerate(frames):
        if index % every == 0:
            yield frame
    if index % every:
        yield frame


def _npz_of(base: Path) -> Path:
    return base.with_name(f"{base.name}.npz")


def predict_crops_file(
    predictor: Predictor,
    crops: np.ndarray,
    output: Path,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> dict[str, np.ndarray]:
    """The network's outputs for raw inputs, to compare with other implementations.

    Args:
        predictor: the loaded model.
        crops: (N, S, S, 3) float32 in [-1, 1]; may be a memory map.
        output: npz file of the outputs, under their names in `Predictor.predict_crops`.
        progress: wraps the batches, for a progress bar.

    Raises:
        UserError: shape or type do not fit the model, or a value is not finite.
    """
    parts = []
    for start in progress(range(0, len(crops), predictor.batch_size)):
        batch = np.ascontiguousarray(crops[start : start + predictor.batch_size])
        if batch.dtype.kind == "f" and not np.isfinite(batch).all():
            raise UserError(f"crops {start} to {start + len(batch) - 1}: a value is not finite")
        parts.append(predictor.predict_crops(batch))
    outputs = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    write_whole(output, lambda file: np.savez(file, **outputs))  # type: ignore[arg-type]
    return outputs
