"""The page in a real browser, without a network; and what it holds."""

import base64
import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from src.imaging.crop import CropBox
from src.imaging.draw import person_color
from src.imaging.images import read_image
from src.imaging.page import write_page
from src.imaging.people import Detection
from src.imaging.result import body_from_outputs
from tests.imaging.shapes import round_body

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
WINDOW = (1200, 760)
CONTROLS_FROM_ROW = 560
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


def screenshot(folder, page, milliseconds=2000):
    """What Chromium shows after so much of the page's own time."""
    picture = folder / f"shot{milliseconds}.png"
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
        "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
        f"--user-data-dir={folder}/profile", "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--window-size={WINDOW[0]},{WINDOW[1]}",
        f"--virtual-time-budget={milliseconds}", f"--screenshot={picture}", page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return read_image(picture).astype(int)


needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@needs_browser
def test_browser_shows_photo_and_mesh_side_by_side(tmp_path, model):
    write_page(tmp_path / "p.html", "photo.jpg", IMAGE, [standing(model)], model)
    shown = screenshot(tmp_path, tmp_path / "p.html")
    stage = shown[:CONTROLS_FROM_ROW]
    left, right = stage[:, : WINDOW[0] // 2], stage[:, WINDOW[0] // 2 :]
    photo = (abs(left - IMAGE[0, 0]) < 12).all(axis=2)
    assert photo.mean() > 0.2
    assert person_color(0)[2] > person_color(0)[0] + 15
    blue = (right[..., 2] - right[..., 0] > 15) & (right.sum(axis=2) > 120)
    rows, columns = np.nonzero(blue)
    assert blue.mean() > 0.05
    assert abs(np.median(columns) - WINDOW[0] / 4) < 40
    # An upright egg is taller than wide.
    assert np.ptp(rows) > 1.5 * np.ptp(columns)


@needs_browser
def test_mesh_turns_by_itself(tmp_path, model):
    body = standing(model)
    bent = body.vertices_m + np.float32([0.4, 0, 0]) * (body.vertices_m[:, 1:2] < -0.2)
    object.__setattr__(body, "vertices_m", bent)
    write_page(tmp_path / "p.html", "photo.jpg", IMAGE, [body], model)
    early, late = (screenshot(tmp_path, tmp_path / "p.html", ms) for ms in (1000, 2500))
    half = WINDOW[0] // 2
    assert abs(early[:, :half] - late[:, :half]).mean() < 0.5
    assert abs(early[:, half:] - late[:, half:]).mean() > 1


@needs_browser
def test_page_of_nobody_says_so(tmp_path, model):
    write_page(tmp_path / "p.html", "empty.jpg", IMAGE, [], model)
    command = [BROWSER, "--headless=new", "--no-sandbox", f"--user-data-dir={tmp_path}/profile"]
    command += ["--dump-dom", (tmp_path / "p.html").as_uri()]
    shown = subprocess.run(command, check=True, capture_output=True, timeout=120, text=True)
    assert "Nobody was found in this picture." in shown.stdout.split("<script")[0]
