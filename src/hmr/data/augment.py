"""From a parsed record to a training sample: random shift, scale and flip of picture and labels.

`hmr.geometry.crop_train` crops the picture; the labels follow here.
"""

from __future__ import annotations

import tensorflow as tf

from hmr.body.joints import AXIS_ANGLE_FLIP_SIGN, COCOPLUS_FLIP, LSP14_FLIP, SMPL_FLIP
from hmr.geometry.crop import CROP_SIZE, to_normalized
from hmr.geometry.crop_train import Jitter, crop_pictures, sample_in_graph
from hmr.settings import Augmentation


def draw_jitters(seed: tf.Tensor, settings: Augmentation, count: int) -> Jitter:
    """`count` draws from `settings`; the same seed, (2,) int64, always gives the same draws."""
    shift_seed, scale_seed, flip_seed = tf.unstack(
        tf.random.experimental.stateless_split(seed, num=3)
    )
    low, high = settings.scale_min, settings.scale_max
    reach = max(settings.shift_px, 1)
    shift = tf.random.stateless_uniform((count, 2), shift_seed, -reach, reach, tf.int32)
    scale = tf.random.stateless_uniform((count,), scale_seed, low, high)
    chance = tf.random.stateless_uniform((count,), flip_seed)
    return Jitter(
        shift if settings.shift_px else tf.zeros_like(shift),
        scale,
        chance < settings.flip_probability,
    )


def prepare_person(person: dict[str, tf.Tensor], jitter: Jitter, input_size: int) -> dict:
    """Makes the network's input and the labels of its losses from a parsed record.

    Args:
        person: the output of `hmr.data.records.parse_person`.
        jitter: the draw for this sample.
        input_size: side S of the network's input; the 224-pixel crop is scaled to it.
    Returns:
        images (S, S, 3) float32 in [-1, 1]; keypoints2d (19, 2) normalised to the crop, zero where
        invisible; visibility (19,); joints3d_lsp_m (14, 3) m; has_joints3d; pose (72,); beta (10,);
        has_smpl.
    """
    people = {key: value[None] for key, value in person.items()}
    draws = Jitter(*(draw[None] for draw in jitter))
    encoded, center_px = people["image_bytes"], people["center_px"]
    crops = crop_pictures(encoded, center_px, draws, input_size, sample_in_graph)
    return {key: value[0] for key, value in finish_samples({**people, **crops}).items()}


def finish_samples(cropped: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Turns a batch (B, ...) of parsed records and `crop_pictures` into samples.

    Args:
        cropped: the keys of `person_labels` and of `crop_pictures`.
    Returns:
        as `prepare_person`, with a leading dimension B.
    """
    factor, origin_px = cropped["factor"][:, None], cropped["origin_px"][:, None]  # (B, 1, 2)
    crop_px = cropped["keypoints2d_px"] * factor - origin_px  # (B, 19, 2)
    labels = {key: cropped[key] for key in ("visibility", "joints3d_lsp_m", "pose")}
    labels["keypoints2d"] = to_normalized(crop_px) * labels["visibility"][..., None]
    kept = {key: cropped[key] for key in ("images", "beta", "has_joints3d", "has_smpl")}
    mirrored, flip = mirror_labels(labels), cropped["flip"]
    for key, label in labels.items():
        each = tf.reshape(flip, (-1,) + (1,) * (label.shape.rank - 1))  # (B, 1, ...)
        kept[key] = tf.where(each, mirrored[key], label)
    return kept


def mirror_labels(labels: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The labels of mirrored pictures: in keypoints, pose and 3D joints left and right are swapped.

    Pixel x becomes size - 1 - x. The original also subtracts the mean from the mirrored 3D joints;
    the losses centre them on the hips, so that has no effect and is left out.

    Args:
        labels: keypoints2d (..., 19, 2), visibility (..., 19), joints3d_lsp_m (..., 14, 3) and pose
            (..., 72), of any leading dimensions.
    """
    visibility = tf.gather(labels["visibility"], COCOPLUS_FLIP, axis=-1)
    keypoints = tf.gather(labels["keypoints2d"], COCOPLUS_FLIP, axis=-2)
    mirrored_x = -keypoints[..., :1] - 2.0 / CROP_SIZE
    keypoints = tf.concat([mirrored_x, keypoints[..., 1:]], -1) * visibility[..., None]
    pose = labels["pose"]
    axes = tf.reshape(pose, tf.concat([tf.shape(pose)[:-1], (24, 3)], 0))  # (..., 24, 3)
    axes = tf.gather(axes, SMPL_FLIP, axis=-2) * AXIS_ANGLE_FLIP_SIGN
    joints = tf.gather(labels["joints3d_lsp_m"], LSP14_FLIP, axis=-2)
    return {
        "keypoints2d": keypoints,
        "visibility": visibility,
        "joints3d_lsp_m": joints * tf.constant([-1.0, 1.0, 1.0]),
        "pose": tf.reshape(axes, tf.shape(pose)),  # (..., 24, 3) -> (..., 72)
    }
