"""What COCO's json leaves to its writers: which ids are the same, which category is a person."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hmr.errors import UserError

Id = str | int
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?")
_PEOPLE = frozenset({"person", "persons", "people", "human", "humans", "pedestrian", "pedestrians"})
_COCO_PERSON, _FIRST_FROM_ZERO = 1, 0


def comparable_id(value: object) -> Id | None:
    """An id such that 7, 7.0, "7" and "007" are the same; None for what is no id."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str):
        text = value.strip()
        return int(text.split(".")[0]) if _WHOLE.fullmatch(text) else text or None
    return None


def person_ids(categories: object, used: Iterable[object]) -> frozenset[Id]:
    """The ids of the categories that are people.

    Args:
        categories: the file's own list of objects with `id` and `name`, if it has one. A person is
            called so, or has keypoints, or is the only category.
        used: the `category_id` of each entry. Without `categories`, people are number 1 as in
            COCO, or number 0 where the numbers begin there.

    Raises:
        UserError: there are several categories, and none of them is a person.
    """
    items = categories if isinstance(categories, list) else []
    listed = [item for item in items if isinstance(item, dict)]
    if not listed:
        counted_from_zero = any(comparable_id(value) == _FIRST_FROM_ZERO for value in used)
        return frozenset({_FIRST_FROM_ZERO if counted_from_zero else _COCO_PERSON})
    named = [item for item in listed if str(item.get("name")).strip().lower() in _PEOPLE]
    with_points = [item for item in listed if item.get("keypoints")]
    people = named or with_points or (listed if len(listed) == 1 else [])
    if not people:
        names = ", ".join(str(item.get("name")) for item in listed[:8])
        raise UserError(
            f"none of the categories is a person: expected the name person, got {names}"
        )
    found = (comparable_id(item.get("id")) for item in people)
    return frozenset(each for each in found if each is not None)
