"""Parses records into tensors inside `tf.data`, and checks records against the schema."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from hmr.body.joints import LSP14
from hmr.data.schema import (
    FLOAT32,
    INT64,
    MOCAP_KEYS,
    PERSON_KEYS,
    SCHEMA_VERSION,
    STRING,
    Key,
    refuse_newer,
)
from hmr.data.shards import (
    check_checksum,
    check_lengths,
    count_records,
    is_mocap_path,
    rebuild_hint,
    truncated_message,
)
from hmr.errors import UserError

_LABELS = (
    *("image/center", "image/x", "image/y", "image/visibility", "image/face_pts"),
    *("mosh/gt3d", "mosh/pose", "mosh/shape", "meta/has_3d"),
)
_TRAINING_KEYS = tuple(key for key in PERSON_KEYS if key.name in ("image/encoded", *_LABELS))


def _parser_spec(keys: tuple[Key, ...]) -> dict[str, Any]:
    return {
        key.name: tf.io.FixedLenFeature(
            [key.length],
            tf.dtypes.as_dtype(key.dtype),
            None if key.default is None else [key.default] * key.length,
        )
        for key in keys
    }


def parse_person(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses one person record; works inside `tf.data` and on the authors' own records.

    Args:
        serialized: scalar string tensor, one `tf.train.Example`.
    Returns:
        image_bytes: string, JPEG.
        center_px: (2,) float32, x and y of the middle of the keypoint box.
        keypoints2d_px: (19, 2) float32, cocoplus order.
        visibility: (19,) float32, 1 where labelled, else 0.
        joints3d_lsp_m: (14, 3) float32, camera frame; zero where absent.
        pose: (72,) float32, rad; zero where absent.
        beta: (10,) float32; zero where absent.
        has_joints3d, has_smpl: float32, 1 or 0.
        intrinsics_px: (3,) float32, focal length, cx, cy of the stored image, px; NaN if unknown.
        size_px: (2,) int64, rows and columns of the stored image.
        scale_factors: (2,) float32, rows and columns: stored size / original size.
        crop_origin_px: (2,) float32, x and y of the stored image's corner in the scaled picture.
        filename, dataset, sequence, activity, gender: string, empty where absent.
        frame: int64, -1 where absent.
    """
    raw = tf.io.parse_single_example(serialized, _parser_spec(PERSON_KEYS))
    return {
        **person_labels(raw),
        "image_bytes": raw["image/encoded"][0],
        "intrinsics_px": raw["image/cam"],
        "size_px": tf.concat([raw["image/height"], raw["image/width"]], 0),
        "scale_factors": raw["meta/scale_factors"],
        "crop_origin_px": tf.cast(raw["meta/crop_pt"], tf.float32),
        "filename": raw["image/filename"][0],
        "dataset": raw["meta/dataset"][0],
        "sequence": raw["meta/sequence"][0],
        "activity": raw["meta/activity"][0],
        "gender": raw["meta/gender"][0],
        "frame": raw["meta/frame"][0],
    }


def parse_training_raw(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """The encoded pictures of person records (...,) and the keys that `person_labels` reads."""
    return tf.io.parse_example(serialized, _parser_spec(_TRAINING_KEYS))


def person_labels(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The labels of `parse_person`, from center_px to has_smpl, for any leading dimensions."""
    visibility, has_3d, gt3d = raw["image/visibility"], raw["meta/has_3d"], raw["mosh/gt3d"]
    face_x, face_y, face_visibility = tf.split(raw["image/face_pts"], 3, axis=-1)
    x = tf.concat([raw["image/x"], face_x], -1)  # (..., 14) and (..., 5) -> (..., 19)
    y = tf.concat([raw["image/y"], face_y], -1)  # (..., 19)
    labelled = tf.concat([visibility > 0, face_visibility > 0], -1)  # (..., 19)
    has_joints3d = tf.reduce_all(tf.math.is_finite(gt3d), -1)
    has_smpl = tf.cast(has_3d > 0, tf.float32)
    joints3d_lsp_m = tf.where(has_joints3d[..., None], gt3d, tf.zeros_like(gt3d))
    return {
        "center_px": tf.cast(raw["image/center"], tf.float32),
        "keypoints2d_px": tf.stack([x, y], axis=-1),  # (..., 19, 2)
        "visibility": tf.cast(labelled, tf.float32),
        "joints3d_lsp_m": tf.reshape(  # (..., 42) -> (..., 14, 3)
            joints3d_lsp_m, tf.concat([tf.shape(gt3d)[:-1], (len(LSP14), 3)], 0)
        ),
        "pose": raw["mosh/pose"] * has_smpl,
        "beta": raw["mosh/shape"] * has_smpl,
        "has_joints3d": tf.cast(has_joints3d, tf.float32),
        "has_smpl": has_smpl[..., 0],
    }


def parse_mocap(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Parses body records (...,): pose (..., 72) in rad and beta (..., 10), both float32."""
    raw = tf.io.parse_example(serialized, _parser_spec(MOCAP_KEYS))
    return raw["pose"], raw["shape"]


def validate_record(serialized: bytes, keys: tuple[Key, ...] = PERSON_KEYS) -> None:
    """Checks presence, type and number of values of every key, and the record's version.

    A record without a version, such as the authors' own, may hold keys that are not in the schema.

    Raises:
        UserError: naming the key, what was expected and what was received.
    """
    example = tf.train.Example()
    try:
        example.ParseFromString(serialized)
    except Exception as error:  # protobuf's DecodeError has no stable import path
        raise UserError("not a tf.train.Example: the bytes cannot be decoded.") from error
    features = example.features.feature
    for key in keys:
        if key.name in features:
            _validate_feature(features[key.name], key, _version_hint(features))
        elif key.default is None:
            raise UserError(f'key "{key.name}" is missing{_version_hint(features)}')
    for version in _versions(features):
        refuse_newer("the record", version, features, [key.name for key in keys])


_KIND_OF_DTYPE = {STRING: "bytes_list", INT64: "int64_list", FLOAT32: "float_list"}


def _validate_feature(feature: Any, key: Key, hint: str) -> None:
    kind, expected = feature.WhichOneof("kind"), _KIND_OF_DTYPE[key.dtype]
    if kind != expected:
        raise UserError(f'key "{key.name}" holds a {kind}, expected a {expected}{hint}')
    received = len(getattr(feature, kind).value)
    if received != key.length:
        raise UserError(f'key "{key.name}" has {received} values, expected {key.length}{hint}')


def _version_hint(features: Any) -> str:
    stored = _versions(features)
    if stored in ([], [SCHEMA_VERSION]):
        return "."
    age = "a newer" if stored and stored[0] > SCHEMA_VERSION else "an older"
    return f": written by {age} converter (schema {stored}, need {SCHEMA_VERSION})."


def _versions(features: Any) -> list[int]:
    """A list of the record's version; empty if the record carries none."""
    if "meta/schema_version" not in features:
        return []
    return list(features["meta/schema_version"].int64_list.value[:1])


def check_shard(path: str | Path, pictures: bool = False) -> int:
    """Reads a whole shard, checks every record against the schema, and the checksum of it all.

    Args:
        path: the shard; the name of its folder tells whether it holds people or bodies.
        pictures: also decode every picture.
    Returns:
        the number of records.
    Raises:
        UserError: naming file, record, key, what was expected and what was received.
    """
    count = count_records(path)
    mocap = is_mocap_path(path)
    for index, serialized in enumerate(read_shard(path)):
        _check_numbered(index, path, serialized, mocap, pictures)
    check_checksum(path)
    return count


def _check_numbered(
    index: int, path: str | Path, serialized: bytes, mocap: bool, picture: bool
) -> None:
    try:
        check_record(serialized, mocap, picture)
    except UserError as error:
        message = f"record {index} of {path}: {error} {rebuild_hint(path)}"
        raise UserError(message) from error


def read_shard(path: str | Path) -> Iterator[bytes]:
    """Yields the serialised records of a shard.

    Raises:
        UserError: if the file is missing or damaged, naming the record.
    """
    check_lengths(path)
    index = 0
    try:
        for serialized in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield serialized
            index += 1
    except tf.errors.OpError as error:
        raise UserError(truncated_message(Path(path), index)) from error


def read_records(paths: Sequence[str], wanted: set[int]) -> dict[int, bytes]:
    """Index -> serialised record, for the wanted indices, counted from 0 through all shards."""
    records = itertools.chain.from_iterable(map(read_shard, paths))
    needed = itertools.islice(records, max(wanted, default=-1) + 1)
    return {index: record for index, record in enumerate(needed) if index in wanted}


def why_unreadable(name: str) -> str:
    """What is wrong with a record that is named as `hmr.data.unreadable` names it.

    Args:
        name: such as "record 7 of data/lsp/train_00000.tfrecord".
    """
    number, _, path = name.removeprefix("record ").partition(" of ")
    try:
        for index, serialized in read_records([path], {int(number)}).items():
            _check_numbered(index, path, serialized, is_mocap_path(path), picture=True)
    except UserError as error:
        return str(error)
    return f"{name}: the file ends before this record, or it has changed since."


def check_record(serialized: bytes, mocap: bool, picture: bool = True) -> None:
    """Checks a record as `validate_record` does, and that its picture can be decoded.

    Args:
        serialized: the record.
        mocap: whether it is a body without a picture.
        picture: False leaves the picture undecoded.
    Raises:
        UserError: naming the key, or the picture, and what is wrong with it.
    """
    validate_record(serialized, MOCAP_KEYS if mocap else PERSON_KEYS)
    if mocap or not picture:
        return
    person = parse_person(tf.constant(serialized))
    try:
        tf.io.decode_jpeg(person["image_bytes"], channels=3)
    except tf.errors.InvalidArgumentError as error:
        name = person["filename"].numpy().decode(errors="replace")
        raise UserError(f"the picture ({name or 'unnamed'}) is no readable JPEG.") from error
