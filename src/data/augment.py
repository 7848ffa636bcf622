"""From a stored picture to the network's input: scale, shift, crop and flip in one warp.

The geometry is the original's, to the pixel: the picture is scaled to a whole number of pixels,
the jittered centre truncated to whole pixels, and the 224-pixel crop about it repeats the edge.
The original resizes the whole picture and then crops; one warp samples the same positions with the
same bilinear rule (TF1's: destination pixel i reads source position i / factor).
"""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf

from src.body.joints import AXIS_ANGLE_FLIP_SIGN, COCOPLUS_FLIP, LSP14_FLIP, SMPL_FLIP
from src.body.tensor import Tensor

CROP_SIZE = 224
_DECODE_RATIOS = (8, 4, 2, 1)
_LABELS = ("visibility", "joints3d_m", "pose", "shape", "has_joints3d", "has_smpl")


@dataclass(frozen=True)
class Augmentation:
    """How training crops are jittered; the defaults are the original's.

    Attributes:
        shift_px: the centre moves by whole pixels in [-shift_px, shift_px).
        scale_min, scale_max: the picture is scaled by a uniform factor between them.
        flip_probability: of a left-right mirror.
    """

    shift_px: int = 20
    scale_min: float = 0.8
    scale_max: float = 1.23
    flip_probability: float = 0.5


@dataclass
class Jitter:
    """One draw of the augmentation.

    Attributes:
        shift_px: (2,) int32, x and y, added to the centre before scaling.
        scale: float32 factor on the picture.
        flip: bool.
    """

    shift_px: tf.Tensor
    scale: tf.Tensor
    flip: tf.Tensor


def no_jitter() -> Jitter:
    """The identity: evaluation and prediction crops."""
    return Jitter(tf.zeros(2, tf.int32), tf.constant(1.0), tf.constant(False))


def draw_jitter(seed: tf.Tensor, settings: Augmentation) -> Jitter:
    """Draws from `settings`; the same (2,) int64 seed always gives the same draw."""
    shift_seed, scale_seed, flip_seed = tf.unstack(
        tf.random.experimental.stateless_split(seed, num=3)
    )
    reach = max(settings.shift_px, 1)
    shift = tf.random.stateless_uniform((2,), shift_seed, -reach, reach, tf.int32)
    scale = tf.random.stateless_uniform((), scale_seed, settings.scale_min, settings.scale_max)
    flip = tf.random.stateless_uniform((), flip_seed) < settings.flip_probability
    return Jitter(shift if settings.shift_px else tf.zeros_like(shift), scale, flip)


def prepare_person(person: dict[str, tf.Tensor], jitter: Jitter, input_size: int) -> dict:
    """Turns a parsed record into what the network and its losses take.

    Args:
        person: of `schema.parse_person`.
        jitter: the draw for this sample.
        input_size: side S of the network's input; the 224-pixel crop is scaled to it.
    Returns:
        images (S, S, 3) float32 in [-1, 1]; keypoints2d (19, 2) normalised to the crop, zero where
        invisible; visibility (19,); joints3d (14, 3) m; has_joints3d; pose (72,); beta (10,);
        has_smpl.
    """
    cropped = {key: value[None] for key, value in crop_person(person, jitter, input_size).items()}
    return {key: value[0] for key, value in finish_samples(cropped).items()}


def crop_person(person: dict[str, tf.Tensor], jitter: Jitter, input_size: int) -> dict:
    """What has to be done picture by picture; a batch of it goes to `finish_samples`.

    Args:
        person, jitter, input_size: as `prepare_person`.
    Returns:
        images (S, S, 3) float32 in [0, 255], mirrored already where the draw says so; crop_px (19,
        2) the keypoints in the crop, not mirrored; flip; and the labels of `person`.
    """
    picture, ratio = _decode(person["image_bytes"], input_size)
    height_width = tf.cast(tf.io.extract_jpeg_shape(person["image_bytes"])[:2], tf.float32)
    factor, origin_px = crop_geometry(height_width, person["center_px"], jitter)
    image = warp_crop(picture, ratio, factor, origin_px, input_size)
    return {
        "images": tf.cond(jitter.flip, lambda: image[:, ::-1], lambda: image),
        "crop_px": person["keypoints2d_px"] * factor - origin_px,
        "flip": jitter.flip,
        **{key: person[key] for key in _LABELS},
    }


def finish_samples(cropped: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Batches (B, ...) of `crop_person` to batches of `prepare_person`, all samples at once."""
    flip = cropped["flip"]
    labels = {
        "keypoints2d": normalise(cropped["crop_px"]) * cropped["visibility"][..., None],
        "visibility": cropped["visibility"],
        "joints3d": cropped["joints3d_m"],
        "pose": cropped["pose"],
    }
    mirrored = mirror_labels(labels)
    chosen = {
        key: tf.where(tf.reshape(flip, (-1,) + (1,) * (value.shape.rank - 1)), mirrored[key], value)
        for key, value in labels.items()
    }
    return {
        "images": 2.0 * (cropped["images"] / 255.0) - 1.0,
        **chosen,
        "beta": cropped["shape"],
        "has_joints3d": cropped["has_joints3d"],
        "has_smpl": cropped["has_smpl"],
    }


def crop_geometry(
    height_width: tf.Tensor, center_px: tf.Tensor, jitter: Jitter, size: int = CROP_SIZE
) -> tuple[Tensor, Tensor]:
    """Where the crop lies in the scaled picture.

    Args:
        height_width: (2,) float32 size of the stored picture, px.
        center_px: (2,) float32 x, y in the stored picture.
        jitter: the draw.
        size: side of the crop, px.
    Returns:
        factor (2,) float32, the actual scale of x and y after rounding to whole pixels, and the
        crop's origin (2,) float32 x, y in the scaled picture:
        crop_px = stored_px * factor - origin.
    """
    scaled = tf.floor(height_width * jitter.scale)
    factor = (scaled / height_width)[::-1]
    center = tf.cast(center_px, tf.int32) + jitter.shift_px
    center = tf.cast(tf.cast(center, tf.float32) * factor, tf.int32)
    return factor, tf.cast(center - size // 2, tf.float32)


def warp_crop(
    picture: Tensor,
    ratio: int,
    factor: Tensor,
    origin_px: Tensor,
    input_size: int,
    size: int = CROP_SIZE,
) -> Tensor:
    """Samples the crop from a decoded picture, repeating the scaled picture's edge outside it.

    Args:
        picture: (H, W, 3) of any dtype, decoded at 1 / ratio of its stored size.
        ratio: of the decoder.
        factor, origin_px: (2,) x, y, of `crop_geometry`.
        input_size: side S of the output; its pixels cover the crop evenly.
        size: side of the crop, px.
    Returns:
        (S, S, 3) float32, the range of `picture`.
    """
    zoom = size / input_size
    crop_px = (tf.range(input_size, dtype=tf.float32) + 0.5) * zoom - 0.5
    height_width = tf.shape(picture)[:2]
    image = picture
    for axis, name in enumerate("yx"):
        xy = "xy".index(name)
        stored_size = tf.cast(height_width[axis] * ratio, tf.float32)
        last = tf.round(stored_size * factor[xy]) - 1.0
        scaled_px = tf.clip_by_value(crop_px + origin_px[xy], 0.0, last)
        decoded_px = (scaled_px / factor[xy] - (ratio - 1.0) / 2.0) / ratio
        image = _sample_lines(image, decoded_px, axis)
    return tf.ensure_shape(image, (input_size, input_size, 3))


def _sample_lines(image: Tensor, position: Tensor, axis: int) -> Tensor:
    """Linear interpolation of rows (axis 0) or columns (axis 1) at fractional positions."""
    last = tf.cast(tf.shape(image)[axis] - 1, tf.float32)
    position = tf.clip_by_value(position, 0.0, last)
    low = tf.floor(position)
    share = tf.reshape(position - low, (-1, 1, 1) if axis == 0 else (1, -1, 1))
    below = tf.gather(image, tf.cast(low, tf.int32), axis=axis)
    above = tf.gather(image, tf.cast(tf.minimum(low + 1.0, last), tf.int32), axis=axis)
    below, above = tf.cast(below, tf.float32), tf.cast(above, tf.float32)
    return below + (above - below) * share


def normalise(crop_px: tf.Tensor, size: int = CROP_SIZE) -> tf.Tensor:
    """Crop pixels to [-1, 1]: 2 x / size - 1, as the original."""
    return 2.0 * crop_px / size - 1.0


def mirror_labels(labels: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The labels of the same people in a mirror: keypoints, pose and 3D joints change sides.

    Pixel x becomes size - 1 - x. The original also subtracts the mean from the mirrored 3D joints;
    the losses centre them on the hips, so it has no effect and is left out.

    Args:
        labels: keypoints2d (..., 19, 2), visibility (..., 19), joints3d (..., 14, 3) and pose
            (..., 72), of any leading dimensions.
    """
    visibility = tf.gather(labels["visibility"], COCOPLUS_FLIP, axis=-1)
    keypoints = tf.gather(labels["keypoints2d"], COCOPLUS_FLIP, axis=-2)
    mirrored_x = -keypoints[..., :1] - 2.0 / CROP_SIZE
    keypoints = tf.concat([mirrored_x, keypoints[..., 1:]], -1) * visibility[..., None]
    pose = labels["pose"]
    axes = tf.reshape(pose, tf.concat([tf.shape(pose)[:-1], (24, 3)], 0))
    axes = tf.gather(axes, SMPL_FLIP, axis=-2) * AXIS_ANGLE_FLIP_SIGN
    joints = tf.gather(labels["joints3d"], LSP14_FLIP, axis=-2)
    return {
        "keypoints2d": keypoints,
        "visibility": visibility,
        "joints3d": joints * tf.constant([-1.0, 1.0, 1.0]),
        "pose": tf.reshape(axes, tf.shape(pose)),
    }


def _decode(image_bytes: tf.Tensor, input_size: int) -> tuple[Tensor, int]:
    """Decodes at the smallest JPEG scale that still has `input_size` pixels."""
    ratio = next(r for r in _DECODE_RATIOS if CROP_SIZE // r >= input_size or r == 1)
    return tf.io.decode_jpeg(image_bytes, channels=3, ratio=ratio), ratio
