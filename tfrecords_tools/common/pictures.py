"""From a picture and its labels to a record's person: read, scale, cut out, encode.

The rule is the original's: the picture is scaled (bilinear) so that the person is about 150 px, and
a window of fixed size around the middle of its keypoints is stored as JPEG of quality 95. One
difference: after scaling, x follows the columns' factor and y the rows' (the original exchanges
the two, by less than a pixel).
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
from PIL import Image

from hmr.body.joints import COCOPLUS, take_joints
from hmr.data.schema import Person
from hmr.errors import UserError
from hmr.files.coco_json import SIZE_UNKNOWN, Size
from hmr.files.foreign import read_bounded
from hmr.files.images import (
    MAX_PICTURE_BYTES,
    MAX_PIXELS,
    claims_too_much,
    is_picture,
    jpeg_lacks_data,
    load_pixels,
    orientation_of,
    png_ends_early,
    turn_upright,
)
from hmr.geometry.crop import crop_rule, scaled_size
from tfrecords_tools.common.jobs import SampleError

JPEG_QUALITY = 95
# EXIF orientations that exchange width and height.
_ON_ITS_SIDE = (5, 6, 7, 8)
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


def read_bytes(path: Path) -> bytes:
    """The bytes of a picture file.

    Raises:
        SampleError: the file is missing or cannot be read.
    """
    try:
        return read_bounded(path, MAX_PICTURE_BYTES)
    except UserError as error:
        why = "unreadable picture" if os.path.lexists(path) else "missing picture"
        raise SampleError(why, path.name) from error


def decode(data: bytes, name: str) -> np.ndarray:
    """Decodes a picture to (H, W, 3) uint8 BGR, without turning it by its EXIF orientation.

    Datasets count pixels in the stored orientation, and so does TensorFlow's decoder.

    Raises:
        SampleError: not a picture, or a truncated one.
    """
    image = None
    if _is_decodable(data, whole=not (data.startswith(_JPEG_START) and data.endswith(_JPEG_END))):
        flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise SampleError("unreadable picture", name)
    return image


def _open_bounded(file: IO[bytes]) -> Image.Image:
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    image = Image.open(file)
    if math.prod(image.size) > MAX_PIXELS or claims_too_much(image, size):
        raise ValueError(f"a picture of {image.size} pixels")
    return image


def _is_decodable(data: bytes, whole: bool) -> bool:
    """Whether Pillow, too, takes this for a picture, and not for a huge one.

    Args:
        data: the file.
        whole: also decode it: OpenCV fills the rest of a truncated picture with grey.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            load_pixels(data, _open_bounded, whole)
            return not jpeg_lacks_data(data) and not png_ends_early(data)
    except Exception:  # Pillow raises whatever damage leads to
        return False


def read_picture(path: Path) -> np.ndarray:
    """Reads a picture as (H, W, 3) uint8 BGR.

    Raises:
        SampleError: missing, unreadable or truncated.
    """
    return decode(read_bytes(path), path.name)


def read_as_labelled(path: Path, size: Size = SIZE_UNKNOWN, turned: bool = False) -> np.ndarray:
    """Reads a picture (H, W, 3) uint8 BGR in the orientation in which it was labelled.

    Args:
        path: of the picture.
        size: of the picture on which the labels were made: it tells a picture that was turned by
            its EXIF orientation from the stored one, unless both are of the same size.
        turned: whether it was turned where the size does not tell.

    Raises:
        SampleError: as `read_picture`, or the size is neither's.
    """
    data = read_bytes(path)
    image = decode(data, path.name)
    stored: Size = (image.shape[1], image.shape[0])
    if size in (SIZE_UNKNOWN, stored) and not turned:
        return image
    orientation = orientation_of(io.BytesIO(data), path)
    upright = stored[::-1] if orientation in _ON_ITS_SIDE else stored
    if size not in (SIZE_UNKNOWN, stored, upright):
        raise SampleError("picture of another size than its labels say", path.name)
    if size == stored != upright:
        return image
    return np.asarray(turn_upright(Image.fromarray(image), orientation))


def find_pictures(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    """The pictures that a file of labels calls so.

    Where one is not there, its name may have another ending or none, be written in other letters,
    lie below further folders, or be what an annotation tool made of it, as in prediction.

    Returns:
        name -> path; of a name that fits none, or several, a path where nothing is.
    """
    found = {name: _with_fewer_folders(folder, name) for name in names}
    missing = [name for name, path in found.items() if not path.is_file()]
    if missing and folder.is_dir():
        # Takes TensorFlow to import.
        from hmr.prediction.picture_names import NameIndex

        taken = set(found.values())
        others = [path for path in sorted(folder.rglob("*")) if path not in taken]
        pictures = {
            os.sep + str(path.relative_to(folder)): path
            for path in others
            if path.is_file() and is_picture(path)
        }
        fits, _ = NameIndex(missing, all_folders=True).match(list(pictures))
        found |= {str(name): pictures[picture] for picture, name in fits.items()}
    return found


def _with_fewer_folders(folder: Path, name: str) -> Path:
    """The picture, without the folders at the beginning of its name that are not there."""
    parts = name.replace("\\", "/").split("/")
    paths = [folder / name, *(folder.joinpath(*parts[at:]) for at in range(len(parts)))]
    return paths[0] if len(parts) == 1 else next(filter(Path.is_file, paths), paths[0])


def encode(image: np.ndarray) -> bytes:
    """JPEG bytes of a BGR picture."""
    written, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not written:
        raise ValueError(f"cannot encode a picture of shape {image.shape}")
    return data.tobytes()


@dataclass(frozen=True, slots=True)
class Labels:
    """2D labels of one person in a picture.

    Attributes:
        keypoints2d_px: (19, 2) cocoplus joints in the picture.
        visibility: (19,) int; 0 where unlabelled.
        name: what to call the person in messages.
        extras: what else a record holds of the person: further arguments of `Person`.
    """

    keypoints2d_px: np.ndarray
    visibility: np.ndarray
    name: str
    extras: dict[str, Any] = field(default_factory=dict)

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Corners (2,) of the box around the labelled keypoints: least and greatest x, y.

        Raises:
            SampleError: no keypoint is labelled, or one is not finite.
        """
        labelled = np.asarray(self.keypoints2d_px, np.float64)[np.asarray(self.visibility) > 0]
        if not len(labelled):
            raise SampleError("no labelled keypoint", self.name)
        if not np.isfinite(labelled).all():
            raise SampleError("coordinates that are not finite", self.name)
        return labelled.min(axis=0), labelled.max(axis=0)

    def middle_px(self) -> np.ndarray:
        """Middle (2,) of that box.

        Raises:
            SampleError: as `box`.
        """
        with np.errstate(divide="ignore"):  # of a single point
            return crop_rule(*self.box())[0]


def reorder(keypoints: np.ndarray, names: tuple[str, ...], person: str, **extras: Any) -> Labels:
    """Labels in cocoplus order of keypoints (K, 3): x, y in px and visibility, called `names`."""
    ordered = take_joints(keypoints, names, COCOPLUS)
    return Labels(ordered[:, :2], ordered[:, 2].astype(int), person, extras)


def full_body_scale(labels: Labels) -> float:
    """The factor that makes the diagonal of the keypoints' box 150 px.

    Raises:
        SampleError: as `Labels.box`, and if all labelled keypoints lie in one point.
    """
    low, high = labels.box()
    if (low == high).all():
        raise SampleError("person of no extent", labels.name)
    return crop_rule(low, high)[1]


def whole_person(path: Path, labels: Labels, dataset: str) -> Person:
    """A person in a picture that is stored as it is; the bytes of a JPEG are copied.

    Raises:
        SampleError: unreadable picture or unusable labels.
    """
    middle_px = labels.middle_px()
    data = read_bytes(path)
    image = decode(data, path.name)
    return Person(
        encoded=data if data.startswith(_JPEG_START) else encode(image),
        height=image.shape[0],
        width=image.shape[1],
        filename=path.name,
        dataset=dataset,
        center_px=middle_px,
        keypoints2d_px=_zero_unlabelled(labels.keypoints2d_px, labels.visibility),
        visibility=labels.visibility,
    )


def cut_person(
    image: np.ndarray,
    labels: Labels,
    scale: float,
    margin_px: int,
    *,
    whole_center: bool = False,
    intrinsics_px: np.ndarray | None = None,
    **fields: Any,
) -> Person:
    """A person scaled and cut out of a picture.

    Args:
        image: (H, W, 3) uint8 BGR.
        labels: in that picture's pixels.
        scale: stored pixels per picture pixel.
        margin_px: half the side of the window; where it leaves the picture it is cut off.
        whole_center: round the middle of the keypoints' box to whole pixels before cutting, as the
            original does in sets with 3D joints.
        intrinsics_px: (3,) focal length, cx, cy in the picture's pixels; stored for the window.
        **fields: filename, dataset and whatever else `Person` takes.
    Raises:
        SampleError: unusable labels, or the window lies outside the picture.
    """
    resized, factors = scaled_size(np.array(image.shape[1::-1]), scale)
    center = labels.middle_px() * factors
    if whole_center:
        center = np.round(center)
    start = np.maximum(center - margin_px, 0).astype(int)
    end = np.minimum((center + margin_px).astype(int), resized.astype(int))
    if (end <= start).any():
        raise SampleError("person outside the picture", labels.name)
    window = scaled_window(image, resized.astype(int), start, end)
    keypoints = np.asarray(labels.keypoints2d_px, np.float64) * factors - start
    if intrinsics_px is not None:
        focal, principal = intrinsics_px[0] * factors.mean(), intrinsics_px[1:] * factors - start
        intrinsics_px = np.array([focal, *principal])
    return Person(
        encoded=encode(window),
        height=window.shape[0],
        width=window.shape[1],
        center_px=center - start,
        keypoints2d_px=_zero_unlabelled(keypoints, labels.visibility),
        visibility=labels.visibility,
        intrinsics_px=intrinsics_px,
        scale_factors=factors[::-1],
        crop_origin_px=start,
        **fields,
    )


def scaled_window(
    image: np.ndarray, resized: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Pixels start..end (x, y) of the picture resized by OpenCV, (H, W, 3) uint8.

    An enlarged picture may be huge, so only its window is computed: up to two grey levels off.
    """
    if (resized <= image.shape[1::-1]).all():
        smaller = cv2.resize(image, resized.tolist(), interpolation=cv2.INTER_LINEAR)
        return smaller[start[1] : end[1], start[0] : end[0]]
    step = image.shape[1::-1] / resized
    offset = (start + 0.5) * step - 0.5
    to_source = np.array([[step[0], 0, offset[0]], [0, step[1], offset[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(
        image, to_source, (end - start).tolist(), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )


def _zero_unlabelled(keypoints2d_px: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    return np.where(np.asarray(visibility)[:, None] > 0, keypoints2d_px, 0.0)
