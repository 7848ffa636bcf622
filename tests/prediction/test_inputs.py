"""Files, folders, patterns and videos as one stream of pictures."""

import os
from pathlib import Path

import numpy as np
import pytest

from hmr.errors import UserError
from hmr.files.images import write_image
from hmr.files.video import Video, VideoWriter
from hmr.prediction.inputs import ImageFiles, open_inputs


def flat(value, height=48, width=64):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path):
    for name in ("b.png", "a.jpg", "below/c.png"):
        write_image(tmp_path / "pictures" / name, flat(90))
    (tmp_path / "pictures" / "notes.txt").write_text("not a picture")
    return tmp_path / "pictures"


@pytest.fixture
def clip(tmp_path):
    writer = VideoWriter(tmp_path / "clip.mp4", 12.0)
    for index in range(10):
        writer.add(flat(20 * index))
    assert writer.close()
    return tmp_path / "clip.mp4"


def names(source):
    return [Path(frame.name).name for frame in source]


def test_a_folders_pipes_and_links_to_nothing_are_named(folder):
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.jpg").symlink_to("nowhere")
    source = open_inputs([str(folder)])
    assert names(source) == ["a.jpg", "b.png"]
    assert source.notes == [f"{folder}: no pictures, passed over: gone.jpg, notes.txt, pipe.jpg"]


def test_a_colon_in_a_videos_name_is_no_protocol(clip, monkeypatch):
    monkeypatch.chdir(clip.parent)
    clip.rename("cam:1.mp4")
    assert len(list(open_inputs(["cam:1.mp4"]))) == 10


def test_folder_gives_its_pictures_in_order(folder):
    assert names(open_inputs([str(folder)])) == ["a.jpg", "b.png"]


def test_pattern_reaches_below_and_results_keep_the_folders(folder):
    source = open_inputs([str(folder / "**" / "*.[jp]*g")])
    assert names(source) == ["a.jpg", "b.png", "c.png"]
    assert [frame.target for frame in source] == [Path("a"), Path("b"), Path("below/c")]


def test_folders_that_are_there_are_no_patterns(folder, monkeypatch):
    folder = folder.rename(folder.with_name("photos [1]*?"))
    assert names(open_inputs([str(folder / "*.jpg")])) == ["a.jpg"]
    monkeypatch.chdir(folder)
    assert open_inputs(["*.jpg"]).names == ["a.jpg"]
    monkeypatch.chdir(folder / "below")
    assert open_inputs(["../*.jpg"]).names == ["../a.jpg"]


def test_names_that_clash_keep_their_suffix(tmp_path):
    paths = [tmp_path / name for name in ("a.jpg", "a.png", "b.jpg")]
    assert [str(target) for target in ImageFiles(paths).targets] == ["a.jpg", "a.png", "b"]


def test_single_picture_is_read_when_asked(folder):
    (frame,) = open_inputs([str(folder / "b.png")])
    np.testing.assert_array_equal(frame.load(), flat(90))


def test_broken_picture_says_so_when_loaded(folder):
    (folder / "a.jpg").write_bytes(b"broken")
    first, second = open_inputs([str(folder)])
    with pytest.raises(UserError, match=r"a\.jpg"):
        first.load()
    assert second.load().shape == (48, 64, 3)


@pytest.mark.parametrize("text", ["absent.jpg", "absent/*.jpg", "absent"])
def test_nothing_there_is_said(tmp_path, text):
    with pytest.raises(UserError, match="no such file or folder"):
        open_inputs([str(tmp_path / text)])


def test_folder_without_pictures_is_said(tmp_path):
    with pytest.raises(UserError, match="holds no picture"):
        open_inputs([str(tmp_path)])


def test_video_frames_are_named_as_openpose_names_them(clip):
    video = open_inputs([str(clip)])
    frames = list(video)
    assert isinstance(video, Video) and len(video) == len(frames) == 10
    assert frames[3].name == "clip_000000000003"
    assert frames[3].target == Path("clip/clip_000000000003")
    assert video.rate == 12.0 and video.problem is None
    assert abs(frames[3].load().astype(int) - 60).mean() < 4


def test_video_stops_where_asked(clip):
    video = open_inputs([str(clip)], max_frames=4)
    assert len(video) == len(list(video)) == 4 and video.problem is None


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_file_that_is_no_video_is_refused(tmp_path, content):
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(UserError, match="video"):
        open_inputs([str(path)])


def test_several_videos_are_refused(tmp_path, clip):
    (tmp_path / "clip2.mp4").write_bytes(clip.read_bytes())
    with pytest.raises(UserError, match="one at a time"):
        open_inputs([str(tmp_path / "*.mp4")])


def test_pictures_that_a_shell_lists_are_taken_together(folder, clip):
    texts = [str(folder / "b.png"), str(folder), str(folder / "*.jpg")]
    assert sorted(names(open_inputs(texts))) == ["a.jpg", "b.png"]
    with pytest.raises(UserError, match=r"one video or camera at a time.*clip"):
        open_inputs([str(folder), str(clip)])


def test_absent_camera_is_named():
    with pytest.raises(UserError, match="no camera 97 can be opened"):
        open_inputs(["97"])


def test_number_of_frames_must_be_positive(clip):
    with pytest.raises(UserError, match="max_frames must be at least 1"):
        open_inputs([str(clip)], max_frames=0)


def test_content_and_not_the_ending_says_what_is_a_picture(folder):
    (folder / "a.jpg").rename(folder / "a.jfif")
    (folder / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (folder / "._b.png").write_bytes(b"\0\5\x16\7")
    source = open_inputs([str(folder)])
    assert names(source) == ["IMG_1.HEIC", "a.jfif", "b.png"]
    assert source.notes == [f"{folder}: no pictures, passed over: notes.txt"]
    assert list(source)[1].load().shape == (48, 64, 3)


@pytest.mark.parametrize("ending", [".3gp", ".mts", ".ts", ".flv", ".dat", ""])
def test_a_video_under_any_ending(tmp_path, clip, ending):
    clip.rename(tmp_path / f"walk{ending}")
    assert len(list(open_inputs([str(tmp_path / f"walk{ending}")]))) == 10


def test_a_picture_under_a_videos_ending(folder):
    (folder / "b.png").rename(folder / "b.mp4")
    assert names(open_inputs([str(folder / "b.mp4")])) == ["b.mp4"]


def test_own_results_are_never_inputs(folder, clip):
    for name in ("a.npz", "a.json", "prediction_summary.json", "c_overlay.png"):
        (folder / name).touch()
    for name in ("a_overlay.png", "a_side.png", "a_crop.png"):
        write_image(folder / name, flat(9))
    wanted = ["a.jpg", "b.png", "c_overlay.png"]
    source = open_inputs([str(folder)])
    assert names(source) == wanted
    assert "passed over: a_crop.png, a_overlay.png, a_side.png" in source.notes[0]
    assert names(open_inputs([str(folder / "*.[pj][np]g")])) == wanted
    assert names(open_inputs(sorted(map(str, folder.glob("*.[pj][np]g"))))) == wanted
    assert names(open_inputs([str(folder / "a_overlay.png")])) == ["a_overlay.png"]


def test_the_drawn_copy_of_a_video_is_no_input(clip):
    clip.with_name("clip_overlay.mp4").write_bytes(clip.read_bytes())
    (clip.parent / "clip").mkdir()
    (clip.parent / "clip" / f"clip_{0:012d}.npz").touch()
    assert len(open_inputs([str(clip.parent / "*.mp4")])) == 10
