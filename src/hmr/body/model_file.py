"""The arrays of a SMPL body, and the one file format in which the project keeps them.

A body file is an .npz without pickled objects. Official SMPL files become one with
`python -m src.convert_smpl`; the licence-free stand-in body is written in the same format.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from hmr.body.joints import SMPL_PARENTS
from hmr.errors import UserError
from hmr.files.foreign import parsing
from hmr.files.safe_npz import load_npz
from hmr.files.shipped import cache_folder
from hmr.files.whole import write_whole

NUM_VERTICES, NUM_FACES, NUM_JOINTS, NUM_BETAS, NUM_POSE_FEATURES = 6890, 13776, 24, 10, 207
NUM_KEYPOINTS = 19

SHAPES = {
    "v_template": (NUM_VERTICES, 3),
    "shapedirs": (NUM_VERTICES, 3, NUM_BETAS),
    "posedirs": (NUM_VERTICES, 3, NUM_POSE_FEATURES),
    "joint_regressor": (NUM_JOINTS, NUM_VERTICES),
    "lbs_weights": (NUM_VERTICES, NUM_JOINTS),
    "cocoplus_regressor": (NUM_KEYPOINTS, NUM_VERTICES),
    "faces": (NUM_FACES, 3),
    "parents": (NUM_JOINTS,),
}
INTEGER_KEYS = ("faces", "parents")
STANDIN_BODY = "standin_body.npz"
_MAX_BYTES = 1 << 28
NO_FACES = np.zeros((0, 3), np.int32)
MISSING_BODY = (
    'No body model found. Looked for {path}. Download "SMPL for Python" v1.1.0 (or the SMPLify '
    "neutral v1.0.0) after registering, then run: hmr convert-smpl /path/to/file.pkl. "
    "To try everything without it, use the stand-in body, which is made where it is missing: "
    "--config.model.body=models/standin_body.npz (train), or --body models/standin_body.npz."
)


@dataclass(frozen=True)
class BodyModel:
    """A SMPL body (Loper et al. 2015) in its rest pose.

    Axes: y up, x to the body's left, facing +z; metres.

    Attributes:
        v_template: (6890, 3) mean vertices, float32.
        shapedirs: (6890, 3, 10) vertex displacement per unit beta.
        posedirs: (6890, 3, 207) vertex displacement per entry of R_1..R_23 - I, row-major.
        joint_regressor: (24, 6890) joints from shaped, unposed vertices.
        lbs_weights: (6890, 24) skinning weights; rows sum to 1.
        cocoplus_regressor: (19, 6890) keypoints from posed vertices.
        faces: (13776, 3) int32 vertex indices, counter-clockwise from outside; `NO_FACES` in the
            body of a TF1 checkpoint, which holds none.
        parents: (24,) int32 kinematic tree, -1 at the root.
        source: where the arrays come from, for reports.
    """

    v_template: np.ndarray
    shapedirs: np.ndarray
    posedirs: np.ndarray
    joint_regressor: np.ndarray
    lbs_weights: np.ndarray
    cocoplus_regressor: np.ndarray
    faces: np.ndarray
    parents: np.ndarray
    source: str

    def __post_init__(self) -> None:
        for key, shape in SHAPES.items():
            received = getattr(self, key).shape
            without_faces = key == "faces" and received == NO_FACES.shape
            if received != shape and not without_faces:
                raise UserError(f"{self.source}: {key} must be {shape}. Received: {received}.")
        if len(self.faces) and not 0 <= self.faces.min() <= self.faces.max() < NUM_VERTICES:
            raise UserError(
                f"{self.source}: faces must be vertices 0 to {NUM_VERTICES - 1}. Received: "
                f"{self.faces.min()} to {self.faces.max()}."
            )
        if tuple(self.parents) != SMPL_PARENTS:
            raise UserError(
                f"{self.source}: the kinematic tree must be SMPL's {SMPL_PARENTS}. "
                f"Received: {tuple(int(p) for p in self.parents)}."
            )


def require_faces(body: BodyModel) -> np.ndarray:
    """The body's faces, for pictures and meshes.

    Raises:
        UserError: it has none.
    """
    if not len(body.faces):
        raise UserError(
            f"pictures and meshes need the body's faces, and the body of {body.source} has none. "
            "Convert the checkpoint again with --body models/smpl_neutral.npz."
        )
    return body.faces


def body_from_arrays(arrays: dict[str, np.ndarray], source: str) -> BodyModel:
    """Builds a `BodyModel`, casting to float32 and int32.

    Raises:
        UserError: a key is missing, misshaped or not finite.
    """
    missing = sorted(set(SHAPES) - set(arrays))
    if missing:
        raise UserError(f"{source} is not a body file: it lacks {', '.join(missing)}.")
    with parsing(source, "body file"):
        cast = {
            key: np.ascontiguousarray(arrays[key], np.int32 if key in INTEGER_KEYS else np.float32)
            for key in SHAPES
        }
    for key, value in cast.items():
        if not np.isfinite(value).all():
            raise UserError(f"{source}: {key} holds values that are not finite.")
    return BodyModel(**cast, source=source)


def save_body(path: str | os.PathLike, body: BodyModel) -> None:
    """Writes a body file; the file appears under its name only when it is complete."""
    arrays = {field.name: getattr(body, field.name) for field in fields(body)}
    write_whole(path, lambda file: np.savez_compressed(file, **arrays))


def load_body(path: str | os.PathLike) -> BodyModel:
    """Reads a body file written by `save_body`.

    Raises:
        UserError: the file is missing, is no body file, or an array has another shape.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(MISSING_BODY.format(path=path))
    try:
        arrays = load_npz(path, _MAX_BYTES, (*SHAPES, "source"))
    except UserError as error:
        raise UserError(
            f"{path} cannot be read as a body file ({error}). "
            "Make it again: hmr convert-smpl IN.pkl OUT.npz."
        ) from error
    source = str(arrays.pop("source", path))
    return body_from_arrays(arrays, source)


def open_body(path: str | os.PathLike) -> BodyModel:
    """Loads a body file; the stand-in body is made where its file is missing.

    The stand-in is saved under `path`; in the user's cache folder where the folder of `path` does
    not exist, as `models` outside a checkout.

    Raises:
        UserError: the file is missing, or is no body file.
    """
    path = body_place(path)
    makes_it = path.name == STANDIN_BODY and not path.is_file()
    return _make_standin_body(path) if makes_it else load_body(path)


def body_place(path: str | os.PathLike) -> Path:
    """The file that `open_body` reads, or saves what it made as.

    Raises:
        UserError: it would lie in the cache folder of a user who has none.
    """
    path = Path(path)
    own = path.name != STANDIN_BODY or path.parent.is_dir()
    return path if own else cache_folder() / STANDIN_BODY


def _make_standin_body(path: Path) -> BodyModel:
    from hmr.body.standin.build import build_standin_body

    body = build_standin_body()
    with contextlib.suppress(UserError):  # where nothing can be kept it is made each time
        save_body(path, body)
    return body


def rest_body(body: BodyModel, beta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shaped body before posing (SMPL equations 8 and 10).

    Args:
        body: the arrays of the body model.
        beta: (10,) shape.

    Returns:
        vertices (6890, 3) and joints (24, 3), metres, SMPL's axes.
    """
    vertices = body.v_template + body.shapedirs @ np.asarray(beta, np.float64)
    return vertices, body.joint_regressor @ vertices
