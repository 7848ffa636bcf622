"""The page in Chromium, from a photo to the downloaded files, without a network."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import cv2
import numpy as np
import pytest

from hmr.body.model_file import save_body
from hmr.cli import web
from hmr.errors import UserError
from hmr.files.images import read_image
from hmr.network.build import build_model
from hmr.network.checkpoint import save_model
from hmr.prediction.writers.save import KINDS
from hmr.settings import ModelSpec
from hmr.web.estimator import SAMPLES, SAMPLES_FOLDER
from tests.helpers.browser import chromium, picture_of, wait_until, watched_page
from tests.helpers.shapes import round_body

pytest.importorskip("gradio_image_annotation", reason="needs the extra web")

# Runs the verb, and notes every address that the process connects to or looks up.
WATCHED_VERB = """
import sys
def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        address = arguments[1] if event == "socket.connect" else arguments
        print("network", address[0] if isinstance(address, tuple) else address, flush=True)
sys.addaudithook(note)
from hmr.cli.web import main
main(sys.argv[1:])
"""
LOCAL = {"127.0.0.1", "localhost", "::1"}
# Without a graphics card Chromium offers WebGPU and then has none; and it draws by all cores: ten
# frames a second are enough.
WITHOUT_GRAPHICS_CARD = """
delete Navigator.prototype.gpu;
window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 100);
window.cancelAnimationFrame = clearTimeout;
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    save_body(folder / "egg.npz", round_body())
    body = str(folder / "egg.npz")
    spec = ModelSpec("resnet14_v2_narrow", input_size=64, hidden_units=32, body=body)
    save_model(build_model(spec, seed=5), spec, folder)
    return folder


@pytest.fixture(scope="module")
def server(checkpoint, tmp_path_factory):
    """The page's address, the file of what the process printed, and the process.

    Its temporary files lie beside the log.
    """
    log = tmp_path_factory.mktemp("server") / "log.txt"
    with serving(checkpoint, log) as (address, process):
        yield address, log, process


@contextlib.contextmanager
def serving(checkpoint, log):
    """The address and the process of a page's server."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", WATCHED_VERB]
    command += ["--checkpoint", str(checkpoint), "--port", str(port)]
    with log.open("wb") as file:
        # Proxies that do not exist: the page is asked for directly.
        proxies = {"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "socks5://127.0.0.1:9"}
        variables = {**os.environ, **proxies, "TMPDIR": str(log.parent)}
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=variables)
    try:
        found = wait_until(
            lambda: re.search(r"(http\S+) \(Ctrl-C", log.read_text()) or process.poll(),
            "the server starts",
            240,
        )
        assert isinstance(found, re.Match), log.read_text()[-2000:]
        yield found[1].rstrip("/"), process
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser, server):
    allowed = (server[0], "data:", "blob:")
    with watched_page(browser, allowed, width=1280, height=1000) as opened:
        opened.add_init_script(WITHOUT_GRAPHICS_CARD)
        opened.goto(server[0])
        opened.get_by_text("Begin with a photo").wait_for()
        yield opened


def upload(page, path):
    page.locator("#photo-file input[type=file]").set_input_files(path)


def estimate(page):
    page.get_by_role("button", name="Estimate the body").click()
    page.get_by_text("Drag the line in the picture").wait_for()


def downloads(page, folder, ending=""):
    """File name -> path of everything that the page offers, or of the files with an ending."""
    files = {}
    for link in page.locator(
        f'#files a[download$="{ending}"]' if ending else "#files a[download]"
    ).all():
        with page.expect_download() as waiting:
            link.click()
        files[waiting.value.suggested_filename] = folder / waiting.value.suggested_filename
        waiting.value.save_as(files[waiting.value.suggested_filename])
    return files


@pytest.fixture
def photo(tmp_path):
    """Taller than the page shows it: 900 x 1400 px."""
    noise = np.random.default_rng(0).integers(60, 200, (1400, 900, 3)).astype(np.uint8)
    path = tmp_path / "my photo.jpg"
    cv2.imwrite(str(path), cv2.GaussianBlur(noise, (0, 0), 5))
    return path


@pytest.mark.slow
def test_from_upload_over_a_drawn_box_to_the_files(page, photo, tmp_path):
    upload(page, photo)
    canvas = page.locator("#person canvas")
    canvas.wait_for()
    page.wait_for_timeout(1000)
    place = canvas.bounding_box()
    shown_width = place["height"] * 900 / 1400
    left = place["x"] + (place["width"] - shown_width) / 2
    page.mouse.move(left + 0.2 * shown_width, place["y"] + 0.1 * place["height"])
    page.mouse.down()
    page.mouse.move(left + 0.5 * shown_width, place["y"] + 0.5 * place["height"], steps=4)
    page.mouse.move(left + 0.7 * shown_width, place["y"] + 0.9 * place["height"], steps=4)
    page.mouse.up()
    estimate(page)
    files = downloads(page, tmp_path)
    endings = {name.removeprefix("my photo").replace("_0", "_{}") for name in files}
    assert endings == {kind.ending for kind in KINDS.values()}
    (described,) = (json.loads(files[name].read_text()) for name in files if name.endswith("json"))
    box = described["people"][0]["rectangle_px"]
    np.testing.assert_allclose(box, [180, 140, 450, 1120], atol=12)
    (drawn,) = (read_image(files[name]) for name in files if name.endswith("_overlay.png"))
    assert drawn.shape == (1400, 900, 3)
    (glb,) = (files[name].read_bytes() for name in files if name.endswith("_scene.glb"))
    assert glb[:4] == b"glTF"


@pytest.mark.slow
def test_a_sample_with_its_box_shows_a_mesh_that_turns(page, tmp_path):
    page.locator("#samples button").first.click()
    page.locator("#person canvas").wait_for()
    estimate(page)
    name, box = next(iter(SAMPLES.items()))
    files = downloads(page, tmp_path)
    described = json.loads(files[name.replace(".jpg", ".json")].read_text())
    np.testing.assert_allclose(described["people"][0]["rectangle_px"], box, atol=1)

    mesh = page.locator("#mesh canvas")

    def of_the_mesh():
        shown = picture_of(mesh)
        return shown if (shown.max(axis=2) - shown.min(axis=2) > 15).mean() > 0.005 else None

    before = wait_until(of_the_mesh, "the mesh is shown")
    place = mesh.bounding_box()
    page.mouse.move(place["x"] + 200, place["y"] + 200)
    page.mouse.down()
    page.mouse.move(place["x"] + 350, place["y"] + 200, steps=5)
    page.mouse.up()
    wait_until(lambda: abs(picture_of(mesh) - before).mean() > 0.2, "the mesh turns")


@pytest.mark.slow
def test_a_file_that_is_no_picture_is_named_and_the_next_one_works(page, tmp_path):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"<html><script>alert(1)</script></html>")
    upload(page, bad)
    page.get_by_text("bad.jpg is not a picture that can be read").wait_for()
    assert str(tmp_path) not in page.locator("#notice").inner_text()
    assert page.get_by_role("button", name="Estimate the body").is_disabled()
    page.locator("#photo-file button[aria-label*=lear]").click()
    page.get_by_text("Begin with a photo").wait_for()
    upload(page, SAMPLES_FOLDER / "standing.jpg")
    page.locator("#person canvas").wait_for()
    estimate(page)
    (described,) = (
        json.loads(path.read_text())
        for name, path in downloads(page, tmp_path).items()
        if name.endswith("json")
    )
    # No box: the person is found.
    (person,) = described["people"]
    np.testing.assert_allclose(person["rectangle_px"], SAMPLES["standing.jpg"], atol=25)


@pytest.mark.slow
def test_a_videos_motion_plays_and_turns(page, tmp_path):
    people = read_image(SAMPLES_FOLDER / "striding.jpg")[..., ::-1]
    height, width = people.shape[:2]
    writer = cv2.VideoWriter(
        str(tmp_path / "my walk.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 25, (width, height)
    )
    for _ in range(12):
        writer.write(people)
    writer.release()
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-file input[type=file]").set_input_files(tmp_path / "my walk.avi")
    page.locator("#video-file").get_by_text("my walk").wait_for()
    page.get_by_role("button", name="Estimate the motion").click()
    page.get_by_text("1 person in 12 frames.").wait_for()
    player = page.frame_locator("#player iframe")
    player.locator("#time").fill("7")
    player.get_by_text("0.28 s, frame 7").wait_for()
    view = player.locator("#view")
    page.wait_for_timeout(300)
    before, place = picture_of(view), view.bounding_box()
    page.mouse.move(place["x"] + 200, place["y"] + 200)
    page.mouse.down()
    page.mouse.move(place["x"] + 350, place["y"] + 230, steps=5)
    page.mouse.up()
    wait_until(lambda: abs(picture_of(view) - before).mean() > 0.2, "the view turns")
    offered = page.locator("#video-files a[download]")
    names = {link.get_attribute("download") for link in offered.all()}
    endings = ("_0.bvh", "_0_motion.glb", "_0_poses.npz", "_motion.html", "_motion.npz")
    assert names == {f"my walk{ending}" for ending in endings}


@pytest.mark.slow
def test_two_visitors_get_their_own_results(browser, server, page, tmp_path):
    with watched_page(browser, (server[0], "data:", "blob:"), width=1280, height=1000) as other:
        other.add_init_script(WITHOUT_GRAPHICS_CARD)
        other.goto(server[0])
        other.get_by_text("Begin with a photo").wait_for()
        for visitor, index in ((page, 0), (other, 1)):
            visitor.locator("#samples button").nth(index).click()
            visitor.locator("#person canvas").wait_for()
        for visitor in (page, other):
            visitor.get_by_role("button", name="Estimate the body").click()
        for visitor, name in zip((page, other), SAMPLES, strict=False):
            visitor.get_by_text("Drag the line in the picture").wait_for()
            files = downloads(visitor, tmp_path, ".json")
            described = json.loads(files[name.replace(".jpg", ".json")].read_text())
            box = described["people"][0]["rectangle_px"]
            np.testing.assert_allclose(box, SAMPLES[name], atol=1)


@pytest.mark.slow
def test_the_server_stays_on_this_machine(page, server):
    """Runs when the process has done all of its work."""
    answer = page.request.get(server[0])
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    addresses = set(re.findall(r"^network (\S+)", server[1].read_text(), re.MULTILINE))
    assert addresses and addresses <= LOCAL


@pytest.mark.slow
def test_a_terminated_server_removes_uploads(server):
    """The last test of the server, which it ends."""
    address, log, process = server
    request = urllib.request.Request(
        f"{address}/gradio_api/upload",
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.jpg"\r\n\r\n'
        b"12345\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x"},
    )
    urllib.request.urlopen(request, timeout=30).close()
    assert len(list(log.parent.rglob("a.jpg"))) == 1
    process.terminate()
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    assert not list(log.parent.glob("hmr_web_*"))


def test_samples_are_there():
    assert {path.name for path in SAMPLES_FOLDER.iterdir()} == set(SAMPLES)


def test_a_port_that_is_none():
    with pytest.raises(UserError, match="1 to 65535"):
        web.main(["--port", "0"])
