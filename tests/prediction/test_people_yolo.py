"""YOLO pose's text files give the people whom they were written of."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmr.errors import UserError
from hmr.prediction.people_files import names_no_picture, open_people

HEIGHT, WIDTH = 480, 640
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def line(points_px, columns=3, behind=(), kind="0"):
    shares = points_px[:, :2] / (WIDTH, HEIGHT)
    rows = np.column_stack([shares, points_px[:, 2]])[:, :columns]
    words = [kind, "0.5", "0.5", "0.2", "0.3", *(f"{value:.8f}" for value in rows.ravel())]
    return " ".join([*words, *map(str, behind)])


def people_of(tmp_path, *lines, name="a"):
    (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
    people = open_people(keypoints=str(tmp_path))
    people.match([f"photos/{name}.jpg"])
    return people.find(f"photos/{name}.jpg", IMAGE)


PLACES = st.tuples(st.integers(1, WIDTH - 1), st.integers(1, HEIGHT - 1))


@settings(
    max_examples=15, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    places=st.lists(PLACES, min_size=17, max_size=17, unique=True),
    columns=st.sampled_from([3, 2]),
    behind=st.sampled_from([(), (0.75,), (0.75, 12), (12,)]),
)
def test_every_variant_gives_the_person(tmp_path, places, columns, behind):
    truth_px = np.column_stack([np.array(places, float), np.ones(17)])
    (person,) = people_of(tmp_path, line(truth_px, columns, behind)).people
    low, high = truth_px[:, :2].min(axis=0), truth_px[:, :2].max(axis=0)
    np.testing.assert_allclose(person.rectangle_px, [*low, *(high - low)], atol=1e-3)
    assert person.label == ("12" if 12 in behind else "0")
    assert person.score == pytest.approx(0.75 if 0.75 in behind else 1.0)


def points():
    return np.column_stack([np.linspace(100, 200, 17), np.linspace(120, 320, 17), np.ones(17)])


def test_points_at_zero_are_not_seen_where_there_is_no_visibility(tmp_path):
    unseen = points()
    unseen[0] = 0
    (person,) = people_of(tmp_path, line(unseen, 2)).people
    np.testing.assert_allclose(person.rectangle_px[:2], unseen[1, :2], atol=1e-3)


def test_lines_that_are_not_used_are_named(tmp_path):
    pixels = " ".join(["0", "5", "5", "5", "5", *map(str, points().ravel())])
    found = people_of(tmp_path, line(points()), line(points(), kind="2"), "0 0.5 0.5", pixels)
    assert len(found.people) == 1
    assert "1 lines of other classes" in found.notes[0]
    assert "a.txt line 3" in found.problems[0] and "got 3 numbers" in found.problems[0]
    assert "from 0 to 1" in found.problems[1]


def test_an_empty_file_is_of_a_picture_without_people_and_stops_no_other(tmp_path):
    (tmp_path / "b.txt").touch()
    (tmp_path / "c.txt").write_bytes(b"\xff\xfe\xff")
    assert len(people_of(tmp_path, line(points()).replace(" ", ",")).people) == 1
    people = open_people(keypoints=str(tmp_path))
    assert people.find("b.jpg", IMAGE).problems == [] == people.find("b.jpg", IMAGE).people
    assert "c.txt" in people.find("c.jpg", IMAGE).problems[0]


def test_one_file_of_other_classes_only_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text(line(points(), kind="1"))
    with pytest.raises(UserError, match=r"holds nobody: .* 1 lines of other classes"):
        open_people(keypoints=str(tmp_path / "a.txt"))


def test_one_file_is_of_one_picture(tmp_path):
    (tmp_path / "a.txt").write_text(line(points()))
    assert names_no_picture(str(tmp_path / "a.txt"), of_keypoints=True)
    assert not names_no_picture(str(tmp_path / "a.txt"), of_keypoints=False)  # may be a csv
    assert not names_no_picture(str(tmp_path), of_keypoints=True)


def test_a_folder_that_fits_no_picture_is_an_error(tmp_path):
    (tmp_path / "a.txt").write_text(line(points()))
    with pytest.raises(UserError, match="none of its 1 entries"):
        open_people(keypoints=str(tmp_path)).match(["b.jpg"])
