"""Girths of shapes with known ones, and figures of bodies that are scaled and thickened."""

import dataclasses

import numpy as np
import pytest

from hmr.body.measurements import CAVEAT, DEFINITIONS, girth, measure
from hmr.errors import UserError
from tests.helpers.shapes import ball, round_body


@pytest.fixture(scope="module")
def egg():
    return round_body()


def test_girth_of_a_ball():
    vertices, faces = ball(0.5, [0.2, 1.0, -3.0], rings=160, columns=320)
    assert girth(vertices, faces, 1.0) == pytest.approx(np.pi, rel=1e-3)
    assert girth(vertices, faces, 1.3) == pytest.approx(2 * np.pi * 0.4, rel=1e-3)
    assert np.isnan(girth(vertices, faces, 2.0))


def test_tape_spans_the_gap_between_two_shapes():
    vertices, faces = ball(0.5, [0, 0, 0], rings=160, columns=320)
    pair = np.vstack([vertices, vertices + [2, 0, 0]])
    both = np.vstack([faces, faces + len(vertices)])
    assert girth(pair, both, 0.0) == pytest.approx(np.pi + 4, rel=1e-3)


def test_every_defined_figure_is_there(egg):
    figures = measure(egg, np.zeros(10))
    assert list(figures) == list(DEFINITIONS)
    assert all(0 < value < 3 for value in figures.values())
    assert figures["height"] == pytest.approx(1.7, abs=0.01)
    assert "ambiguous" in CAVEAT


def test_figures_grow_with_the_body(egg):
    twice = dataclasses.replace(egg, v_template=egg.v_template * 2)
    before, after = measure(egg, np.zeros(10)), measure(twice, np.zeros(10))
    for name, value in before.items():
        assert after[name] == pytest.approx(2 * value, rel=1e-5)


def test_thickness_changes_girths_and_not_the_height(egg):
    thick = dataclasses.replace(egg, v_template=egg.v_template * np.float32([1.2, 1, 1.2]))
    before, after = measure(egg, np.zeros(10)), measure(thick, np.zeros(10))
    assert after["height"] == pytest.approx(before["height"])
    for name in ("chest", "waist", "hip"):
        assert after[name] == pytest.approx(1.2 * before[name], rel=0.01)


def test_known_height_scales_everything(egg):
    free, known = measure(egg, np.ones(10)), measure(egg, np.ones(10), height_m=1.9)
    assert known["height"] == pytest.approx(1.9)
    ratio = 1.9 / free["height"]
    assert known["waist"] == pytest.approx(ratio * free["waist"])
    with pytest.raises(UserError, match="height"):
        measure(egg, np.zeros(10), height_m=0)


@pytest.mark.slow
def test_stand_in_body_measures_as_people_do(standin):
    figures = measure(standin, np.zeros(10))
    assert 1.6 < figures["height"] < 1.8
    assert figures["waist"] < figures["chest"] < figures["hip"] + 0.1
    assert 0.8 < figures["chest"] < 1.1 and 0.65 < figures["waist"] < 0.95
    assert 0.85 < figures["hip"] < 1.1
