"""What COCO's json leaves to its writers: which ids are the same, which category is a person."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hmr.errors import UserError

Id = str | int
Size = tuple[int, int]
"""Width and height of a picture; (0, 0) if unknown."""
SIZE_UNKNOWN: Size = (0, 0)
_WHOLE = re.compile(r"[+-]?\d{1,18}(\.0*)?")
_PEOPLE = frozenset({
    "person", "persons", "people", "human", "humans", "pedestrian", "pedestrians", "man", "men",
    "woman", "women", "child", "children", "boy", "girl", "adult", "player", "athlete",
})  # fmt: skip
_COCO_PERSON, _FIRST_FROM_ZERO = 1, 0
_ABOVE = "supercategory"
_LONGEST_SIDE = 1 << 31


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


def labelled_size(picture: dict[str, Any]) -> Size:
    """The size that a json gives, perhaps as text, of the picture on which its labels were made."""
    width, height = (comparable_id(picture.get(side)) for side in ("width", "height"))
    known = all(isinstance(side, int) and 0 < side < _LONGEST_SIDE for side in (width, height))
    return (width, height) if known else SIZE_UNKNOWN  # type: ignore[return-value]


def _name(category: dict, key: str = "name") -> str:
    return str(category.get(key)).strip().lower()


def is_person_name(name: object) -> bool:
    """Whether a category of this name, or of such a number, may be a person."""
    text = str(name).strip().lower()
    return text in _PEOPLE or _WHOLE.fullmatch(text) is not None


def person_ids(categories: object, used: Iterable[object], name: str) -> frozenset[Id]:
    """The ids of the categories that are people.

    Args:
        categories: the file's own list of objects with `id` and `name`, if it has one. A person is
            called so, or the category above is, or has keypoints, or is the only category.
        used: the `category_id` of each entry. Without `categories`, people are number 1 as in
            COCO, or number 0 where the numbers begin there.
        name: of the file, for messages.

    Raises:
        UserError: there are several categories, and none of them is a person.
    """
    ids = {key for value in used if (key := comparable_id(value)) is not None}
    named_so = {key for key in ids if str(key).lower() in _PEOPLE}
    items = categories if isinstance(categories, list) else []
    listed = [item for item in items if isinstance(item, dict)]
    if not listed:
        first = _FIRST_FROM_ZERO if _FIRST_FROM_ZERO in ids else _COCO_PERSON
        return frozenset({first, *named_so})
    # Roboflow lists the project's name, too, as a category above the others.
    above = {_name(item, _ABOVE) for item in listed if _name(item) != _name(item, _ABOVE)}
    used_or_lowest = [
        item for item in listed if _name(item) not in above or comparable_id(item.get("id")) in ids
    ]
    listed = used_or_lowest or listed
    named = [item for item in listed if _name(item) in _PEOPLE]
    named = named or [item for item in listed if _name(item, _ABOVE) in _PEOPLE]
    with_points = [item for item in listed if item.get("keypoints")]
    people = named or with_points or (listed if len(listed) == 1 else [])
    if not people:
        names = ", ".join(str(item.get("name")) for item in listed[:8])
        raise UserError(
            f"{name}: none of the categories is a person: expected the name person, got {names}"
        )
    found = (comparable_id(item.get("id")) for item in people)
    return frozenset({each for each in found if each is not None} | named_so)
