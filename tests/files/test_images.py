"""Every kind of picture becomes the same RGB bytes, or one message naming file and reason."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, TiffImagePlugin, features

from hmr.errors import UserError
from hmr.files.images import read_image, write_image

HEIGHT, WIDTH = 12, 20


@pytest.fixture
def picture():
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([columns * 12, rows * 20, rows * 0 + 60], axis=-1).astype(np.uint8)


def encoded(image, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "WEBP"])
def test_lossless_formats_come_back_unchanged(picture, kind):
    data = encoded(
        Image.fromarray(picture), format=kind, **({"lossless": True} if kind == "WEBP" else {})
    )
    np.testing.assert_array_equal(read_image(data), picture)


def test_grey_and_palette_become_rgb(picture):
    grey = Image.fromarray(picture[..., 0])
    np.testing.assert_array_equal(
        read_image(encoded(grey, format="PNG")), np.repeat(picture[..., :1], 3, axis=2)
    )
    palette = Image.fromarray(picture).quantize(256)
    error = read_image(encoded(palette, format="PNG")).astype(int) - picture
    assert abs(error).mean() < 3


def test_sixteen_bits_keep_their_brightness(picture):
    deep = picture[..., 0].astype(np.uint16) * 257
    found = read_image(encoded(Image.fromarray(deep), format="PNG"))
    np.testing.assert_array_equal(found[..., 1], picture[..., 0])


def test_decimals_from_black_to_white(picture):
    values = picture[..., 0].astype(np.float32) / 255
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF")
    np.testing.assert_array_equal(read_image(file.getvalue())[..., 1], picture[..., 0])


def test_thirty_two_bit_values_are_refused(picture):
    deep = Image.fromarray(picture[..., 0].astype(np.int32) * 100_000)
    with pytest.raises(UserError, match="grey values"):
        read_image(encoded(deep, format="TIFF"))


def test_transparent_parts_lie_on_white(picture):
    alpha = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    alpha[:, :5] = 0
    layered = Image.fromarray(np.concatenate([picture, alpha], axis=2))
    found = read_image(encoded(layered, format="PNG"))
    assert (found[:, :5] == 255).all()
    np.testing.assert_array_equal(found[:, 5:], picture[:, 5:])


def test_cmyk_jpeg_keeps_its_colours():
    colour = np.full((32, 32, 3), (200, 60, 30), np.uint8)
    found = read_image(encoded(Image.fromarray(colour).convert("CMYK"), format="JPEG", quality=95))
    assert abs(found.astype(int) - colour).max() < 12


def test_exif_orientation_is_applied(picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: to be turned a quarter clockwise
    found = read_image(encoded(Image.fromarray(picture), format="PNG", exif=exif.tobytes()))
    np.testing.assert_array_equal(found, np.rot90(picture, -1))


def test_first_frame_of_an_animation(picture):
    frames = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    data = encoded(frames[0], format="PNG", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(read_image(data), picture)


def test_bomb_is_refused_from_its_header():
    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
    data = (
        b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    )
    with pytest.raises(UserError, match=r"too large|more than"):
        read_image(data)


def test_limit_is_the_callers(picture):
    with pytest.raises(UserError, match="20 x 12 pixels, more than the 100 allowed"):
        read_image(encoded(Image.fromarray(picture), format="PNG"), max_pixels=100)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html>sign in</html>", "web page"),
        (b'{"people": []}', "JSON"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", "not a picture"),
        (b"\x89PNG\r\n\x1a\nrubbish", "damaged|not a picture"),
    ],
)
def test_other_files_are_named_with_the_reason(tmp_path, content, reason):
    path = tmp_path / "strange.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        read_image(path)
    assert "strange.jpg" in str(error.value)


def test_missing_file_and_folder_are_named(tmp_path):
    with pytest.raises(UserError, match=r"no file at .*absent\.png"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(UserError, match="a folder"):
        read_image(tmp_path)


def test_truncated_jpeg_is_refused(picture):
    large = Image.fromarray(np.kron(picture, np.ones((20, 20, 1), np.uint8)))
    data = encoded(large, format="JPEG")
    with pytest.raises(UserError, match="damaged or cut short"):
        read_image(data[: len(data) // 2])


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kind=st.sampled_from(["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM"]), data=st.data())
def test_damaged_bytes_give_a_picture_or_a_user_error(picture, kind, data):
    content = bytearray(encoded(Image.fromarray(picture), format=kind))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(1, len(content)))
    try:
        found = read_image(bytes(content[:cut]), max_pixels=1_000_000)
    except UserError:
        return
    assert found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3


def test_written_picture_reads_back(tmp_path, picture):
    write_image(tmp_path / "new" / "a.png", picture)
    np.testing.assert_array_equal(read_image(tmp_path / "new" / "a.png"), picture)


def test_place_that_cannot_be_written_to_is_named(tmp_path, picture):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        write_image(tmp_path / "file" / "a.png", picture)


def png_with(picture, name: bytes, body: bytes) -> bytes:
    data = encoded(Image.fromarray(picture), format="PNG")
    chunk = struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data[:33] + chunk + data[33:]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"iCCP", b"profile\0\0" + zlib.compress(bytes(2_000_000))),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b" " * 2_000_000)),
        (b"tEXt", b"Comment\0" + bytes(100)),
        (b"eXIf", b"MM\0*\0\0\0\x08\xff\xff rubbish"),
    ],
)
def test_metadata_of_a_png_does_not_decide_whether_it_is_read(picture, name, body):
    np.testing.assert_array_equal(read_image(png_with(picture, name, body)), picture)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rubbish=st.binary(max_size=300), kind=st.sampled_from(["JPEG", "PNG", "WEBP"]))
def test_no_exif_stops_a_picture(picture, rubbish, kind):
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + rubbish
    assert read_image(encoded(Image.fromarray(picture), format=kind, exif=exif)).size


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_turns_as_pillow_turns_it(picture, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(picture), format="PNG", exif=exif.tobytes())
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(read_image(data), np.asarray(upright))


def test_what_cannot_be_read_is_named_by_its_kind():
    with pytest.raises(UserError, match=r"HEIC: .*heic.*, or save it as JPEG|a damaged HEIC"):
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(UserError, match="it is MP4"):
        read_image(b"\0\0\0\x18ftypisom\0\0\0\0isomavc1")


def test_a_raw_picture_is_named_instead_of_its_preview(picture):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[0xC612] = b"\1\4\0\0"
    with pytest.raises(UserError, match="DNG"):
        read_image(encoded(Image.fromarray(picture), format="TIFF", tiffinfo=tags))


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 5}])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_half_a_jpeg_with_an_end_marker_is_refused(picture, share, options):
    large = Image.fromarray(np.kron(picture, np.ones((20, 20, 1), np.uint8)))
    data = encoded(large, format="JPEG", **options)
    assert read_image(data + b"\0\0appended").shape == (*large.size[::-1], 3)
    start = data.index(b"\xff\xda") + 14
    part = data[: start + int(share * (len(data) - 2 - start))].rstrip(b"\xff")
    with pytest.raises(UserError, match="damaged or cut short"):
        read_image(part + b"\xff\xd9")


@pytest.mark.parametrize("orientation", [1, 6])
def test_heic_is_read_upright_where_its_plugin_is_installed(tmp_path, orientation):
    plugin = pytest.importorskip("pillow_heif")
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:, :16] = 255  # the left quarter, which stands on top once it is turned
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = plugin.from_pillow(Image.fromarray(stored))
    picture.save(tmp_path / "a.HEIC", exif=exif.tobytes(), quality=100)
    read = read_image(tmp_path / "a.HEIC")
    upright = stored if orientation == 1 else np.rot90(stored, -1)
    assert read.shape == upright.shape and np.abs(read.astype(int) - upright).mean() < 4


def test_avif_is_read(tmp_path):
    if not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    stored = np.zeros((48, 64, 3), np.uint8)
    stored[:, :16] = 255
    Image.fromarray(stored).save(tmp_path / "a.jpg", "AVIF", quality=95)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - stored).mean() < 4
