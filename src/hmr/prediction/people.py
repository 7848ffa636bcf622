"""Where the people of a picture are: found in it, the whole picture, given boxes, or files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from hmr.body.joints import COCO17, COCOPLUS, take_joints
from hmr.errors import UserError
from hmr.files.coco_json import SIZE_UNKNOWN, Size
from hmr.files.images import orientation_of
from hmr.finding.finder import Finder
from hmr.geometry.crop import CropBox, box_from_image, box_from_keypoints, box_from_xywh

# Keypoints at or below this confidence do not count; the original's threshold.
MIN_SCORE = 0.2
# How the people are found if nobody says where they are.
FINDERS = ("multipose", "none")
# In a video people are looked for in every so many frames. Held frames cost memory.
FIND_EVERY, MOST_FRAMES_BETWEEN = 5, 60
SELECTIONS = ("all", "best", "largest")
_MUCH_OUTSIDE = 0.3
# EXIF orientation that exchanges the sides -> whether x, and y, then count from the other side.
_TURNED = {5: (False, False), 6: (True, False), 7: (True, True), 8: (False, True)}


class NoKeypointsError(UserError):
    """An entry labels nobody's keypoints, as many of COCO's do: worth a note, no failure."""


@dataclass(frozen=True)
class Detection:
    """One person whose body is to be estimated.

    Attributes:
        box: the square that the network sees.
        rectangle_px: (4,) left, top, width, height of the person (or their keypoints).
        score: the source's confidence, 1 where it has none.
        label: the person's id in the source, or their number in the picture.
        identified: whether the label is an id, the same in every frame of a video.
        shares: (K, 3) keypoints with x, y from 0 to 1 across the picture, if the source has them
            so. `check_against_picture` makes pixels of them; until then `box` is none.
        keypoints2d_px: (19, 3) cocoplus x, y, confidence, 0 where it does not count; None where the
            source has no keypoints, or in an order that is not known.
    """

    box: CropBox
    rectangle_px: np.ndarray
    score: float = 1.0
    label: str = "0"
    shares: np.ndarray | None = None
    keypoints2d_px: np.ndarray | None = None
    identified: bool = False


@dataclass
class Detections:
    """The people of one picture.

    Attributes:
        people: the usable ones.
        problems: one line for each person left out, with the reason.
        notes: warnings about people who are kept, or why there are none.
    """

    people: list[Detection] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def extend(self, other: Detections) -> None:
        """Adds what another source says of the same picture."""
        self.people += other.people
        self.problems += other.problems
        self.notes += other.notes


class PeopleSource(Protocol):
    """Says where the people of a picture are, by its name or its pixels."""

    def find(self, name: str, image: np.ndarray) -> Detections:
        """The people of a picture.

        Args:
            name: its path, or `<video>_<frame, 12 digits>`.
            image: (H, W, 3) uint8 RGB.
        """
        ...


def from_rectangle(rectangle: Sequence[float], score: float = 1.0, label: str = "0") -> Detection:
    """A person from left, top, width, height in pixels.

    Raises:
        UserError: there are not four finite numbers, or width or height is not positive.
    """
    try:
        numbers = np.asarray(rectangle, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"a box is four numbers x,y,w,h, got {rectangle!r:.60}") from error
    if numbers.shape != (4,):
        raise UserError(f"a box is four numbers x,y,w,h, got {np.asarray(rectangle).tolist()}")
    if (np.abs(numbers) <= 1).all() and (numbers[2:] > 0).all():
        raise UserError(f"a box is x,y,w,h in pixels, got shares of the picture: {rectangle}")
    return Detection(box_from_xywh(*numbers), numbers, float(score), label)


def from_keypoints(
    keypoints: np.ndarray,
    min_score: float = MIN_SCORE,
    label: str = "0",
    score: float | None = None,
    order: tuple[str, ...] | None = None,
) -> Detection:
    """A person from (K, 3) keypoints x, y, confidence, by the original's rule.

    Args:
        keypoints: picture pixels and confidence; or, as OpenPose's keypoint_scale 3 has them,
            shares of the picture. Coordinates that are all within 1 are taken for shares, since
            nobody fits into one pixel.
        min_score: keypoints at or below it do not count.
        label: the person's id.
        score: of the person; the mean confidence of the keypoints that count if None.
        order: names of the keypoints; COCO's for 17 of them if None, else not known.

    Raises:
        NoKeypointsError: none has a confidence above 0.
        UserError: the shape is another, no keypoint counts, they all lie in one point, or go from
            -1 to 1 (keypoint_scale 4).
    """
    try:
        points = np.asarray(keypoints, np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"keypoints must be (K, 3) numbers: {error}") from error
    if points.ndim != 2 or points.shape[1] != 3 or not len(points):
        raise UserError(
            f"keypoints of a person must be (K, 3) x, y, confidence. Received: shape {points.shape}"
        )
    counted = np.isfinite(points).all(axis=1) & (points[:, 2] > min_score)
    if not counted.any():
        best = np.nanmax(points[:, 2], initial=0.0)
        if not best > 0:
            raise NoKeypointsError("no keypoint is labelled")
        hint = f"--min_score {best * 0.7:.2g} would keep them"
        raise UserError(f"no keypoint above score {min_score} (best {best:.2g}); {hint}")
    box = box_from_keypoints(points[:, :2], counted)
    low, high = points[counted, :2].min(axis=0), points[counted, :2].max(axis=0)
    mean = float(points[counted, 2].mean()) if score is None else float(score)
    in_shares = bool((np.abs(points[counted, :2]) <= 1).all())
    if in_shares and low.min() < 0:
        raise UserError(
            "keypoints from -1 to 1 (OpenPose's keypoint_scale 4) cannot be told from those from 0 "
            "to 1; expected pixels (keypoint_scale 0), or 0 to 1 (keypoint_scale 3)"
        )
    shares = points[counted] if in_shares else None
    rectangle = np.concatenate([low, high - low])
    order = COCO17 if order is None and len(points) == len(COCO17) else order
    named = None
    if order:
        named = take_joints(np.where(counted[:, None], points, 0), order, COCOPLUS)
    return Detection(box, rectangle, mean, label, shares, named)


def select(people: list[Detection], which: str) -> list[Detection]:
    """All people, the one with the best score, or the one with the largest box."""
    if which == "all" or not people:
        return people
    if which not in SELECTIONS:
        raise UserError(f"--person is one of {', '.join(SELECTIONS)}, got {which!r}")
    value = (lambda person: person.score) if which == "best" else (lambda p: 1 / p.box.scale)
    return [max(people, key=value)]


def check_against_picture(found: Detections, image: np.ndarray) -> Detections:
    """Drops boxes outside the picture, and notes those that are far (over 30 %) outside it."""
    height, width = image.shape[:2]
    kept = Detections(problems=list(found.problems), notes=list(found.notes))
    for given in found.people:
        person = _in_pixels(given, height, width)
        outside = _part_outside(person.rectangle_px, height, width)
        if outside >= 1:
            box = ", ".join(f"{value:g}" for value in person.rectangle_px)
            kept.problems.append(
                f"person {person.label}: box {box} lies outside the picture of {width} x {height} "
                "pixels: skipped"
            )
            continue
        if outside > _MUCH_OUTSIDE:
            kept.notes.append(
                f"person {person.label}: {outside:.0%} of the box lies outside the picture: "
                "the body there is a guess"
            )
        kept.people.append(person)
    return kept


def _in_pixels(person: Detection, height: int, width: int) -> Detection:
    """The person with keypoints that were shares of the picture in its pixels."""
    if person.shares is None:
        return person
    pixels = person.shares * (width, height, 1)
    named = person.keypoints2d_px
    placed = from_keypoints(pixels, -np.inf, person.label, person.score)
    named = None if named is None else named * (width, height, 1)
    known = person.identified
    return replace(placed, shares=None, keypoints2d_px=named, identified=known)


def _part_outside(rectangle: np.ndarray, height: int, width: int) -> float:
    """The share of a rectangle's area outside the picture; of its length if it has no area."""
    low, extent = rectangle[:2], rectangle[2:]
    inside = np.minimum(low + extent, (width, height)) - np.maximum(low, 0)
    if (inside < 0).any() or ((inside == 0) & (extent > 0)).any():
        return 1.0
    parts = inside[extent > 0] / extent[extent > 0]
    return float(1 - parts.prod())


def in_upright_picture(found: Detections, name: str, image: np.ndarray, size: Size) -> Detections:
    """Carries people who were labelled on the stored picture over to the upright one.

    They differ where the picture's EXIF says that it is to be turned.

    Args:
        found: the people.
        name: path of the picture.
        image: (H, W, 3), upright.
        size: of the picture on which they were labelled, as their file says.

    Returns:
        the people in pixels of `image`; with a note where no turn explains the sizes.
    """
    height, width = image.shape[:2]
    if size in (SIZE_UNKNOWN, (width, height)):
        return found
    turn = _TURNED.get(orientation_of(Path(name), name)) if size == (height, width) else None
    if turn is not None:
        people = [_turned(person, turn, (width, height)) for person in found.people]
        return replace(found, people=people)
    note = (
        f"labelled on a picture of {size[0]} x {size[1]} pixels, this one has {width} x {height}: "
        "people may lie elsewhere"
    )
    return replace(found, notes=[*found.notes, note])


def _turned(person: Detection, turn: tuple[bool, bool], size: Size) -> Detection:
    """A person of the stored picture in the upright one of this size."""
    extent = np.array(size) if person.shares is None else np.ones(2)

    def place(points: np.ndarray) -> np.ndarray:
        return np.where(turn, extent - points[..., ::-1], points[..., ::-1])

    def place_seen(points: np.ndarray | None) -> np.ndarray | None:
        if points is None:
            return None
        seen = points[:, 2:] > 0
        return np.column_stack([np.where(seen, place(points[:, :2]), 0), points[:, 2]])

    low, extents = person.rectangle_px[:2], person.rectangle_px[2:]
    corners = place(np.array([low, low + extents]))
    return replace(
        person,
        box=replace(person.box, center_px=place(person.box.center_px)),
        rectangle_px=np.concatenate([corners.min(axis=0), np.ptp(corners, axis=0)]),
        shares=place_seen(person.shares),
        keypoints2d_px=place_seen(person.keypoints2d_px),
    )


class WholePicture:
    """Every picture holds one person, who fills it."""

    def find(self, name: str, image: np.ndarray) -> Detections:
        """The picture's own rectangle."""
        height, width = image.shape[:2]
        rectangle = np.array([0, 0, width, height], np.float64)
        box = box_from_image(height, width)
        return Detections([Detection(box, rectangle, identified=True)])


class FoundPeople:
    """Everyone whom the finder sees; their keypoints say what is cut out, as given ones do.

    Args:
        finder: looks at the pictures.
        min_score: people, and keypoints, at or below it do not count.
    """

    def __init__(self, finder: Finder, min_score: float = MIN_SCORE):
        self._finder, self._min_score = finder, min_score

    def find(self, name: str, image: np.ndarray) -> Detections:
        """The people in the picture, the surest first."""
        found = Detections()
        for person in self._finder.find(image, self._min_score):
            label = str(len(found.people))
            try:
                found.people.append(
                    from_keypoints(person.keypoints_px, self._min_score, label, person.score)
                )
            except UserError as error:
                found.notes.append(f"somebody is seen too faintly: {error}")
        if not found.people:
            found.notes.append(
                "nobody found (threshold --min_score; --find none takes the whole picture)"
            )
        return found


class SamePeople:
    """The same boxes for every picture: given on the command line, or of a fixed camera.

    Args:
        found: the people.
        notes: what their file holds that is not used.
    """

    def __init__(self, found: Detections, notes: Sequence[str] = ()):
        self._found, self.notes = found, notes

    def find(self, name: str, image: np.ndarray) -> Detections:
        """The boxes that touch the picture."""
        return check_against_picture(self._found, image)


def detections_from_boxes(boxes: Iterable[Sequence[float]]) -> Detections:
    """Rows of x, y, w, h -> people numbered from 0; unusable rows become problems."""
    found = Detections()
    for index, box in enumerate(boxes):
        try:
            person = from_rectangle(box, label=str(index))
            found.people.append(replace(person, identified=True))
        except UserError as error:
            found.problems.append(f"person {index}: {error}")
    return found
