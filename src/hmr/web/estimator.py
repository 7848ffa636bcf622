"""What the page's buttons do, without Gradio: opens photos, estimates bodies, keeps the files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.errors import UserError, printable
from hmr.files.images import read_image
from hmr.prediction.predictor import Predictor
from hmr.prediction.result import Body, Result
from hmr.prediction.writers.save import KINDS, save_result
from hmr.rendering.draw import shrink_to_fit

Box = tuple[float, float, float, float]

# Photos are drawn on as they are shown: a person of a tall photo must fit on the screen.
SHOWN_WIDTH_PX, SHOWN_HEIGHT_PX = 1280, 560
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
    """What the page shows and offers of one person's body.

    Attributes:
        overlay: the bodies over the photo, as large as `Photo.shown`.
        seen_from: where they begin, per cent of the photo's width.
        scene: everyone's meshes for the page to turn, a glb.
        files: every kind to download, the scene among them.
        about: how many people, and which of them are uncertain, and why.
    """

    overlay: np.ndarray
    seen_from: float
    scene: Path
    files: list[Path]
    about: str


def open_photo(path: str | Path) -> Photo:
    """Reads a photo.

    Raises:
        UserError: it is no picture, damaged, or too large.
    """
    path = Path(path)
    try:
        image = read_image(path)
    except UserError as error:
        # The user knows the file's name, but not the folder that Gradio uploaded it to.
        raise UserError(str(error).replace(printable(str(path)), printable(path.name))) from error
    return Photo(path.name, image, shrink_to_fit(image, SHOWN_WIDTH_PX, SHOWN_HEIGHT_PX))


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
            shown, _seen_from(bodies, width), by_ending["_scene.glb"], files, _about(bodies)
        )


def _seen_from(bodies: Sequence[Body], width: int) -> float:
    """The left end of the bodies in a picture so many pixels wide, per cent, 2 % beside them."""
    left_px = min(float(body.vertices_px[:, 0].min()) for body in bodies)
    return min(max(100 * left_px / width - 2, 0), 50)


def _about(bodies: Sequence[Body]) -> str:
    unsure = [(number, body.doubts) for number, body in enumerate(bodies, start=1) if body.doubts]
    told = "; ".join(f"person {number} ({', '.join(reasons)})" for number, reasons in unsure)
    people = f"{len(bodies)} {'person' if len(bodies) == 1 else 'people'}"
    return f"{people}, {len(unsure)} uncertain: {told}." if unsure else f"{people}."


def discard(made: PageResult | None) -> None:
    """Removes the files of a result that nobody looks at any more.

    No method of `Estimator`: Gradio copies what it calls back to at every visit, the network too.
    """
    if made is not None:
        shutil.rmtree(made.scene.parent, ignore_errors=True)
