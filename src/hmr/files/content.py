"""What a file is, by its first bytes: its name may say anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

_START_BYTES = 512
_PACKET_BYTES, _PACKET_START = 188, 0x47
# Pattern of the first bytes, whether it is a video, and the format.
_SIGNATURES = [
    (re.compile(pattern, re.DOTALL), is_video, name)
    for pattern, is_video, name in (
        (rb"\xff\xd8\xff", False, "JPEG"),
        (rb"\x89PNG", False, "PNG"),
        (rb"BM.{4}\0\0\0\0", False, "BMP"),
        (rb"GIF8[79]a", False, "GIF"),
        (rb"(II\*\0|MM\0\*).{4}CR\x02", False, "CR2 (camera raw)"),
        (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", False, "TIFF"),
        (rb"RIFF.{4}WEBP", False, "WEBP"),
        (rb"P[1-6]\s", False, "PPM"),
        (rb".{4}ftyp(hei[cxms]|hev[cx]|mif1|msf1)", False, "HEIC"),
        (rb".{4}ftypavi[fs]", False, "AVIF"),
        (rb".{4}ftypcrx ", False, "CR3 (camera raw)"),
        (rb"FUJIFILMCCD", False, "RAF (camera raw)"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", False, "JPEG XL"),
        (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", False, "JPEG 2000"),
        (rb"8BPS", False, "Photoshop"),
        (rb".{4}(ftyp|moov|mdat|wide)", True, "MP4 or QuickTime"),
        (rb"RIFF.{4}AVI ", True, "AVI"),
        (rb"\x1aE\xdf\xa3", True, "Matroska or WebM"),
        (rb"FLV\x01", True, "Flash video"),
        (rb"\0\0\x01[\xba\xb3]", True, "MPEG"),
        (rb"0&\xb2u\x8ef\xcf\x11", True, "Windows Media"),
        (rb"OggS", True, "Ogg"),
    )
]


class Content(NamedTuple):
    """What a file holds: a picture or a video, and its format."""

    is_video: bool
    name: str


def content_of(start: bytes) -> Content | None:
    """What picture or video a file is that begins with these bytes; None for anything else."""
    for pattern, is_video, name in _SIGNATURES:
        if pattern.match(start):
            return Content(is_video, name)
    # The packets of a transport stream, which cameras (.mts) put four bytes before each.
    for first, length in ((0, _PACKET_BYTES), (4, _PACKET_BYTES + 4)):
        if set(start[first:_START_BYTES:length]) == {_PACKET_START}:
            return Content(True, "MPEG transport stream") if len(start) > 2 * length else None
    return None


def content_of_file(path: Path) -> Content | None:
    """`content_of` for a file; None also where it cannot be read."""
    try:
        with path.open("rb") as file:
            return content_of(file.read(_START_BYTES))
    except OSError:
        return None
