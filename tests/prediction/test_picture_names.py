"""Which entry of a people file is taken for which picture, whatever the file calls it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmr.errors import UserError
from hmr.files.coco_json import comparable_id
from hmr.prediction.people import from_rectangle
from hmr.prediction.picture_names import NameIndex, PeopleTable

IMAGE = np.zeros((480, 640, 3), np.uint8)


def matched(entries, pictures):
    return NameIndex(entries).match(pictures)[0]


@pytest.mark.parametrize(
    ("entry", "picture"),
    [
        ("a.jpg", "photos/a.jpg"),
        ("images\\a.jpg", "photos/a.jpg"),
        ("C:\\data\\A.JPG", "/home/me/a.jpg"),
        ("a.png", "a.jpg"),
        ("a", "a.jpg"),
        ("./cam1/a.jpg", "/data/cam1/a.jpg"),
        ("re\u0301union.jpg", "r\u00e9union.jpg"),
        (785, "COCO_val2014_000000000785.jpg"),
        ("785", "000785.png"),
        (12, "walk_000000000012"),
        ("12.jpg", "walk_000000000012"),
        ("frame_0012.png", "walk_000000000012"),
        ("out/walk/000012.jpg", "walk_000000000012"),
        ("walk_12", "walk_000000000012"),
        ("Video 2024-05-04 at 12.44.51_000000000003", "Video 2024-05-04 at 12.44.51_000000000003"),
    ],
)
def test_an_entry_fits_its_picture(entry, picture):
    assert matched([entry], [picture]) == {picture: entry}


@pytest.mark.parametrize(
    ("entry", "picture"),
    [
        ("b.jpg", "a.jpg"),
        (12, "walk_000000000013"),
        ("run_000000000012", "walk_000000000012"),
        ("Video 2024-05-04 at 12.44.52_000000000003", "Video 2024-05-04 at 12.44.51_000000000003"),
        ("12.jpg", "photo_12.jpg"),
    ],
)
def test_an_entry_does_not_fit_another_picture(entry, picture):
    assert not matched([entry], [picture])


def test_same_names_are_told_apart_by_their_folders():
    entries = ["cam1/000001.jpg", "cam2/000001.jpg", "cam1/000002.jpg"]
    pictures = ["/p/cam1/000001.jpg", "/p/cam2/000001.jpg", "/p/cam2/000002.jpg"]
    assert matched(entries, pictures) == {pictures[0]: entries[0], pictures[1]: entries[1]}


def test_the_working_directory_is_part_of_the_path(tmp_path, monkeypatch):
    (tmp_path / "cam2").mkdir()
    monkeypatch.chdir(tmp_path / "cam2")
    assert matched(["cam1/1.jpg", "cam2/1.jpg"], ["1.jpg"]) == {"1.jpg": "cam2/1.jpg"}


@pytest.mark.parametrize(
    ("entries", "pictures", "line"),
    [
        (["1.jpg"], ["cam1/1.jpg", "cam2/1.jpg"], "'1.jpg' fits 'cam1/1.jpg', 'cam2/1.jpg'"),
        (["x/1.jpg", "y/1.jpg"], ["z/1.jpg"], "'z/1.jpg' fits 'x/1.jpg', 'y/1.jpg'"),
        ([1], ["cam1/1.jpg", "img_1.jpg"], "1 fits 'cam1/1.jpg', 'img_1.jpg'"),
    ],
)
def test_what_fits_several_is_not_guessed(entries, pictures, line):
    found, lines = NameIndex(entries).match(pictures)
    assert not found and lines == [line]


def table_of(*keys):
    table = PeopleTable("people.json")
    for key in keys:
        table.entry(key)
    return table


def test_a_file_of_which_nothing_fits_is_an_error_with_names_of_both_sides():
    with pytest.raises(UserError, match=r"none of its 2 entries.*'b\.jpg', 'c\.jpg'.*'x/a\.jpg'"):
        table_of("b.jpg", "c.jpg").match(["x/a.jpg"])


def test_entries_that_are_not_used_are_counted_and_named():
    (line,) = table_of("a.jpg", "b.jpg", "c.jpg").match(["x/a.jpg"])
    assert line == "people.json: 1 of 3 entries used; not used: 'b.jpg', 'c.jpg'"
    assert not table_of("a.jpg").match(["x/a.jpg", "x/d.jpg"])
    assert not table_of().match(["a.jpg"])


@pytest.mark.parametrize("name", ["{}", "frame_{:04d}.jpg", "walk/{:05d}.png", "walk_{}.jpg"])
def test_frames_that_are_counted_from_1_are_known_by_the_one_beyond_the_last(name):
    frames = [f"walk_{frame:012d}" for frame in range(3)]
    for first, note in ((1, "counted from 1"), (0, None)):
        keys = [comparable_id(name.format(first + at)) for at in range(3)]
        table = table_of(*keys)
        table.entry(keys[2]).people.append(from_rectangle((10, 20, 30, 40)))
        lines = table.match(frames)
        assert [note in line for line in lines] == [True] if note else lines == []
        assert [len(table.find(frame, IMAGE).people) for frame in frames] == [0, 0, 1]


def test_a_picture_that_was_left_open_stays_without_people():
    table = table_of("1.jpg", "2.jpg")
    table.match(["cam1/1.jpg", "cam2/1.jpg", "cam1/2.jpg"])
    assert "names nobody" in table.find("cam1/1.jpg", IMAGE).notes[0]


PARTS = st.sampled_from(["a", "b", "cam1", "1", "a_1"])
PATHS = st.builds(
    lambda folders, last, end: "/".join([*folders, last]) + end,
    st.lists(PARTS, max_size=2), PARTS, st.sampled_from([".jpg", ".png", ""]),
)  # fmt: skip


@settings(deadline=None)
@given(st.sets(PATHS | st.integers(0, 2), max_size=6), st.sets(PATHS, max_size=6))
def test_no_entry_is_used_twice_and_equal_paths_always_fit(entries, pictures):
    found = matched(sorted(entries, key=str), sorted(pictures))
    assert len(set(found.values())) == len(found)
    for same in entries & pictures:
        assert found[same] == same
