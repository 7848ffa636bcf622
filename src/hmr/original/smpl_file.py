"""Reads SMPL body models from the files in which they are distributed.

These are v1.0.0 and v1.1.0 for Python (male, female, neutral), SMPLify's neutral body, the authors'
`neutral_smpl_with_cocoplus_reg.pkl`, and .npz versions of each. A file is recognised by its
contents, not by its name. No code in a pickle is executed: see `hmr.files.safe_pickle`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from hmr.body.joints import COCOPLUS, FACE5, SMPL_JOINTS, joint_map
from hmr.body.model_file import NUM_BETAS, SHAPES, BodyModel, body_from_arrays
from hmr.errors import UserError
from hmr.files.foreign import parsing
from hmr.files.safe_npz import load_npz
from hmr.files.safe_pickle import Unread, safe_load

ZIP_HEAD = b"PK\x03\x04"
# Our key -> the names that files use for it.
KEY_NAMES = {
    "v_template": ("v_template",),
    "shapedirs": ("shapedirs",),
    "posedirs": ("posedirs",),
    "joint_regressor": ("J_regressor", "joint_regressor"),
    "lbs_weights": ("weights", "lbs_weights"),
    "faces": ("f", "faces"),
}
REGRESSOR_KEY = "cocoplus_regressor"
# (vertices, joints) of models that are mistaken for SMPL, which has 6890 and 24.
OTHER_FAMILIES = {
    (6890, 52): "SMPL-H, the body with hands",
    (10475, 55): "SMPL-X, the body with hands and face",
    (778, 16): "MANO, a hand",
    (5023, 5): "FLAME, a head",
}
# Keys by which other files from the same sites are recognised.
OTHER_CONTENTS = {
    "poses": "a motion sequence: convert it with python -m tfrecords_tools --amass /path",
    "covars": "a pose prior, not a body",
    "marker_data": "motion capture markers, not a body",
}
# Vertex ids (0-based) of face points on SMPL's mesh, as in the public smplx package's vertex_ids.
FACE_VERTICES = {"nose": 332, "left_eye": 2800, "right_eye": 6260, "left_ear": 583,
                 "right_ear": 4071}  # fmt: skip
GENDER_PATTERNS = (
    ("neutral", r"neutral"),
    ("female", r"female|(?<![a-z])f(?![a-z])"),
    ("male", r"male|(?<![a-z])m(?![a-z])"),
)
FALLBACK_NOTE = (
    "no keypoint regressor in the file: ankles, knees, hips, wrists, elbows, shoulders and neck "
    "are SMPL's own joints, nose, eyes and ears are single vertices, head top is the highest one. "
    "Hips and neck differ most from the paper's keypoints. To use the paper's 19 rows: "
    "--regressor-from neutral_smpl_with_cocoplus_reg.pkl"
)


@dataclass(frozen=True)
class OfficialBody:
    """A SMPL body and what is known about the file it came from.

    Attributes:
        body: the arrays.
        gender: "neutral", "male", "female" or "unknown", from the file's name.
        version: such as "1.1.0", from the name or the number of shape components; or "unknown".
        num_betas: number of shape components in the file; the body holds the first 10.
        notes: one sentence for each decision that was made while reading.
    """

    body: BodyModel
    gender: str
    version: str
    num_betas: int
    notes: tuple[str, ...]


def read_official(
    path: str | os.PathLike, regressor_from: str | os.PathLike | None = None
) -> OfficialBody:
    """Reads any of the known SMPL files.

    Args:
        path: a pickle or an .npz.
        regressor_from: another such file, whose 19 keypoint rows are used instead.
    Raises:
        UserError: a file is missing, damaged, unsafe, or of another kind.
    """
    path = Path(path)
    contents, notes = _load(path)
    _refuse_other_kinds(contents, path)
    arrays = {key: _take(contents, key, path) for key in KEY_NAMES}
    num_betas = arrays["shapedirs"].shape[-1]
    arrays["shapedirs"] = arrays["shapedirs"][..., :NUM_BETAS]
    if num_betas > NUM_BETAS:
        notes.append(f"the file has {num_betas} shape components; using the first {NUM_BETAS}")
    arrays["parents"] = _parents(contents, path)
    if regressor_from:
        contents, _ = _load(Path(regressor_from))
        arrays[REGRESSOR_KEY] = _dense(contents, REGRESSOR_KEY, Path(regressor_from))
    elif REGRESSOR_KEY in contents:
        arrays[REGRESSOR_KEY] = _dense(contents, REGRESSOR_KEY, path)
    else:
        arrays[REGRESSOR_KEY] = fallback_regressor(arrays["joint_regressor"], arrays["v_template"])
        notes.append(FALLBACK_NOTE)
    gender, version = _gender(path), _version(path, num_betas)
    body = body_from_arrays(arrays, f"SMPL {version} {gender} ({path.name})")
    return OfficialBody(body, gender, version, num_betas, tuple(notes))


def fallback_regressor(joint_regressor: np.ndarray, v_template: np.ndarray) -> np.ndarray:
    """The 19 keypoint rows for files that contain none.

    Args:
        joint_regressor: (24, 6890).
        v_template: (6890, 3) m, y up.
    Returns:
        (19, 6890): the row of the SMPL joint of that name, or else a single vertex.
    """
    vertices = FACE_VERTICES | {"head_top": int(v_template[:, 1].argmax())}
    rows = np.zeros((len(COCOPLUS), len(v_template)), joint_regressor.dtype)
    source = joint_map(SMPL_JOINTS, COCOPLUS)
    rows[source >= 0] = joint_regressor[source[source >= 0]]
    for name in ("head_top", *FACE5):
        rows[COCOPLUS.index(name), vertices[name]] = 1.0
    return rows


def _load(path: Path) -> tuple[Mapping[str, Any], list[str]]:
    """The entries of a file, and a note if its name does not match its format."""
    if not path.is_file():
        raise UserError(
            f"no file at {path}. models/README.md lists the SMPL files and their sites."
        )
    with parsing(path, "readable file"), path.open("rb") as file:
        is_zip = file.read(len(ZIP_HEAD)) == ZIP_HEAD
    contents = load_npz(path) if is_zip else safe_load(path)
    if not isinstance(contents, Mapping):
        raise UserError(f"{path} holds a {type(contents).__name__}, not a SMPL body.")
    if is_zip and path.suffix != ".npz":
        return contents, [f'{path.name} begins with "PK": it is an .npz, and is read as one']
    return contents, []


def _refuse_other_kinds(contents: Mapping[str, Any], path: Path) -> None:
    for key, meaning in OTHER_CONTENTS.items():
        if key in contents:
            raise UserError(f"{path} is {meaning}.")
    vertices = np.shape(contents.get("v_template", ()))
    joints = np.shape(contents.get("kintree_table", contents.get("parents", ())))
    counts = (vertices[0] if vertices else 0, joints[-1] if joints else 0)
    if counts in OTHER_FAMILIES:
        raise UserError(
            f"{path} is {OTHER_FAMILIES[counts]}: {counts[0]} vertices and {counts[1]} joints, "
            "expected SMPL's 6890 and 24. models/README.md lists the SMPL files and their sites."
        )


def _take(contents: Mapping[str, Any], key: str, path: Path) -> np.ndarray:
    for name in KEY_NAMES[key]:
        if name in contents:
            return _dense(contents, name, path, SHAPES[key])
    raise UserError(
        f"{path} is not a SMPL body: it has no {KEY_NAMES[key][0]!r}; "
        f"it holds {', '.join(sorted(map(str, contents))[:12])}."
    )


def _dense(
    contents: Mapping[str, Any],
    name: str,
    path: Path,
    shape: tuple[int, ...] = SHAPES[REGRESSOR_KEY],
) -> np.ndarray:
    """An entry as a dense array of `shape`; `shapedirs` may have more components than that."""
    if name not in contents:
        raise UserError(f"{path} has no {name!r}.")
    value = contents[name]
    if isinstance(value, Unread):
        raise UserError(f"{path}: {name} is a {value.name} expression, which is not evaluated.")
    received = np.shape(value)
    fits = received == shape or (
        name == "shapedirs" and received[:-1] == shape[:-1] and received[-1] > shape[-1]
    )
    if not fits:
        raise UserError(f"{path}: {name} must be {shape}. Received: {received}.")
    array = value.toarray() if scipy.sparse.issparse(value) else np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise UserError(f"{path}: {name} must hold numbers. Received: {array.dtype}.")
    return array


def _parents(contents: Mapping[str, Any], path: Path) -> np.ndarray:
    """(24,) parents, -1 at the root, for which official files have 2**32 - 1."""
    table = contents.get("kintree_table", contents.get("parents"))
    if table is None or not isinstance(table, np.ndarray):
        raise UserError(f"{path} is not a SMPL body: it has no 'kintree_table'.")
    with parsing(path, "SMPL body"):
        parents = np.atleast_2d(table)[0].astype(np.int64)
    return np.where(parents == 2**32 - 1, -1, parents)


def _gender(path: Path) -> str:
    name = path.stem.lower()
    return next((g for g, pattern in GENDER_PATTERNS if re.search(pattern, name)), "unknown")


def _version(path: Path, num_betas: int) -> str:
    named = re.search(r"v\.?(\d+\.\d+\.\d+)", path.stem.lower())
    if named:
        return named.group(1)
    return "1.1.0" if num_betas == 300 else "unknown"
