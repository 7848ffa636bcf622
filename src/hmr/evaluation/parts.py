"""Which of six body parts each vertex belongs to: from skinning weights, or from a user's file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.body.joints import SMPL_JOINTS
from hmr.body.model_file import NUM_VERTICES, BodyModel
from hmr.errors import UserError
from hmr.files.foreign import reading
from hmr.files.safe_npz import load_npy

PARTS = ("background", "head", "torso", "right arm", "left arm", "right leg", "left leg")
"""Label -> name, the order of UP's part annotations (Lassner et al. 2017)."""

_PART_OF_JOINT = {
    "head": ("head",),
    "torso": (
        "pelvis", "spine1", "spine2", "spine3", "neck", "left_collar", "right_collar",
    ),
    "right arm": ("right_shoulder", "right_elbow", "right_wrist", "right_hand"),
    "left arm": ("left_shoulder", "left_elbow", "left_wrist", "left_hand"),
    "right leg": ("right_hip", "right_knee", "right_ankle", "right_foot"),
    "left leg": ("left_hip", "left_knee", "left_ankle", "left_foot"),
}  # fmt: skip

# The colours that UP's template-bodyparts.ply paints its 31 regions with, by part.
_UP_COLORS = {
    "head": ((225, 25, 48), (151, 3, 48), (12, 84, 47), (39, 31, 49)),
    "torso": (
        (167, 226, 58), (211, 249, 190), (155, 183, 93), (254, 249, 190), (181, 166, 208),
        (84, 90, 36), (37, 74, 97), (191, 191, 191),
    ),
    "right arm": ((255, 241, 0), (81, 25, 62), (250, 196, 7), (254, 99, 195), (254, 118, 0)),
    "left arm": ((38, 174, 73), (29, 32, 96), (4, 183, 244), (98, 255, 230), (82, 115, 252)),
    "right leg": ((111, 47, 168), (67, 32, 87), (165, 81, 53), (249, 122, 144), (219, 170, 122)),
    "left leg": ((46, 55, 145), (85, 31, 76), (249, 167, 173), (102, 251, 134), (248, 225, 150)),
}  # fmt: skip
_LARGEST_COLOR_DIFFERENCE = 4


@dataclass(frozen=True)
class VertexParts:
    """Labels (6890,) uint8, 1 to 6 as in `PARTS`, and where they come from, for the header."""

    labels: np.ndarray
    source: str


def vertex_parts(body: BodyModel, path: str | Path | None = None) -> VertexParts:
    """The part of every vertex.

    Args:
        body: without a file its skinning weights decide: a vertex belongs to the part of its
            strongest joint. UP counts the tops of the shoulders as torso, skinning as arms.
        path: .npy of 6890 labels from 1 to 6, or UP's template-bodyparts.ply.

    Raises:
        UserError: the file is missing or holds something else.
    """
    if path is None:
        return VertexParts(_of_skinning(body), "skinning weights, each vertex by its strongest")
    path = Path(path)
    if not path.is_file():
        raise UserError(f"no vertex parts at {path}. Leave --parts out to use skinning weights.")
    readers = {".npy": _read_npy, ".ply": _read_ply}
    if path.suffix not in readers:
        raise UserError(f"vertex parts are read from .npy or .ply. Received: {path}")
    return VertexParts(readers[path.suffix](path), str(path))


def _of_skinning(body: BodyModel) -> np.ndarray:
    of_joint = np.zeros(len(SMPL_JOINTS), np.uint8)
    for part, joints in _PART_OF_JOINT.items():
        of_joint[[SMPL_JOINTS.index(joint) for joint in joints]] = PARTS.index(part)
    return of_joint[np.argmax(body.lbs_weights, axis=1)]


def _read_npy(path: Path) -> np.ndarray:
    labels = load_npy(path)
    usable = labels.shape == (NUM_VERTICES,) and labels.dtype.kind in "iu"
    if not usable or labels.min() < 1 or labels.max() >= len(PARTS):
        raise UserError(
            f"{path} must hold {NUM_VERTICES} whole numbers from 1 to {len(PARTS) - 1} "
            f"({', '.join(PARTS[1:])}). Received: {labels.dtype} {labels.shape}"
        )
    return labels.astype(np.uint8)


def _read_ply(path: Path) -> np.ndarray:
    colors = read_vertex_colors(path).astype(np.int64)
    if len(colors) != NUM_VERTICES:
        raise UserError(f"{path} must hold {NUM_VERTICES} vertices. Received: {len(colors)}")
    known = np.array([color for group in _UP_COLORS.values() for color in group])
    labels = np.array([PARTS.index(part) for part, group in _UP_COLORS.items() for _ in group])
    differences = np.abs(colors[:, None] - known).max(axis=2)
    nearest = differences.argmin(axis=1)
    strange = np.flatnonzero(differences.min(axis=1) > _LARGEST_COLOR_DIFFERENCE)
    if len(strange):
        raise UserError(
            f"{path}: vertex {strange[0]} has colour {colors[strange[0]].tolist()}, which is none "
            "of UP's body regions. Expected template-bodyparts.ply."
        )
    return labels[nearest].astype(np.uint8)


# PLY is read here because plyfile is under the GPL, and trimesh would be a new dependency of 5 MB
# for three columns, with other exceptions for each kind of damage.
_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2",
    "ushort": "u2", "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4",
    "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_PLY_BYTE_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">"}
_PLY_COLORS = ["red", "green", "blue"]
_PLY_END = re.compile(rb"end_header\r?\n")
_MAX_PLY_BYTES = 1 << 24


def read_vertex_colors(path: Path) -> np.ndarray:
    """Colours (V, 3) uint8 of the vertices, which must be the file's first element.

    Raises:
        UserError: the file is too large, is no PLY, or its vertices have no colours.
    """
    with reading(path, "PLY file whose vertices come first and have colours", _MAX_PLY_BYTES):
        header, body = _PLY_END.split(path.read_bytes(), 1)
        kind, count, columns = _read_ply_header(header.decode("ascii").splitlines())
        table = _read_ply_table(body, kind, count, columns)
        return np.stack([table[color] for color in _PLY_COLORS], axis=1).astype(np.uint8)


def _read_ply_header(lines: list[str]) -> tuple[str, int, list[tuple[str, str]]]:
    """Format, number of vertices, and name and type of each of their properties."""
    words = [line.split() for line in lines]
    if words[0] != ["ply"]:
        raise ValueError("it does not begin with ply")
    kind = next((line[1] for line in words if line[:1] == ["format"]), "missing format")
    elements = [index for index, line in enumerate(words) if line[:1] == ["element"]]
    _, name, count = words[elements[0]]
    if name != "vertex":
        raise ValueError(f"its first element is {name}")
    last = elements[1] if len(elements) > 1 else len(words)
    columns = [
        (line[2], _PLY_TYPES[line[1]])
        for line in words[elements[0] : last]
        if line[:1] == ["property"]
    ]
    return kind, int(count), columns


def _read_ply_table(
    body: bytes, kind: str, count: int, columns: list[tuple[str, str]]
) -> dict[str, np.ndarray]:
    names = [name for name, _ in columns]
    if kind == "ascii":
        rows = body.decode("ascii").split("\n", count)[:count]
        numbers = np.array([row.split()[: len(names)] for row in rows], float)
        return dict(zip(names, numbers.T, strict=True))
    order = _PLY_BYTE_ORDERS[kind]
    record = np.dtype([(name, order + code) for name, code in columns])
    table = np.frombuffer(body, record, count)
    return {name: table[name] for name in names}
