"""The page in a real browser, without a network; and what it holds."""

import base64
import json
import re
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from hmr.files.images import read_image
from hmr.geometry.crop import CropBox
from hmr.prediction.people import Detection
from hmr.prediction.result import body_from_outputs
from hmr.prediction.writers.page import write_page
from hmr.rendering.draw import person_color
from tests.helpers.browser import picture_of, wait_until, watched_page
from tests.helpers.shapes import round_body

IMAGE = np.full((300, 400, 3), (30, 120, 60), np.uint8)


@pytest.fixture(scope="module")
def model():
    return round_body()


def standing(model, label="0", center=(200, 150)):
    """The egg, upright in the picture and as tall as half of it."""
    outputs = {
        "theta": np.zeros((3, 85), np.float32),
        "camera": np.array([0.8, 0, 0.3], np.float32),
        "pose": np.zeros(72, np.float32),
        "beta": np.zeros(10, np.float32),
        "rotations": np.tile(np.eye(3, dtype=np.float32), (24, 1, 1)),
        "keypoints2d": np.zeros((19, 2), np.float32),
        "joints3d": np.zeros((19, 3), np.float32),
        "smpl_joints": np.zeros((24, 3), np.float32),
        "vertices": model.v_template * np.array([1, -1, -1], np.float32),
    }
    box = CropBox(center, 1.0)
    person = Detection(box, np.array([100.0, 50, 200, 200]), label=label)
    return body_from_outputs(outputs, person, box, *IMAGE.shape[:2])


def page_data(path):
    text = path.read_text()
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])


def test_page_holds_the_bodies_and_asks_for_nothing_else(tmp_path, model):
    body = standing(model)
    write_page(tmp_path / "p.html", "photo.jpg", IMAGE, [body], model)
    data = page_data(tmp_path / "p.html")
    vertices = np.frombuffer(base64.b64decode(data["people"][0]["vertices"]), "<f4").reshape(-1, 3)
    expected = body.vertices_m * [1, -1, -1]
    centred = expected - (expected.min(axis=0) + expected.max(axis=0)) / 2
    np.testing.assert_allclose(vertices, centred, atol=1e-6)
    faces = np.frombuffer(base64.b64decode(data["faces"]), "<u2").reshape(-1, 3)
    np.testing.assert_array_equal(faces, model.faces)
    addresses = re.findall(r"https?://[^\s\"'`]+", (tmp_path / "p.html").read_text())
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}


def test_strange_names_stay_text(tmp_path, model):
    name = '</script><script>alert("x")</script>'
    write_page(tmp_path / "p.html", name, IMAGE, [standing(model, label="<b>&")], model)
    assert (tmp_path / "p.html").read_text().count("</script>") == 2
    data = page_data(tmp_path / "p.html")
    assert data["title"] == name and data["people"][0]["label"] == "<b>&"


def test_large_pictures_are_shown_smaller(tmp_path, model):
    noise = np.random.default_rng(0).integers(0, 255, (1500, 2500, 3), np.uint8)
    write_page(tmp_path / "p.html", "large.jpg", noise, [], model)
    data = page_data(tmp_path / "p.html")
    shown = read_image(base64.b64decode(data["photo"].split(",")[1]))
    assert shown.shape == (960, 1600, 3) and data["size"] == [2500, 1500]


@contextmanager
def opened(browser, folder, bodies, model):
    """A tab that shows the page of these bodies."""
    write_page(folder / "p.html", "photo.jpg", IMAGE, bodies, model)
    with watched_page(browser) as page:
        page.goto((folder / "p.html").as_uri())
        yield page


@pytest.mark.slow
def test_browser_shows_photo_and_mesh_side_by_side(browser, tmp_path, model):
    with opened(browser, tmp_path, [standing(model)], model) as page:
        wait_until(lambda: bool(colourful(picture_of(page.locator("#mesh"))).any()), "a mesh")
        photo, mesh = picture_of(page.locator("#photo")), picture_of(page.locator("#mesh"))
    assert (abs(photo - IMAGE[0, 0]) < 12).all(axis=2).mean() > 0.5
    assert person_color(0)[2] > person_color(0)[0] + 15
    shown = colourful(mesh)
    rows, columns = np.nonzero(shown)
    assert shown.mean() > 0.05
    assert abs(np.median(columns) - shown.shape[1] / 2) < 40
    # An upright egg is taller than wide.
    assert np.ptp(rows) > 1.5 * np.ptp(columns)


def colourful(picture):
    """Where a picture is of the bluish colour of the first body."""
    return (picture[..., 2] - picture[..., 0] > 15) & (picture.sum(axis=2) > 120)


@pytest.mark.slow
def test_mesh_turns_by_itself_until_stopped(browser, tmp_path, model):
    body = standing(model)
    bent = body.vertices_m + np.float32([0.4, 0, 0]) * (body.vertices_m[:, 1:2] < -0.2)
    with opened(browser, tmp_path, [replace(body, vertices_m=bent)], model) as page:
        photo, mesh = page.locator("#photo"), page.locator("#mesh")
        photo_before, before = picture_of(photo), picture_of(mesh)
        wait_until(lambda: differs(mesh, before), "a turned mesh")
        np.testing.assert_array_equal(picture_of(photo), photo_before)
        page.get_by_role("button", name="as in the photo").click()
        front = wait_until(lambda: still(mesh), "a mesh at rest")
        page.get_by_role("button", name="turn", exact=True).click()
        wait_until(lambda: differs(mesh, front), "a mesh that turns again")


def differs(shown, picture):
    return bool(abs(picture_of(shown) - picture).mean() > 1)


def still(shown):
    """The picture of an element when two in a row are the same, else None."""
    first, second = picture_of(shown), picture_of(shown)
    return second if np.array_equal(first, second) else None


def test_page_of_nobody_says_so(browser, tmp_path, model):
    with opened(browser, tmp_path, [], model) as page:
        page.get_by_text("Nobody was found in this picture.").wait_for()


@pytest.mark.slow
def test_a_lost_graphics_card_is_said(browser, tmp_path, model):
    with opened(browser, tmp_path, [standing(model)], model) as page:
        wait_until(lambda: bool(colourful(picture_of(page.locator("#mesh"))).any()), "a mesh")
        lose = "getContext('webgl').getExtension('WEBGL_lose_context').loseContext()"
        page.evaluate(f"document.getElementById('mesh').{lose}")
        page.get_by_text("The browser has taken the graphics card away").wait_for()
