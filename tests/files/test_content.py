"""Pictures and videos are known by their first bytes."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hmr.files.content import content_of
from hmr.files.video import VideoWriter


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "AVIF"])
def test_pictures(kind):
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file, kind)
    assert content_of(file.getvalue()) == (False, kind)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x14ftyp3gp4", "MP4"),
        (b"\0\0\0\x14ftypqt  ", "MP4"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"FLV\x01\x05", "Flash"),
        ((b"\x47" + bytes(187)) * 4, "transport"),
        ((bytes(4) + b"\x47" + bytes(187)) * 4, "transport"),
    ],
)
def test_videos(start, name):
    content = content_of(start)
    assert content.is_video and name in content.name


def test_a_video_that_is_written_here(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", 10)
    writer.add(np.zeros((16, 16, 3), np.uint8))
    writer.close()
    assert content_of((tmp_path / "a.mp4").read_bytes()).is_video


@given(st.text(max_size=600).filter(lambda text: not text.startswith(("P", "BM"))))
def test_text_is_neither(text):
    assert content_of(b"# " + text.encode()) is None
