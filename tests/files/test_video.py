"""Videos written and read back, whole and cut short."""

import cv2
import numpy as np
import pytest

from hmr.errors import UserError
from hmr.files.video import Video, VideoWriter, fit_into


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
