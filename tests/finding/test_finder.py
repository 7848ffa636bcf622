"""Who is found in pictures of stand-in people, from a few large ones to a crowd of small ones."""

import numpy as np
import pytest

from hmr.body.joints import COCO17
from hmr.errors import UserError
from hmr.finding.finder import Finder, FoundPerson, Region, without_doubles
from hmr.geometry.oks import oks
from tests.helpers.crowds import render_crowd

PICTURE = Region(0, 0, 1000, 800)


@pytest.fixture(scope="module")
def finder():
    return Finder()


@pytest.fixture(scope="module")
def body(standin):
    return standin


def matched(people, crowd):
    """(P,) the OKS of each true person with somebody found, each found person taken once."""
    found = np.stack([person.keypoints_px[:, :2] for person in people])
    true, seen = crowd.keypoints_px[:, None, :, :2], crowd.keypoints_px[:, None, :, 2] > 0
    pairs = np.stack([oks(found, *one) for one in zip(true, crowd.areas_px, seen, strict=True)])
    best = np.zeros(len(pairs))
    for _ in range(min(pairs.shape)):
        row, column = np.unravel_index(pairs.argmax(), pairs.shape)
        best[row] = pairs[row, column]
        pairs[row], pairs[:, column] = -1, -1
    return best


def check(finder, crowds, recall, spare):
    """Enough people are found, and not many who are not there."""
    found = [finder.find(crowd.image) for crowd in crowds]
    similar = np.concatenate([matched(*pair) for pair in zip(found, crowds, strict=True)])
    print(f"recall {np.mean(similar > 0.5):.3f}, found {sum(map(len, found))} of {len(similar)}")
    assert np.mean(similar > 0.5) >= recall
    assert sum(map(len, found)) <= len(similar) * (1 + spare)
    return found


def test_few_people_of_any_size(finder, body, tmp_path):
    """The smallest are 60 px high in a picture of 1000 px."""
    crowds = [render_crowd(body, tmp_path, 3, (60, 400), (1000, 700), seed) for seed in range(3)]
    for people in check(finder, crowds, 0.9, 0.1):
        scores = [person.score for person in people]
        assert scores == sorted(scores, reverse=True) and min(scores) > 0.2


def test_more_people_than_one_look_sees(finder, body, tmp_path):
    check(finder, [render_crowd(body, tmp_path, 9, (80, 250), (900, 700), 4)], 0.9, 0.1)


@pytest.mark.slow
def test_crowds_of_up_to_thirty_small_people(finder, body, tmp_path):
    crowds = [render_crowd(body, tmp_path, 30, (60, 220), (1600, 1000), seed) for seed in range(3)]
    crowds += [render_crowd(body, tmp_path, 15, (60, 90), (1280, 960), seed) for seed in range(3)]
    check(finder, crowds, 0.9, 0.1)


def test_nobody_in_an_empty_picture_or_a_tiny_one(finder):
    assert finder.find(np.full((700, 900, 3), 90, np.uint8)) == []
    assert finder.find(np.zeros((1, 1, 3), np.uint8)) == []
    assert finder.find(np.zeros((3, 2000, 3), np.uint8)) == []


def test_a_higher_threshold_leaves_fewer(finder, body, tmp_path):
    crowd = render_crowd(body, tmp_path, 3, (200, 400), (1000, 700), 1)
    people = finder.find(crowd.image)
    sure = people[0].score
    assert [person.score for person in finder.find(crowd.image, sure - 1e-4)] == [sure]
    assert finder.find(crowd.image, sure) == []


def person(left, top, width, height, score=0.5, seed=0):
    places = np.random.default_rng(seed).uniform(0, 1, (17, 2)) * (width, height) + (left, top)
    keypoints = np.concatenate([places, np.full((17, 1), score)], axis=1)
    return FoundPerson(keypoints, np.array([left, top, width, height], np.float64), score)


def test_the_surer_of_two_looks_at_one_person_stays():
    one, again = person(100, 100, 80, 200, 0.4), person(102, 101, 80, 200, 0.6)
    other = person(300, 100, 80, 200, 0.5)
    assert without_doubles([one, again, other]) == [again, other]


def test_front_and_back_of_one_person_are_one():
    front = person(100, 100, 80, 200)
    order = [COCO17.index(name.replace("left", "x").replace("right", "left").replace("x", "right"))
             for name in COCO17]  # fmt: skip
    back = FoundPerson(front.keypoints_px[order], front.rectangle_px, 0.4)
    assert without_doubles([back, front]) == [front]


def test_quarters_overlap_and_cover():
    quarters = PICTURE.quarters()
    assert quarters[0] == Region(0, 0, 600, 480) and quarters[3] == Region(400, 320, 600, 480)


@pytest.mark.parametrize(
    ("box", "cut"),
    [
        ((450, 100, 100, 200), False),
        ((550, 100, 50, 200), True),
        ((0, 0, 50, 100), False),
        ((300, 400, 50, 79), True),
    ],
)
def test_people_at_inner_borders_are_cut(box, cut):
    assert PICTURE.quarters()[0].cuts(person(*box), PICTURE) is cut


def test_weights_that_are_no_archive_are_named(tmp_path):
    (tmp_path / "weights.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"weights\.npz is not a readable \.npz"):
        Finder(tmp_path / "weights.npz").find(np.zeros((64, 64, 3), np.uint8))
