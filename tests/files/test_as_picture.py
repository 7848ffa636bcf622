"""Arrays that callers have become the picture that the same file would be."""

import numpy as np
import pytest

from hmr.errors import UserError
from hmr.files.as_picture import as_picture
from hmr.files.images import read_image, write_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
GREY = RGB[..., 0]


@pytest.mark.parametrize(
    ("given", "expected", "done"),
    [
        (RGB, RGB, ""),
        (RGB[:, ::-1], RGB[:, ::-1], ""),
        (GREY, np.stack([GREY] * 3, axis=2), "grey"),
        (GREY[..., None], np.stack([GREY] * 3, axis=2), "grey"),
        (RGB / 255, RGB, "0 to 1"),
        ((RGB / 255).astype(np.float32), RGB, "0 to 1"),
        (RGB.astype(np.float32), RGB, "0 to 255"),
        (RGB.astype(np.uint16) * 257, RGB, "16-bit"),
        (np.dstack([RGB, np.full((6, 5), 255, np.uint8)]), RGB, "white"),
        (np.dstack([RGB, np.zeros((6, 5), np.uint8)]), np.full_like(RGB, 255), "white"),
    ],
)
def test_each_kind_becomes_bytes_and_is_said(given, expected, done):
    picture, said = as_picture(given)
    np.testing.assert_array_equal(picture, expected)
    assert picture.dtype == np.uint8 and picture.flags.c_contiguous
    assert done in said and bool(said) == bool(done)


def test_a_path_is_read(tmp_path):
    write_image(tmp_path / "a.png", RGB)
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        picture, said = as_picture(path)
        np.testing.assert_array_equal(picture, read_image(path))
        assert said == ""


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((0, 5, 3), np.uint8), np.zeros(5), np.zeros((5, 5, 2)), np.zeros((2, 5, 5, 3)),
        np.full((5, 5, 3), -1.0), np.full((5, 5, 3), np.nan), np.full((5, 5, 3), 300.0),
        np.zeros((5, 5, 3), np.int32), [[1, 2], [3, 4]], None,
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(UserError, match=r"a picture.*Received"):
        as_picture(wrong)
