"""What the page's buttons do, without Gradio: opens files, estimates bodies, keeps the results."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from hmr.errors import UserError, printable
from hmr.files.content import content_of_file
from hmr.files.images import read_image
from hmr.files.video import Video, open_video
from hmr.finding.finder import Finder
from hmr.prediction.people import FIND_EVERY, FoundPeople
from hmr.prediction.predictor import Predictor
from hmr.prediction.result import SUMMARY_FILE, Body, Result
from hmr.prediction.run import PictureRun, RunOptions
from hmr.prediction.writers.save import KINDS, save_result
from hmr.rendering.draw import shrink_to_fit

Box = tuple[float, float, float, float]

# Photos are drawn on as they are shown: a person of a tall photo must fit on the screen.
SHOWN_WIDTH_PX, SHOWN_HEIGHT_PX = 1280, 560
MOST_FRAMES, MOST_FRAME_PIXELS = 600, 10_000_000
SAMPLES_FOLDER = Path(__file__).parent / "samples"
# Held-out people of the stand-in data, with their boxes: left, top, width, height in pixels.
SAMPLES: dict[str, Box] = {
    "striding.jpg": (226, 159, 120, 159),
    "standing.jpg": (132, 156, 96, 172),
    "turning.jpg": (265, 169, 88, 160),
}


@dataclass(frozen=True)
class Photo:
    """An opened photo.

    Attributes:
        name: of the file, without its folder.
        image: (H, W, 3) uint8 RGB.
        shown: the same, within 1280 x 560 px, for the page.
    """

    name: str
    image: np.ndarray
    shown: np.ndarray

    @property
    def ratio(self) -> float:
        """Shown pixels per photo pixel."""
        return self.shown.shape[1] / self.image.shape[1]


@dataclass(frozen=True)
class PageResult:
    """What the page shows and offers of a photo or a video.

    Attributes:
        shown: everyone's meshes to turn, a glb; of a video the player of their motion, an html.
        files: every kind to download, `shown` among them; all in a folder of their own.
        about: how many people, and which of them are uncertain, and why.
        overlay: the bodies over the photo, as large as `Photo.shown`.
        seen_from: where they begin, per cent of the photo's width.
    """

    shown: Path
    files: list[Path]
    about: str
    overlay: np.ndarray | None = None
    seen_from: float = 0


def open_photo(path: str | Path) -> Photo:
    """Reads a photo.

    Raises:
        UserError: it is no picture, damaged, or too large.
    """
    path = Path(path)
    try:
        image = read_image(path)
    except UserError as error:
        raise UserError(_without_folder(str(error), path)) from error
    return Photo(path.name, image, shrink_to_fit(image, SHOWN_WIDTH_PX, SHOWN_HEIGHT_PX))


def _without_folder(text: str, path: Path) -> str:
    """The user knows the file's name, but not the folder that Gradio uploaded it to."""
    return text.replace(printable(str(path)), printable(path.name)).replace(str(path), path.name)


def box_of_drawing(drawn: Sequence[Mapping[str, float]], photo: Photo) -> Box | None:
    """The rectangle drawn on `photo.shown` in pixels of the photo; None if nothing is drawn.

    Args:
        drawn: at most one rectangle as xmin, ymin, xmax, ymax.
        photo: the photo that the rectangle was drawn on.
    """
    if not drawn:
        return None
    left, top, right, bottom = (
        float(drawn[0][key]) / photo.ratio for key in ("xmin", "ymin", "xmax", "ymax")
    )
    return left, top, right - left, bottom - top


def drawing_of_box(box: Box, photo: Photo) -> dict[str, int]:
    """The inverse of `box_of_drawing`, in whole pixels."""
    left, top, width, height = (value * photo.ratio for value in box)
    corners = {"xmin": left, "ymin": top, "xmax": left + width, "ymax": top + height}
    return {key: round(value) for key, value in corners.items()}


class Estimator:
    """A loaded model, and the folder that its results are written to.

    Args:
        predictor: the loaded model; its body needs faces.
        folder: gets a subfolder for each result.
    """

    def __init__(self, predictor: Predictor, folder: Path):
        self._predictor = predictor
        self._folder = folder

    def estimate(self, photo: Photo, box: Box | None, match: bool = True) -> PageResult:
        """Estimates one person's body and writes its files.

        Args:
            photo: shows the person.
            box: around the person, pixels of the photo; None to find everyone.
            match: move bodies onto the keypoints that were found; a box alone has none.

        Raises:
            UserError: the box is unusable, or the estimated camera shows nothing.
        """
        bodies = self._predictor.predict(photo.image, None if box is None else [box], fit=match)
        if not bodies:
            raise UserError(f"nobody found in {photo.name}: drag a box around one person")
        height, width = photo.image.shape[:2]
        result = Result(photo.name, height, width, bodies, photo.image)
        base = Path(tempfile.mkdtemp(dir=self._folder)) / Path(photo.name).stem
        files = save_result(base, result, self._predictor.body, KINDS)
        by_ending = {file.name.removeprefix(base.name): file for file in files}
        overlay = read_image(by_ending["_overlay.png"])
        shown = shrink_to_fit(overlay, SHOWN_WIDTH_PX, SHOWN_HEIGHT_PX)
        return PageResult(
            by_ending["_scene.glb"], files, _about(bodies), shown, _seen_from(bodies, width)
        )

    def estimate_video(
        self, path: str | Path, advance: Callable[[int, int], object] = lambda done, total: None
    ) -> PageResult:
        """Estimates the motion of everybody in a video, as predict does, and writes its files.

        Args:
            path: of the video.
            advance: called with the number of frames that are done, and of all.

        Raises:
            UserError: it is no video, its frames are too large, or nobody is found.
        """
        path = Path(path)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        try:
            return self._follow(path, folder, advance)
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, UserError):
                raise UserError(_without_folder(str(error), path)) from error
            raise

    def _follow(self, path: Path, folder: Path, advance: Callable) -> PageResult:
        video, done = _open_video(path), itertools.count(1)
        run = PictureRun(
            self._for_videos, self._finder, RunOptions(folder, ("motion",), find_every=FIND_EVERY),
            lambda line: None,
        )  # fmt: skip
        summary = run.run(video, lambda count: advance(next(done), len(video)))
        (folder / SUMMARY_FILE).unlink()
        shutil.rmtree(folder / path.stem, ignore_errors=True)  # the numbers of each frame
        files = sorted(folder.iterdir())
        if not files:
            raise UserError("; ".join(summary.problems) or f"nobody found in {path.name}")
        number = sum(file.name.endswith("_poses.npz") for file in files)
        told = [f"{_people(number)} in {summary.pictures} frames.", *summary.problems]
        player = folder / f"{path.stem}_motion.html"
        return PageResult(player, files, _without_folder(" ".join(told), path))

    @cached_property
    def _for_videos(self) -> Predictor:
        return Predictor(self._predictor.model)

    @cached_property
    def _finder(self) -> FoundPeople:
        return FoundPeople(Finder())


def _open_video(path: Path) -> Video:
    """The beginning of a video. Playlists and the like, which name other files, are refused."""
    content = content_of_file(path)
    if content is None or not content.is_video:
        raise UserError(f"{path} is not a video that can be read")
    capture = open_video(path)
    pixels = capture.get(cv2.CAP_PROP_FRAME_WIDTH) * capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
    capture.release()
    if pixels > MOST_FRAME_PIXELS:
        raise UserError(f"{path}: its frames have more than {MOST_FRAME_PIXELS:,} pixels")
    return Video(path, MOST_FRAMES)


def _seen_from(bodies: Sequence[Body], width: int) -> float:
    """The left end of the bodies in a picture so many pixels wide, per cent, 2 % beside them."""
    left_px = min(float(body.vertices_px[:, 0].min()) for body in bodies)
    return min(max(100 * left_px / width - 2, 0), 50)


def _about(bodies: Sequence[Body]) -> str:
    unsure = [(number, body.doubts) for number, body in enumerate(bodies, start=1) if body.doubts]
    told = "; ".join(f"person {number} ({', '.join(reasons)})" for number, reasons in unsure)
    people = _people(len(bodies))
    return f"{people}, {len(unsure)} uncertain: {told}." if unsure else f"{people}."


def _people(number: int) -> str:
    return f"{number} {'person' if number == 1 else 'people'}"


def discard(made: PageResult | None) -> None:
    """Removes the files of a result that nobody looks at any more.

    Not a method of `Estimator`: Gradio copies a callback at every visit, and its network with it.
    """
    if made is not None:
        shutil.rmtree(made.shown.parent, ignore_errors=True)
