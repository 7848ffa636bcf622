"""Finds everyone in a picture: boxes, 17 COCO keypoints and scores, by MoveNet MultiPose.

Three looks, from coarse to fine:

1. the whole picture, its longer side made 512 px;
2. where it shows six people or small ones, its four overlapping quarters, and so on into them;
   doubles, which several looks have seen, are told by their keypoints' similarity (OKS);
3. each person once more from near, straight and mirrored; keypoints are the mean of these looks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hmr.body.joints import COCO17_FLIP
from hmr.errors import UserError
from hmr.files.safe_npz import load_npz
from hmr.files.shipped import find_shipped
from hmr.geometry.oks import oks

if TYPE_CHECKING:
    from hmr.finding.movenet import MoveNet

WEIGHTS = Path("models/finder/movenet_multipose.npz")
MIN_SCORE = 0.2

LOOK_PX = 512
# The size and margin of MoveNet's own crops around one person.
_CLOSE_LOOK_PX = 192
_CLOSE_MARGIN = 1.25
INPUT_MULTIPLE = 32
_BATCH = 8
# As many people as one pass of the network sees.
_FULL = 6
# People below this part of a look's longer side are looked for in its quarters.
_SMALL = 1 / 6
# A quarter's sides relative to its region's: people below 0.2 of the region lie whole in one.
_QUARTER = 0.6
# How sure a look must be of somebody to be worth a closer one.
_HINT_SCORE = 0.1
_SAME_PERSON_OKS = 0.5


@dataclass(frozen=True)
class FoundPerson:
    """One person in a picture.

    Attributes:
        keypoints_px: (17, 3) x, y in pixels of the picture and score, COCO's order.
        rectangle_px: (4,) left, top, width, height; pixels of the picture.
        score: 0 to 1.
    """

    keypoints_px: np.ndarray
    rectangle_px: np.ndarray
    score: float


@dataclass(frozen=True)
class Region:
    """A rectangle of whole pixels of a picture."""

    left: int
    top: int
    width: int
    height: int

    @property
    def longer_px(self) -> int:
        """Its longer side."""
        return max(self.width, self.height)

    @property
    def middle(self) -> np.ndarray:
        """(2,) x, y."""
        return np.array([self.left + self.width / 2, self.top + self.height / 2])

    def quarters(self) -> list[Region]:
        """Four overlapping regions in its corners."""
        width, height = (int(np.ceil(_QUARTER * side)) for side in (self.width, self.height))
        return [
            Region(left, top, width, height)
            for top in (self.top, self.top + self.height - height)
            for left in (self.left, self.left + self.width - width)
        ]

    def cuts(self, person: FoundPerson, picture: Region) -> bool:
        """Whether a side that is not the picture's own runs through the person."""
        low = person.rectangle_px[:2]
        high = low + person.rectangle_px[2:]
        near = 0.01 * self.longer_px
        ends = (
            (low, (self.left, self.top), (0, 0), -1),
            (high, self._far_corner(), picture._far_corner(), 1),
        )
        return any(
            bool(np.any(side * (point - own) > -near, where=np.not_equal(own, outer)))
            for point, own, outer, side in ends
        )

    def _far_corner(self) -> tuple[int, int]:
        return self.left + self.width, self.top + self.height


class Finder:
    """Finds people; the network is loaded when it is first used.

    Args:
        weights: of MoveNet MultiPose; those that the project ships if None.

    Raises:
        UserError: there are no weights.
    """

    def __init__(self, weights: str | os.PathLike | None = None):
        self._weights = weights_file() if weights is None else Path(weights)

    @cached_property
    def _network(self) -> MoveNet:
        from hmr.finding.movenet import MoveNet

        return MoveNet(load_npz(self._weights), _FULL)

    def find(self, image: np.ndarray, min_score: float = MIN_SCORE) -> list[FoundPerson]:
        """Everyone in a picture, the surest first.

        Args:
            image: (H, W, 3) uint8 RGB.
            min_score: people at or below it do not count.
        """
        people = without_doubles(self._search(image))
        sure = [person for person in people if person.score > min_score]
        return without_doubles(self._look_closer(image, sure))

    def _search(self, image: np.ndarray) -> list[FoundPerson]:
        """The looks at the picture and its quarters; people at quarters' borders are left out."""
        picture = Region(0, 0, image.shape[1], image.shape[0])
        size = _input_size(picture)
        found: list[FoundPerson] = []
        regions = [picture]
        while regions:
            inputs = (_input(image, region, size) for region in regions)
            closer = []
            for region, people in zip(regions, self._look(inputs, regions, size), strict=True):
                found += [person for person in people if not region.cuts(person, picture)]
                closer += _worth_a_closer_look(region, people, picture)
            regions = closer
        return found

    def _look(
        self, inputs: Iterable[np.ndarray], regions: Sequence[Region], size: tuple[int, int]
    ) -> list[list[FoundPerson]]:
        """Whom the network sees in each input, the region scaled to fit `size` (height, width)."""
        seen: list[list[FoundPerson]] = []
        for chunk in _batches(zip(inputs, regions, strict=True)):
            batch = self._network(np.stack([pixels for pixels, _ in chunk]))
            for index, (_, region) in enumerate(chunk):
                rows = zip(
                    batch.keypoints_px[index], batch.corners_px[index], batch.scores[index],
                    strict=True,
                )  # fmt: skip
                scale = _scale(region, size)
                people = [_person(*row, region, scale) for row in rows if row[2] > _HINT_SCORE]
                seen.append(people)
        return seen

    def _look_closer(self, image: np.ndarray, people: list[FoundPerson]) -> list[FoundPerson]:
        """The same people with keypoints from near."""
        size = (_CLOSE_LOOK_PX, _CLOSE_LOOK_PX)
        regions = [_around(person, image.shape) for person in people]
        inputs = [_input(image, region, size) for region in regions]
        mirrored = [pixels[:, ::-1] for pixels in inputs]
        looks = self._look([*inputs, *mirrored], [*regions, *regions], size)
        closer = []
        for index, (person, region) in enumerate(zip(people, regions, strict=True)):
            # A mirrored input shows x where 2 * left + width - x lies.
            ends = 2 * region.left + _CLOSE_LOOK_PX / _scale(region, size)
            far = [_mirrored(other, ends) for other in looks[len(people) + index]]
            closer.append(_mean_of_looks(person, looks[index], far))
        return closer


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    return iter(lambda: list(islice(iterator, _BATCH)), [])


def weights_file() -> Path:
    """MoveNet's weights, in the working directory or shipped with the package.

    Raises:
        UserError: there are none.
    """
    path = find_shipped(WEIGHTS)
    if path.is_file():
        return path
    raise UserError(
        f"the weights that find people are missing: expected {WEIGHTS}, here or in the package. "
        "They are part of the repository: git checkout models/finder. Or say where the people "
        "are (--boxes, --keypoints), or that one person fills each picture (--find none)."
    )


def _input_size(picture: Region) -> tuple[int, int]:
    """(height, width) of the network's input, multiples of 32, that hold the scaled picture."""
    scale = LOOK_PX / picture.longer_px
    height, width = (
        int(np.ceil(side * scale / INPUT_MULTIPLE)) * INPUT_MULTIPLE
        for side in (picture.height, picture.width)
    )
    return height, width


def _scale(region: Region, size: tuple[int, int]) -> float:
    return min(size[0] / region.height, size[1] / region.width)


def _input(image: np.ndarray, region: Region, size: tuple[int, int]) -> np.ndarray:
    """A region scaled into the upper left of a black (height, width, 3)."""
    import cv2

    bottom, right = region.top + region.height, region.left + region.width
    cut = image[region.top : bottom, region.left : right]
    scale = _scale(region, size)
    height, width = (max(round(side * scale), 1) for side in (region.height, region.width))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((*size, 3), np.uint8)
    canvas[:height, :width] = cv2.resize(cut, (width, height), interpolation=how)
    return canvas


def _person(
    keypoints: np.ndarray, corners: np.ndarray, score: float, region: Region, scale: float
) -> FoundPerson:
    """From pixels of the network's input to pixels of the picture."""
    origin = np.array([region.left, region.top], np.float64)
    points = np.concatenate([keypoints[:, :2] / scale + origin, keypoints[:, 2:]], axis=1)
    low = corners[:2] / scale + origin
    extent = (corners[2:] - corners[:2]) / scale
    return FoundPerson(points, np.concatenate([low, extent]), float(score))


def _worth_a_closer_look(
    region: Region, people: list[FoundPerson], picture: Region
) -> list[Region]:
    """The quarters to look into: those with small people; all if the region is full or empty."""
    if region.longer_px <= LOOK_PX:
        return []  # enlarged pixels tell no more
    quarters = region.quarters()
    if len(people) >= _FULL or (region == picture and not people):
        return quarters
    small = [p for p in people if p.rectangle_px[2:].max() < _SMALL * region.longer_px]
    return [quarter for quarter in quarters if any(_nearest(p, quarters) == quarter for p in small)]


def _nearest(person: FoundPerson, regions: list[Region]) -> Region:
    """The region whose middle is nearest to that of the person."""
    middle = person.rectangle_px[:2] + person.rectangle_px[2:] / 2
    return min(regions, key=lambda region: float(np.linalg.norm(region.middle - middle)))


def similarity(person: FoundPerson, others: Sequence[FoundPerson]) -> np.ndarray:
    """(len(others),) OKS of one person's keypoints with others', relative to the smaller box."""
    points = np.stack([other.keypoints_px[:, :2] for other in others])
    areas = [other.rectangle_px[2:].prod() for other in others]
    area = np.minimum(areas, person.rectangle_px[2:].prod())
    return oks(points, person.keypoints_px[:, :2], area, np.ones(points.shape[:2], bool))


def without_doubles(people: list[FoundPerson]) -> list[FoundPerson]:
    """Of several people whose keypoints agree, the surest one alone; all sorted by score.

    Two looks at one person may take the front for the back: left and right do not count here.
    """
    kept: list[FoundPerson] = []
    for person in sorted(people, key=lambda person: -person.score):
        turned = replace(person, keypoints_px=person.keypoints_px[COCO17_FLIP])
        alike = [similarity(who, kept).max() for who in (person, turned) if kept]
        if max(alike, default=0.0) <= _SAME_PERSON_OKS:
            kept.append(person)
    return kept


def _around(person: FoundPerson, shape: tuple[int, ...]) -> Region:
    """A square about a person, as far as it lies in the picture."""
    left, top, width, height = person.rectangle_px
    half = max(width, height) * _CLOSE_MARGIN / 2
    middle = np.array([left + width / 2, top + height / 2])
    end = np.array([shape[1], shape[0]])
    low = np.clip(np.floor(middle - half), 0, end - 1).astype(int)
    high = np.clip(np.ceil(middle + half), low + 1, end).astype(int)
    return Region(*low.tolist(), *(high - low).tolist())


def _mirrored(person: FoundPerson, width: float) -> FoundPerson:
    """A person with x as `width` - x, and left and right exchanged."""
    keypoints = person.keypoints_px[COCO17_FLIP] * [-1, 1, 1] + [width, 0, 0]
    left, top, box_width, box_height = person.rectangle_px
    rectangle = np.array([width - left - box_width, top, box_width, box_height])
    return FoundPerson(keypoints, rectangle, person.score)


def _mean_of_looks(person: FoundPerson, *looks: list[FoundPerson]) -> FoundPerson:
    """A person's keypoints and those of the most similar person in each look, weighted by score."""
    views = [person.keypoints_px]
    for others in looks:
        if others:
            alike = similarity(person, others)
            if alike.max() > _SAME_PERSON_OKS:
                views.append(others[int(alike.argmax())].keypoints_px)
    seen = np.stack(views)  # (V, 17, 3)
    weights = seen[..., 2:] + 1e-3
    points = (seen[..., :2] * weights).sum(axis=0) / weights.sum(axis=0)
    keypoints = np.concatenate([points, seen[..., 2:].mean(axis=0)], axis=1)
    return replace(person, keypoints_px=keypoints)
