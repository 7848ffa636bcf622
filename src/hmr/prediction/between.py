"""The people of a video: their ids, and where they are between two frames that were looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from hmr.geometry.crop import CropBox
from hmr.motion.track import Tracker, clothes_colour
from hmr.prediction.people import Detection, Detections
from hmr.prediction.result import Body


def with_ids(tracker: Tracker, found: Detections, image: np.ndarray, seconds: float) -> Detections:
    """The people with the labels that they have in the whole video; given ids are kept."""
    people = found.people
    given = [person.label if person.identified else None for person in people]
    labels = tracker.assign(
        seconds,
        [person.rectangle_px for person in people],
        [person.keypoints2d_px for person in people],
        given,
        [clothes_colour(image, person.keypoints2d_px) for person in people],
    )
    named = [
        replace(person, label=label, identified=True)
        for person, label in zip(people, labels, strict=True)
    ]
    return replace(found, people=named)


def remember(tracker: Tracker, bodies: Iterable[Body], image: np.ndarray, seconds: float) -> None:
    """Tells the tracker of people whom an earlier run has named."""
    bodies = list(bodies)
    tracker.assign(
        seconds,
        [body.rectangle_px for body in bodies],
        [body.source_keypoints_px for body in bodies],
        [body.label for body in bodies],
        [clothes_colour(image, body.source_keypoints_px) for body in bodies],
    )


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
