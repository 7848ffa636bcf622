"""The record schema: what every TFRecord of the project holds.

The keys are a superset of those of the authors' own records (github.com/akanazawa/hmr), so those
can be read and trained on directly. `PERSON_KEYS` and `MOCAP_KEYS` are the schema.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from hmr.body.joints import COCOPLUS, LSP14
from hmr.data.tfrecord import encode_example
from hmr.errors import UserError

SCHEMA_VERSION = 1
NAN = float("nan")
STRING, INT64, FLOAT32 = "string", "int64", "float32"


@dataclass(frozen=True)
class Key:
    """One feature of a record.

    Attributes:
        name: the feature's name.
        dtype: `STRING`, `INT64` or `FLOAT32`.
        length: how many values the feature holds.
        meaning: what the values are, with order and unit.
        absent: when a record lacks the key; empty if every record has it.
        default: the value of each element where the key is absent; None makes the key required.
    """

    name: str
    dtype: str
    length: int
    meaning: str
    absent: str = ""
    default: Any = None


PERSON_KEYS = (
    Key("image/encoded", STRING, 1, "JPEG bytes, RGB"),
    Key("image/height", INT64, 1, "rows of the stored image, px"),
    Key("image/width", INT64, 1, "columns of the stored image, px"),
    Key("image/center", INT64, 2, "x, y of the middle of the person's keypoint box, px"),
    Key("image/x", FLOAT32, 14, "x of the LSP-14 joints in the stored image, px"),
    Key("image/y", FLOAT32, 14, "y of the LSP-14 joints in the stored image, px"),
    Key("image/visibility", INT64, 14, "0: no label, above 0: labelled (COCO: its 1 and 2)"),
    Key("image/face_pts", FLOAT32, 15, "nose, left eye, right eye, left ear, right ear: "
        "5 x (px), 5 y (px), 5 visibilities", "sets without face points", 0.0),
    Key("image/format", STRING, 1, "`JPEG`", "never needed to read", b"JPEG"),
    Key("image/filename", STRING, 1, "the picture's name in its dataset", "unknown", b""),
    Key("mosh/gt3d", FLOAT32, 42, "LSP-14 joints, x y z each, camera frame (x right, y down, "
        "z away), m", "sets without 3D joints", NAN),
    Key("mosh/pose", FLOAT32, 72, "SMPL pose, 24 axis-angles, root first, rad; counts only if "
        "`meta/has_3d` is 1", "sets without SMPL parameters", 0.0),
    Key("mosh/shape", FLOAT32, 10, "SMPL shape; counts only if `meta/has_3d` is 1",
        "sets without SMPL parameters", 0.0),
    Key("meta/has_3d", INT64, 1, "1 if pose and shape hold", "sets without 3D joints", 0),
    Key("meta/scale_factors", FLOAT32, 2, "rows, columns: stored size / size in the dataset",
        "picture stored at its own size", 1.0),
    Key("meta/crop_pt", INT64, 2, "x, y of the stored image's corner in the scaled picture, px",
        "picture stored whole", 0),
    Key("image/cam", FLOAT32, 3, "focal length, cx, cy of the stored image, px",
        "camera unknown", NAN),
    Key("meta/sequence", STRING, 1, "take and camera that the picture comes from",
        "single pictures", b""),
    Key("meta/frame", INT64, 1, "0-based frame in that take", "single pictures", -1),
    Key("meta/activity", STRING, 1, "the dataset's name for what the person does",
        "not annotated", b""),
    Key("meta/gender", STRING, 1, "`m`, `f` or `n`: the SMPL body that pose and shape belong to",
        "sets without SMPL parameters", b""),
    Key("meta/dataset", STRING, 1, "dataset name", "the authors' records", b""),
    Key("meta/schema_version", INT64, 1, f"version of this table ({SCHEMA_VERSION})",
        "the authors' records", 0),
)  # fmt: skip

MOCAP_KEYS = (
    Key("pose", FLOAT32, 72, "SMPL pose, 24 axis-angles, root first, rad"),
    Key("shape", FLOAT32, 10, "SMPL shape coefficients"),
    Key("meta/schema_version", INT64, 1, f"version of this table ({SCHEMA_VERSION})",
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
        joints3d_lsp_m: (14, 3) LSP-14 joints in the camera frame, or None.
        pose, beta: SMPL parameters (72,) rad and (10,), or None.
        intrinsics_px: (3,) focal length, cx, cy of the stored picture, px, or None.
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
    joints3d_lsp_m: np.ndarray | None = None
    pose: np.ndarray | None = None
    beta: np.ndarray | None = None
    intrinsics_px: np.ndarray | None = None
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
        if (self.pose is None) != (self.beta is None):
            raise ValueError("pose and beta come together. Received only one of them.")


_OPTIONAL_SHAPES = {
    "joints3d_lsp_m": (len(LSP14), 3),
    "pose": (72,),
    "beta": (10,),
    "intrinsics_px": (3,),
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

    Absent labels are left out. The same person always gives the same bytes.
    """
    values: dict[str, Any] = {
        "image/encoded": person.encoded,
        "image/height": person.height,
        "image/width": person.width,
        "image/center": np.asarray(person.center_px).astype(np.int64),
        "image/format": b"JPEG",
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
    if person.joints3d_lsp_m is not None or person.pose is not None:
        values["meta/has_3d"] = int(person.pose is not None)
    if person.joints3d_lsp_m is not None:
        values["mosh/gt3d"] = np.asarray(person.joints3d_lsp_m).ravel()
    if person.pose is not None:
        values |= {"mosh/pose": person.pose, "mosh/shape": person.beta}
        values["meta/gender"] = (person.gender or "n").encode()
    return values


def _origin_values(person: Person) -> dict[str, Any]:
    values: dict[str, Any] = {
        "image/cam": person.intrinsics_px,
        "meta/scale_factors": person.scale_factors,
        "meta/crop_pt": person.crop_origin_px,
        "meta/sequence": person.sequence.encode() or None,
        "meta/frame": person.frame if person.frame >= 0 else None,
        "meta/activity": person.activity.encode() or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def mocap_to_example(pose: np.ndarray, beta: np.ndarray) -> bytes:
    """Serialises one body: pose (72,) axis-angles in rad, root first; beta (10,)."""
    _check_array("pose", pose, (72,))
    _check_array("beta", beta, (10,))
    values = {"pose": pose, "shape": beta, "meta/schema_version": SCHEMA_VERSION}
    return _serialize(values, MOCAP_KEYS)


def _serialize(values: dict[str, Any], keys: tuple[Key, ...]) -> bytes:
    return encode_example(
        {key.name: (key.dtype, values[key.name]) for key in keys if key.name in values}
    )


def refuse_newer(what: str, version: int, stored: Iterable[str], known: Iterable[str]) -> None:
    """Refuses a record or manifest that this version of the project would misread.

    Those of older versions can be read: they only lack fields.

    Args:
        what: a name for the message, such as the file's path.
        version: the `SCHEMA_VERSION` it was written with.
        stored: names of its fields.
        known: names of the fields that this version knows.

    Raises:
        UserError: the version is newer, or a field is unknown.
    """
    unknown = sorted(set(stored) - set(known))
    if version > SCHEMA_VERSION or unknown:
        raise UserError(
            f"{what} was written by another version of this project: schema {version}, this one "
            f"reads up to {SCHEMA_VERSION}; unknown to it: {', '.join(unknown) or 'nothing'}. "
            "Update the project, or delete the file and run python -m tfrecords_tools again."
        )


def schema_table(keys: tuple[Key, ...] = PERSON_KEYS) -> str:
    """The schema as a Markdown table."""
    lines = ["| key | type | meaning, order, unit | absent |", "|---|---|---|---|"]
    for key in keys:
        kind = f"{key.dtype}[{key.length}]"
        lines.append(f"| `{key.name}` | {kind} | {key.meaning} | {key.absent or 'never'} |")
    return "\n".join(lines)
