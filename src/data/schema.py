"""The record schema: every TFRecord of the project is written and read through this module.

The keys are a superset of those of the authors' own records (github.com/akanazawa/hmr), so those
can be read and trained on directly. `PERSON_KEYS` and `MOCAP_KEYS` are the schema;
`schema_table()` prints it for the documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from src.body.joints import COCOPLUS, FACE5, LSP14
from src.errors import UserError

SCHEMA_VERSION = 1
JPEG = b"JPEG"
NAN = float("nan")


@dataclass(frozen=True)
class Key:
    """One feature of a record.

    Attributes:
        name: the feature's name.
        dtype: tf.string, tf.int64 or tf.float32.
        length: how many values the feature holds.
        meaning: what the values are, with order and unit.
        absent: when a record lacks the key; empty if every record has it.
        default: the value that stands for each missing one (None: the key is required).
    """

    name: str
    dtype: tf.DType
    length: int
    meaning: str
    absent: str = ""
    default: Any = None


PERSON_KEYS = (
    Key("image/encoded", tf.string, 1, "JPEG bytes, RGB"),
    Key("image/height", tf.int64, 1, "rows of the stored image, px"),
    Key("image/width", tf.int64, 1, "columns of the stored image, px"),
    Key("image/center", tf.int64, 2, "x, y of the middle of the person's keypoint box, px"),
    Key("image/x", tf.float32, 14, "x of the LSP-14 joints in the stored image, px"),
    Key("image/y", tf.float32, 14, "y of the LSP-14 joints in the stored image, px"),
    Key("image/visibility", tf.int64, 14, "0: no label, above 0: labelled (COCO: its 1 and 2)"),
    Key("image/face_pts", tf.float32, 15, "nose, left eye, right eye, left ear, right ear: "
        "5 x (px), 5 y (px), 5 visibilities", "sets without face points", 0.0),
    Key("image/format", tf.string, 1, "`JPEG`", "never needed to read", b"JPEG"),
    Key("image/filename", tf.string, 1, "the picture's name in its dataset", "unknown", b""),
    Key("mosh/gt3d", tf.float32, 42, "LSP-14 joints, x y z each, camera frame (x right, y down, "
        "z away), m", "sets without 3D joints", NAN),
    Key("mosh/pose", tf.float32, 72, "SMPL pose, 24 axis-angles, root first, rad; counts only if "
        "`meta/has_3d` is 1", "sets without SMPL parameters", 0.0),
    Key("mosh/shape", tf.float32, 10, "SMPL shape; counts only if `meta/has_3d` is 1",
        "sets without SMPL parameters", 0.0),
    Key("meta/has_3d", tf.int64, 1, "1 if pose and shape hold", "sets without 3D joints", 0),
    Key("meta/scale_factors", tf.float32, 2, "rows, columns: stored size / size in the dataset",
        "picture stored at its own size", 1.0),
    Key("meta/crop_pt", tf.int64, 2, "x, y of the stored image's corner in the scaled picture, px",
        "picture stored whole", 0),
    Key("image/cam", tf.float32, 3, "focal length, cx, cy of the stored image, px",
        "camera unknown", NAN),
    Key("meta/sequence", tf.string, 1, "take and camera that the picture comes from",
        "single pictures", b""),
    Key("meta/frame", tf.int64, 1, "0-based frame in that take", "single pictures", -1),
    Key("meta/activity", tf.string, 1, "the dataset's name for what the person does",
        "not annotated", b""),
    Key("meta/gender", tf.string, 1, "`m`, `f` or `n`: the SMPL body that pose and shape belong to",
        "sets without SMPL parameters", b""),
    Key("meta/dataset", tf.string, 1, "dataset name", "the authors' records", b""),
    Key("meta/schema_version", tf.int64, 1, f"version of this table ({SCHEMA_VERSION})",
        "the authors' records", 0),
)  # fmt: skip

MOCAP_KEYS = (
    Key("pose", tf.float32, 72, "SMPL pose, 24 axis-angles, root first, rad"),
    Key("shape", tf.float32, 10, "SMPL shape coefficients"),
    Key("meta/schema_version", tf.int64, 1, f"version of this table ({SCHEMA_VERSION})",
        "the authors' records", 0),
)  # fmt: skip


@dataclass
class Person:
    """One person in one picture, as a record stores it.

    Attributes:
        encoded: JPEG bytes of the stored picture.
        height, width: its size, px.
        filename, dataset: where it comes from.
        center_px: (2,) x, y of the middle of the keypoint box.
        keypoints2d_px: (19, 2) cocoplus joints in the stored picture; zero where unlabelled.
        visibility: (19,) int, 0 where unlabelled.
        joints3d_m: (14, 3) LSP-14 joints in the camera frame, or None.
        pose, shape: SMPL parameters (72,) rad and (10,), or None.
        camera: (3,) focal length, cx, cy of the stored picture, px, or None.
        scale_factors: (2,) rows, columns: stored size / original size, or None.
        crop_origin_px: (2,) x, y of the stored picture's corner in the scaled one, or None.
        sequence, frame, activity, gender: see `PERSON_KEYS`.
    """

    encoded: bytes
    height: int
    width: int
    filename: str
    dataset: str
    center_px: np.ndarray
    keypoints2d_px: np.ndarray
    visibility: np.ndarray
    joints3d_m: np.ndarray | None = None
    pose: np.ndarray | None = None
    shape: np.ndarray | None = None
    camera: np.ndarray | None = None
    scale_factors: np.ndarray | None = None
    crop_origin_px: np.ndarray | None = None
    sequence: str = ""
    frame: int = -1
    activity: str = ""
    gender: str = ""

    def __post_init__(self) -> None:
        _check_array("center_px", self.center_px, (2,))
        _check_array("keypoints2d_px", self.keypoints2d_px, (len(COCOPLUS), 2))
        _check_array("visibility", self.visibility, (len(COCOPLUS),))
        for name, shape in _OPTIONAL_SHAPES.items():
            if getattr(self, name) is not None:
                _check_array(name, getattr(self, name), shape)
        if (self.pose is None) != (self.shape is None):
            raise ValueError("pose and shape come together. Received only one of them.")


_OPTIONAL_SHAPES = {
    "joints3d_m": (len(LSP14), 3),
    "pose": (72,),
    "shape": (10,),
    "camera": (3,),
    "scale_factors": (2,),
    "crop_origin_px": (2,),
}


def _check_array(name: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    if np.shape(values) != shape:
        raise ValueError(f"{name} must have shape {shape}. Received: {np.shape(values)}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds values that are not finite. Received: {values}")


def person_to_example(person: Person) -> bytes:
    """Serialises a person as a `tf.train.Example` with the keys of `PERSON_KEYS`.

    Keys of what the person lacks are left out. The same person always gives the same bytes.
    """
    values: dict[str, Any] = {
        "image/encoded": person.encoded,
        "image/height": person.height,
        "image/width": person.width,
        "image/center": np.asarray(person.center_px).astype(np.int64),
        "image/format": JPEG,
        "image/filename": person.filename.encode(),
        "meta/dataset": person.dataset.encode(),
        "meta/schema_version": SCHEMA_VERSION,
        **_keypoint_values(person),
        **_body_values(person),
        **_origin_values(person),
    }
    return _serialize(values, PERSON_KEYS)


def _keypoint_values(person: Person) -> dict[str, Any]:
    body, face = person.keypoints2d_px[: len(LSP14)], person.keypoints2d_px[len(LSP14) :]
    visibility = np.asarray(person.visibility).astype(np.int64)
    values = {
        "image/x": body[:, 0],
        "image/y": body[:, 1],
        "image/visibility": visibility[: len(LSP14)],
    }
    face_visibility = visibility[len(LSP14) :]
    if face_visibility.any():
        values["image/face_pts"] = np.concatenate([face[:, 0], face[:, 1], face_visibility])
    return values


def _body_values(person: Person) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if person.joints3d_m is not None or person.pose is not None:
        values["meta/has_3d"] = int(person.pose is not None)
    if person.joints3d_m is not None:
        values["mosh/gt3d"] = np.asarray(person.joints3d_m).ravel()
    if person.pose is not None:
        values |= {"mosh/pose": person.pose, "mosh/shape": person.shape}
        values["meta/gender"] = (person.gender or "n").encode()
    return values


def _origin_values(person: Person) -> dict[str, Any]:
    values: dict[str, Any] = {
        "image/cam": person.camera,
        "meta/scale_factors": person.scale_factors,
        "meta/crop_pt": person.crop_origin_px,
        "meta/sequence": person.sequence.encode() or None,
        "meta/frame": person.frame if person.frame >= 0 else None,
        "meta/activity": person.activity.encode() or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def mocap_to_example(pose: np.ndarray, shape: np.ndarray) -> bytes:
    """Serialises one body: pose (72,) axis-angles in rad, root first; shape (10,)."""
    _check_array("pose", pose, (72,))
    _check_array("shape", shape, (10,))
    values = {"pose": pose, "shape": shape, "meta/schema_version": SCHEMA_VERSION}
    return _serialize(values, MOCAP_KEYS)


def _serialize(values: dict[str, Any], keys: tuple[Key, ...]) -> bytes:
    example = tf.train.Example()
    for key in keys:
        if key.name in values:
            _fill(example.features.feature[key.name], key, values[key.name])
    return example.SerializeToString(deterministic=True)


def _fill(feature: Any, key: Key, value: Any) -> None:
    if key.dtype == tf.string:
        feature.bytes_list.value.append(value)
    elif key.dtype == tf.int64:
        feature.int64_list.value.extend(np.atleast_1d(value).astype(np.int64).tolist())
    else:
        feature.float_list.value.extend(np.atleast_1d(value).astype(np.float32).tolist())


def _parser_spec(keys: tuple[Key, ...]) -> dict[str, Any]:
    return {
        key.name: tf.io.FixedLenFeature(
            [key.length], key.dtype, None if key.default is None else [key.default] * key.length
        )
        for key in keys
    }


def parse_person(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses one person record; works inside `tf.data` and on the authors' own records.

    Args:
        serialized: scalar string tensor, one `tf.train.Example`.
    Returns:
        image_bytes: string, JPEG.
        center_px: (2,) float32, x and y of the keypoint box's middle.
        keypoints2d_px: (19, 2) float32, cocoplus order.
        visibility: (19,) float32, 1 where labelled, else 0.
        joints3d_m: (14, 3) float32, camera frame; zero where absent.
        pose: (72,) float32, rad; zero where absent.
        shape: (10,) float32; zero where absent.
        has_joints3d, has_smpl: float32, 1 or 0.
        filename: string.
    """
    return _person_tensors(tf.io.parse_single_example(serialized, _parser_spec(PERSON_KEYS)))


def parse_person_for_evaluation(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """`parse_person` and what an evaluation protocol needs besides.

    Returns:
        the keys of `parse_person`, and
        camera: (3,) float32, focal length, cx, cy of the stored image, px; NaN where unknown.
        scale_factors: (2,) float32, rows and columns; 1 where the picture is stored as it was.
        crop_origin_px: (2,) float32.
        sequence, activity, gender, dataset: string, empty where absent.
        frame: int64, -1 where absent.
    """
    raw = tf.io.parse_single_example(serialized, _parser_spec(PERSON_KEYS))
    return {
        **_person_tensors(raw),
        "camera": raw["image/cam"],
        "scale_factors": raw["meta/scale_factors"],
        "crop_origin_px": tf.cast(raw["meta/crop_pt"], tf.float32),
        "sequence": raw["meta/sequence"][0],
        "activity": raw["meta/activity"][0],
        "gender": raw["meta/gender"][0],
        "dataset": raw["meta/dataset"][0],
        "frame": raw["meta/frame"][0],
    }


def _person_tensors(raw: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    face = tf.reshape(raw["image/face_pts"], (3, len(FACE5)))
    x = tf.concat([raw["image/x"], face[0]], 0)
    y = tf.concat([raw["image/y"], face[1]], 0)
    labelled = tf.concat([raw["image/visibility"] > 0, face[2] > 0], 0)
    has_joints3d = tf.reduce_all(tf.math.is_finite(raw["mosh/gt3d"]))
    has_smpl = tf.cast(raw["meta/has_3d"][0] > 0, tf.float32)
    joints3d_m = tf.where(has_joints3d, raw["mosh/gt3d"], tf.zeros_like(raw["mosh/gt3d"]))
    return {
        "image_bytes": raw["image/encoded"][0],
        "center_px": tf.cast(raw["image/center"], tf.float32),
        "keypoints2d_px": tf.stack([x, y], axis=1),
        "visibility": tf.cast(labelled, tf.float32),
        "joints3d_m": tf.reshape(joints3d_m, (len(LSP14), 3)),
        "pose": raw["mosh/pose"] * has_smpl,
        "shape": raw["mosh/shape"] * has_smpl,
        "has_joints3d": tf.cast(has_joints3d, tf.float32),
        "has_smpl": has_smpl,
        "filename": raw["image/filename"][0],
    }


def parse_mocap(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Parses one body record: pose (72,) in rad and shape (10,), both float32."""
    raw = tf.io.parse_single_example(serialized, _parser_spec(MOCAP_KEYS))
    return raw["pose"], raw["shape"]


def validate_record(serialized: bytes, keys: tuple[Key, ...] = PERSON_KEYS) -> None:
    """Checks every key's presence, type and number of values.

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


_KIND_OF_DTYPE = {tf.string: "bytes_list", tf.int64: "int64_list", tf.float32: "float_list"}


def _validate_feature(feature: Any, key: Key, hint: str) -> None:
    kind, expected = feature.WhichOneof("kind"), _KIND_OF_DTYPE[key.dtype]
    if kind != expected:
        raise UserError(f'key "{key.name}" holds a {kind}, expected a {expected}{hint}')
    received = len(getattr(feature, kind).value)
    if received != key.length:
        raise UserError(f'key "{key.name}" has {received} values, expected {key.length}{hint}')


def _version_hint(features: Any) -> str:
    if "meta/schema_version" not in features:
        return "."
    stored = features["meta/schema_version"].int64_list.value[:1]
    if stored == [SCHEMA_VERSION]:
        return "."
    age = "a newer" if stored and stored[0] > SCHEMA_VERSION else "an older"
    return f": written by {age} converter (schema {stored}, need {SCHEMA_VERSION})."


def schema_table(keys: tuple[Key, ...] = PERSON_KEYS) -> str:
    """The schema as a Markdown table."""
    lines = ["| key | type | meaning, order, unit | absent |", "|---|---|---|---|"]
    for key in keys:
        kind = f"{key.dtype.name}[{key.length}]"
        lines.append(f"| `{key.name}` | {kind} | {key.meaning} | {key.absent or 'never'} |")
    return "\n".join(lines)
