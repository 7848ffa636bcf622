"""Ids that mean the same, and who is a person."""

import pytest

from hmr.errors import UserError
from hmr.files.coco_json import comparable_id, labelled_size, person_ids


@pytest.mark.parametrize("value", [7, 7.0, "7", "007", " 7 ", "7.0"])
def test_ids_of_any_type_that_mean_the_same_number(value):
    assert comparable_id(value) == 7


def test_what_is_no_number_stays_text_and_what_is_no_id_is_none():
    assert comparable_id("cam1_000001") == "cam1_000001"
    assert [comparable_id(value) for value in (None, True, 1.5, [], "")] == [None] * 5


@pytest.mark.parametrize(
    ("categories", "used", "expected"),
    [
        (None, [1, 18], {1}),
        (None, [0, 0], {0}),
        (None, [], {1}),
        ([{"id": 0, "name": "person"}], [0], {0}),
        ([{"id": "3", "name": "Pedestrian"}, {"id": 1, "name": "car"}], [3], {3}),
        ([{"id": 5, "name": "skater", "keypoints": ["nose"]}, {"id": 1, "name": "car"}], [], {5}),
        ([{"id": 2, "name": "player"}], [2], {2}),
    ],
)
def test_the_files_own_categories_say_who_is_a_person(categories, used, expected):
    assert person_ids(categories, used, "a.json") == expected


def test_categories_without_a_person_are_named():
    with pytest.raises(UserError, match=r"a\.json: none .* car, dog"):
        person_ids([{"id": 1, "name": "car"}, {"id": 2, "name": "dog"}], [1], "a.json")


def test_a_size_may_be_text():
    assert labelled_size({"width": "300", "height": "400.0"}) == (300, 400)
    assert labelled_size({"width": "wide", "height": 400}) == labelled_size({}) == (0, 0)
