"""Videos written and read back, whole and cut short."""

import cv2
import numpy as np
import pytest

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
