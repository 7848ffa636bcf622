"""Videos written and read back, whole and cut short."""

import base64
import struct

import cv2
import numpy as np
import pytest

from hmr.errors import UserError
from hmr.files.images import read_image
from hmr.files.video import Video, VideoWriter, fit_into
from tests.helpers.browser import chromium, watched_page


def flat(value, height=48, width=64):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def clip(tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4", 12.0)
    for index in range(10):
        writer.add(flat(20 * index))
    assert writer.close()
    return tmp_path / "clip.mp4"


def test_video_that_ends_early_is_reported(tmp_path):
    path = tmp_path / "cut.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    noise = np.random.default_rng(0).integers(0, 255, (40, 48, 64, 3), np.uint8)
    for picture in noise:
        writer.write(picture)
    writer.release()
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    video = Video(path)
    read = len(list(video))
    if video.problem is None:
        assert read == len(video), "the reader noticed the cut in the header already"
    else:
        assert 0 < read < 40 and f"{read} frames of" in video.problem


def test_announced_length_that_is_not_reached_is_a_problem(clip, monkeypatch):
    video = Video(clip)
    monkeypatch.setattr(video, "_announced", 50)
    assert len(list(video)) == 10
    assert video.problem == f"{clip} ended early: 10 frames of 50 announced"


def test_written_video_has_its_frames_and_no_leftovers(tmp_path, clip):
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    writer = VideoWriter(tmp_path / "other.mp4", 5)
    assert not writer.close()
    writer.add(flat(0))
    writer.abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_fit_into_keeps_the_shape_of_the_picture():
    assert fit_into(flat(9, 49, 65), 64, 48).shape == (48, 64, 3)
    wide = fit_into(flat(0, 20, 200), 100, 100)
    assert (wide[:40] == 255).all() and (wide[48:52] == 0).all()


@pytest.mark.parametrize(
    "rate", [0.02, 7.3, 23.976, 59.94005994, 119.88012, 211.222, 700.05, 999.9]
)
def test_every_rate_that_cameras_write_can_be_written(tmp_path, rate):
    writer = VideoWriter(tmp_path / "clip.mp4", rate)
    writer.add(flat(0))
    writer.add(flat(200))
    assert writer.close()
    assert Video(tmp_path / "clip.mp4").rate == pytest.approx(rate, rel=1e-4)


def test_a_name_that_is_no_text_is_read_and_written(tmp_path, clip):
    """OpenCV itself crashes on it."""
    named = tmp_path / "r\udce9union.mp4"
    clip.rename(named)
    assert len(list(Video(named))) == 10
    writer = VideoWriter(tmp_path / "copi\udce9.mp4", 12.0)
    writer.add(flat(0))
    assert writer.close() and (tmp_path / "copi\udce9.mp4").is_file()
    with pytest.raises(UserError, match="a name in UTF-8"):
        VideoWriter(tmp_path / "f\udce9" / "copy.mp4", 12.0).add(flat(0))


def turned_by_a_quarter(path):
    """Marks an mp4 as phones do that are held upright: to be shown turned by 90 degrees."""
    data = bytearray(path.read_bytes())
    matrix = [0, 1 << 16, 0, -1 << 16, 0, 0, 48 << 16, 0, 1 << 30]
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, *matrix)
    path.write_bytes(data)


def test_a_video_of_a_phone_held_upright_is_read_upright(tmp_path):
    picture = flat(0)
    picture[:, :20] = 250
    writer = VideoWriter(tmp_path / "clip.mp4", 12.0)
    for _ in range(5):
        writer.add(picture)
    assert writer.close()
    turned_by_a_quarter(tmp_path / "clip.mp4")
    frames = [source.load() for source in Video(tmp_path / "clip.mp4")]
    assert [frame.shape for frame in frames] == [(64, 48, 3)] * 5
    assert (frames[0][:18] > 200).all() and (frames[0][24:] < 50).all(), "left has become top"


def test_frames_are_written_in_order_though_another_thread_encodes_them(tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4", 30.0)
    for index in range(50):
        writer.add(flat(5 * index))
    assert writer.close()
    found = [source.load().mean() for source in Video(tmp_path / "clip.mp4")]
    np.testing.assert_allclose(found, 5 * np.arange(50), atol=4)


@pytest.mark.slow
def test_a_browser_plays_what_is_written(tmp_path):
    """Chromium, without another codec: size, length, and a frame half-way."""
    writer = VideoWriter(tmp_path / "clip.mp4", 12.5)
    for index in range(50):
        writer.add(
            flat(0) + np.uint8([0, 0, 200]) if index < 25 else flat(0) + np.uint8([200, 0, 0])
        )
    assert writer.close()
    page_file = tmp_path / "page.html"
    # From within the page, so that it may look at the pixels.
    text = base64.b64encode((tmp_path / "clip.mp4").read_bytes()).decode()
    page_file.write_text(f'<video id="v" src="data:video/mp4;base64,{text}" muted></video>')
    show = """async (seconds) => {
        const video = document.getElementById("v");
        if (video.readyState < 1) await new Promise((done, failed) => {
            video.onloadedmetadata = done; video.onerror = () => failed(video.error.message); });
        video.pause();
        await new Promise((done) => {  // a busy browser shows other frames after it has sought
            const look = (now, frame) => Math.abs(frame.mediaTime - seconds) < 0.1
                ? done() : video.requestVideoFrameCallback(look);
            video.requestVideoFrameCallback(look);
            video.currentTime = seconds; });
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
        canvas.getContext("2d").drawImage(video, 0, 0);
        return [video.videoWidth, video.videoHeight, video.duration,
                canvas.toDataURL(), await video.play().then(() => "plays")];
    }"""
    with chromium() as browser, watched_page(browser) as page:
        page.goto(page_file.as_uri())
        for seconds, color in ((1.0, (0, 0, 200)), (3.0, (200, 0, 0))):
            width, height, duration, shown, played = page.evaluate(show, seconds)
            assert (width, height, played) == (64, 48, "plays")
            assert duration == pytest.approx(4.0, abs=0.1)
            picture = read_image(base64.b64decode(shown.split(",")[1]))
            # OpenCV writes BT.601's colours without saying so, and browsers take them for BT.709's.
            np.testing.assert_allclose(picture.mean(axis=(0, 1)), color, atol=25)


def rotated(data, matrix):
    """An mp4 whose track is shown through a matrix, as telephones write it."""
    at = data.index(b"tkhd") + 44
    cells = [cell << (30 if place == 8 else 16) for place, cell in enumerate(matrix)]
    return data[:at] + struct.pack(">9i", *cells) + data[at + 36 :]


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_videos_of_telephones_are_turned_upright(tmp_path, turns):
    cos, sin = ((0, 1), (-1, 0), (0, -1))[turns - 1]
    matrix = (cos, sin, 0, -sin, cos, 0, 0, 0, 1)
    image = flat(20)
    image[:, :16] = 230
    writer = VideoWriter(tmp_path / "stored.mp4", 25.0)
    writer.add(image)
    writer.close()
    (tmp_path / "a.mp4").write_bytes(rotated((tmp_path / "stored.mp4").read_bytes(), matrix))
    (frame,) = (frame.load() for frame in Video(tmp_path / "a.mp4"))
    upright = np.rot90(image, -turns)
    assert frame.shape == upright.shape and np.abs(frame.astype(int) - upright).mean() < 12


KINDS = [("avi", "MJPG"), ("mkv", "mp4v"), ("mov", "mp4v"), ("mkv", "FFV1")]


@pytest.mark.parametrize(("ending", "code"), KINDS)
def test_containers(tmp_path, ending, code):
    path = tmp_path / f"a.{ending}"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*code), 50 / 3, (60, 46))
    for value in (10, 100, 200):
        writer.write(flat(value, 46, 60))
    writer.release()
    video = Video(path)
    frames = [frame.load() for frame in video]
    assert [frame.shape for frame in frames] == [(46, 60, 3)] * 3 and not video.problem
    assert abs(video.rate - 50 / 3) < 0.05


def test_a_video_without_frames_says_what_to_do(tmp_path):
    path = tmp_path / "none.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48)).release()
    video = Video(path)
    assert not list(video)
    assert "no frame can be read" in video.problem and "ffmpeg -i" in video.problem


def test_a_rate_that_varies_is_no_early_end(clip, monkeypatch):
    """Some headers give a length alone, of which a number of frames is made by the first rate."""
    video = Video(clip)
    monkeypatch.setattr(video, "_announced", 40)
    monkeypatch.setattr(video, "rate", video.rate * 4)
    assert sum(1 for _ in video) == 10 and video.problem is None
