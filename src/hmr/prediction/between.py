"""The people of a video: their ids, and where they are in frames that nobody looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from hmr.geometry.crop import CropBox
from hmr.motion.track import SETTLED_AFTER_S, Tracker, clothes_colour
from hmr.prediction.people import Detection, Detections

_LONGEST_MISSED_S = 0.65
"""From the last look that saw somebody to the next one: two looks between them may miss them."""


def with_ids(
    looks: Iterable[tuple[float, Detections, np.ndarray]], ahead: bool = False
) -> Iterator[tuple[float, Detections]]:
    """Seconds and people of each look, with their labels in the whole video; given ids are kept.

    Args:
        looks: seconds, people and image (H, W, 3) uint8 RGB.
        ahead: whether a look may wait until later ones, of less than three seconds, have settled
            its ids and told whom it missed.
    """
    named = _named(looks, ahead)
    return _with_missed(named) if ahead else named


def _named(
    looks: Iterable[tuple[float, Detections, np.ndarray]], ahead: bool
) -> Iterator[tuple[float, Detections]]:
    tracker, waiting = Tracker(), deque[tuple[float, Detections, list[str]]]()
    for seconds, found, image in looks:
        people = found.people
        labels = tracker.assign(
            seconds,
            [person.rectangle_px for person in people],
            [person.keypoints2d_px for person in people],
            [person.label if person.identified else None for person in people],
            [clothes_colour(image, person.keypoints2d_px) for person in people],
        )
        waiting.append((seconds, found, labels))
        while waiting and (not ahead or seconds - waiting[0][0] > SETTLED_AFTER_S):
            yield _labelled(*waiting.popleft())
    for look in waiting:
        yield _labelled(*look)


def _labelled(seconds: float, found: Detections, labels: list[str]) -> tuple[float, Detections]:
    people = [
        replace(person, label=label, identified=True)
        for person, label in zip(found.people, labels, strict=True)
    ]
    return seconds, replace(found, people=people)


def _with_missed(looks: Iterable[tuple[float, Detections]]) -> Iterator[tuple[float, Detections]]:
    """Puts in whom one or two looks missed, interpolated between those that saw them."""
    waiting, last = deque[tuple[float, Detections]](), dict[str, tuple[float, Detection]]()
    for seconds, found in looks:
        for person in found.people:
            start, before = last.get(person.label, (seconds, person))
            if seconds - start <= _LONGEST_MISSED_S:
                for middle, look in waiting:
                    if middle > start:
                        share = (middle - start) / (seconds - start)
                        look.people.append(_interpolated(before, person, share))
            last[person.label] = seconds, person
        waiting.append((seconds, found))
        while seconds - waiting[0][0] > _LONGEST_MISSED_S:
            yield waiting.popleft()
    yield from waiting


def between(before: Detections, after: Detections, share: float) -> Detections:
    """Boxes and keypoints of a frame at `share` (0 to 1) of the way between two others.

    People who are in both, by their labels, are interpolated linearly. Who is in only one of them
    appears in the half of the frames that is nearer to it. Scores are those of the earlier frame.
    """
    others = {person.label: person for person in after.people}
    people = []
    for person in before.people:
        if (partner := others.pop(person.label, None)) is not None:
            people.append(_interpolated(person, partner, share))
        elif share < 0.5:
            people.append(person)
    if share >= 0.5:
        people += others.values()
    return Detections(people)


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
