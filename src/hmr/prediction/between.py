"""The people of a video's frames between two in which they were looked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hmr.geometry.crop import CropBox
from hmr.prediction.people import Detection, Detections

# How far somebody may have moved between two looks, relative to their diagonal.
_FARTHEST = 0.5


def between(before: Detections, after: Detections, share: float) -> Detections:
    """Boxes and keypoints of a frame at `share` (0 to 1) of the way between two others.

    Those of one person in both are interpolated linearly. Who is in one of them only is carried
    over to the nearer half. Labels and scores are those of the earlier frame.
    """
    pairs = same_people(before.people, after.people)
    partners = dict(pairs)
    met = set(partners.values())
    people = []
    for index, person in enumerate(before.people):
        if index in partners:
            people.append(_interpolated(person, after.people[partners[index]], share))
        elif share < 0.5:
            people.append(person)
    if share >= 0.5:
        people += [person for index, person in enumerate(after.people) if index not in met]
    return Detections(_numbered(people))


def same_people(before: list[Detection], after: list[Detection]) -> list[tuple[int, int]]:
    """Pairs of indices, the nearest ones first; nobody twice, nobody who has moved far."""
    if not before or not after:
        return []
    middles, others = _middles(before), _middles(after)
    sizes = np.array([np.linalg.norm(person.rectangle_px[2:]) for person in before])
    apart = np.linalg.norm(middles[:, None] - others, axis=2) / np.maximum(sizes, 1)[:, None]
    pairs = []
    while apart.min() < _FARTHEST:
        row, column = map(int, np.unravel_index(apart.argmin(), apart.shape))
        pairs.append((row, column))
        apart[row], apart[:, column] = np.inf, np.inf
    return pairs


def _middles(people: list[Detection]) -> np.ndarray:
    return np.array([person.rectangle_px[:2] + person.rectangle_px[2:] / 2 for person in people])


def _interpolated(first: Detection, second: Detection, share: float) -> Detection:
    def mixed(start: np.ndarray | float, end: np.ndarray | float) -> np.ndarray:
        return np.asarray((1 - share) * start + share * end)

    size = mixed(1 / first.box.scale, 1 / second.box.scale)
    box = CropBox(mixed(first.box.center_px, second.box.center_px), 1 / float(size))
    points, ends = first.keypoints2d_px, second.keypoints2d_px
    if points is not None and ends is not None:
        counted = (points[:, 2:] > 0) & (ends[:, 2:] > 0)
        points = np.where(counted, mixed(points, ends), 0)
    rectangle = mixed(first.rectangle_px, second.rectangle_px)
    return replace(first, box=box, rectangle_px=rectangle, keypoints2d_px=points)


def _numbered(people: list[Detection]) -> list[Detection]:
    """The people with labels of their own, as far as two have the same."""
    used: set[str] = set()
    for index, person in enumerate(people):
        label = person.label
        while label in used:
            label = str(int(label) + 1) if label.isdecimal() else f"{label}_"
        used.add(label)
        people[index] = replace(person, label=label)
    return people
