"""Reads OpenPose's json, one file a picture, and AlphaPose's in its likeness (`bodies`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hmr.body.joints import OPENPOSE15, OPENPOSE18, OPENPOSE19
from hmr.errors import UserError
from hmr.prediction.people import MIN_SCORE, Detection, Detections, from_keypoints
from hmr.prediction.people_entry import attempt, keypoints_of

_KEYS = ("pose_keypoints_2d", "pose_keypoints", "joints")
_LISTS = ("people", "bodies")
# What `from_keypoints` says of coordinates from -1 to 1.
_SCALE = "keypoint_scale 4"
# How many of the points count for the box: BODY_25's last six are toes and heels.
_COUNTED = {25: 19, 18: 18, 15: 15}
_ORDERS = {len(order): order for order in (OPENPOSE19, OPENPOSE18, OPENPOSE15)}


def listed_people(content: object) -> list | None:
    """The list of people of a file of one picture; None where it is of another kind."""
    lists = [content.get(key) for key in _LISTS] if isinstance(content, dict) else []
    return next((people for people in lists if isinstance(people, list)), None)


def openpose_people(content: object, name: str, min_score: float = MIN_SCORE) -> Detections:
    """The people of one OpenPose file's content.

    Args:
        content: the parsed JSON.
        name: of the file, for messages.
        min_score: keypoints at or below it do not count.

    Raises:
        UserError: it is no OpenPose file.
    """
    people = listed_people(content)
    if people is None:
        raise UserError(f'{name} is no OpenPose file: it holds no list "people"')
    found = Detections()
    for index, person in enumerate(people):
        attempt(found, f"{name}, person {index}", _maker(person, index, min_score))
    if any(_SCALE in problem for problem in found.problems):
        # Nor do those mean 0 to 1 who happen to have no number below 0.
        lines = [f"{name}, person {p.label}: {_SCALE}, too: skipped" for p in found.people]
        found = Detections(problems=[*found.problems, *lines])
    if not found.people:
        found.notes.append(f"0 people in {name} (threshold {min_score}): skipped")
    return found


def _maker(person: object, index: int, min_score: float) -> Callable[[], Detection]:
    record = person if isinstance(person, dict) else {}

    def make() -> Detection:
        values = next((record[key] for key in _KEYS if record.get(key)), None)
        if values is None:
            raise UserError(f"holds none of {', '.join(_KEYS)}")
        points = keypoints_of(values, _COUNTED)
        order = _ORDERS[len(points)]
        given = _given_id(record)
        label = str(index) if given is None else given
        person = from_keypoints(points, min_score, label, order=order)
        return replace(person, identified=given is not None)

    return make


def _given_id(record: dict) -> str | None:
    """OpenPose's own `person_id` where it tracks (it writes [-1] where it does not)."""
    ids = record.get("person_id")
    first = ids[0] if isinstance(ids, list) and ids else None
    if isinstance(first, int | float) and 0 <= first < 1 << 53:
        return str(int(first))
    return None
