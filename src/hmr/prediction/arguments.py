"""Checks what callers of `Predictor` give: a wrong argument is one line, not a traceback."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hmr.errors import UserError
from hmr.prediction.people import Detection
from hmr.prediction.result import Body

_WHOLE = int | np.integer
_NUMBER = _WHOLE | float | np.floating
_LONGEST = 80
# Nobody is taller; a height in centimetres is far above.
_TALLEST_M = 3.0


def expect(holds: bool, name: str, expected: str, received: object) -> None:
    """Raises a UserError that says what was expected, unless it holds."""
    if not holds:
        shape = getattr(received, "shape", None)
        told = f"shape {shape} {getattr(received, 'dtype', '')}" if shape else repr(received)
        line = " ".join(told.split())[:_LONGEST]
        raise UserError(f"{name} must be {expected}. Received: {line}.")


def is_number(value: object) -> bool:
    """Whether it is a real number, and no truth value."""
    return isinstance(value, _NUMBER) and not isinstance(value, bool)


def check_batch_size(value: object) -> None:
    """A whole number of at least 1."""
    whole = isinstance(value, _WHOLE) and not isinstance(value, bool) and value >= 1
    expect(bool(whole), "the batch size", "a whole number of at least 1", value)


def check_focal(value: Any) -> None:
    """Positive pixels, or None."""
    positive = value is None or (is_number(value) and 0 < value < np.inf)
    expect(bool(positive), "the focal length", "positive pixels", value)


def check_flag(value: object, name: str) -> None:
    """True or False."""
    expect(isinstance(value, bool | np.bool_), name, "True or False", value)


def check_height(value: Any) -> None:
    """Positive metres of a person, or None."""
    fits = value is None or (is_number(value) and 0 < value <= _TALLEST_M)
    expect(fits, "the height", f"positive metres, at most {_TALLEST_M:g}", value)


def check_path(value: object, name: str) -> None:
    """Text or a path, not empty."""
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    good = isinstance(text, str) and bool(text.strip()) and "\0" not in text
    expect(good, name, "a path", value)


def check_bodies(values: object) -> None:
    """A list of bodies as `predict` returns it."""
    good = isinstance(values, Sequence) and all(isinstance(value, Body) for value in values)
    expect(good, "bodies", "a list of bodies, as predict returns it", values)


def check_pictures(values: object) -> None:
    """Pairs of a picture and the people in it."""
    good = isinstance(values, Sequence) and all(map(_is_picture_with_people, values))
    expected = "a list of pairs: a picture (H, W, 3) uint8, and a list of Detection"
    expect(good, "pictures", expected, values)


def _is_picture_with_people(pair: object) -> bool:
    if not isinstance(pair, Sequence) or len(pair) != 2 or not isinstance(pair[1], Sequence):
        return False
    image, people = pair
    is_picture = isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3
    return is_picture and all(isinstance(person, Detection) for person in people)


def rows_of_each(values: Any, name: str, expected: str) -> list:
    """What is given for each person, one row a person.

    Args:
        values: lists or arrays of numbers.
        name: of the argument.
        expected: what each person needs, for the message.

    Raises:
        UserError: it is no list, or a row of it is a single value.
    """
    expected = f"a list, per person {expected}"
    is_list = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)
    expect(is_list and getattr(values, "shape", None) != (), name, expected, values)
    rows = list(values)
    expect(not any(map(_is_one_value, rows)), name, expected, rows)
    return rows


def _is_one_value(row: object) -> bool:
    try:
        return np.ndim(row) == 0 or np.iscomplexobj(row)  # type: ignore[arg-type]
    except ValueError:  # rows of several lengths
        return False
