"""Skinned bodies as binary glTF 2.0 (.glb): mesh, 24 joints, weights, posed.

Written without a library: pygltflib would save 24 of 125 lines for seven more packages, and trimesh
writes no skins. The files pass Khronos's glTF validator without a message.
"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass, field

import numpy as np

from hmr.body.joints import SMPL_JOINTS
from hmr.body.model_file import BodyModel, require_faces
from hmr.files.whole import write_whole
from hmr.prediction.writers.obj import Y_UP, pose_correction, rest_body, to_y_up
from hmr.rendering.rasterise import vertex_normals
from hmr.rendering.shade import SKIN_BLUE

_MAGIC, _VERSION = b"glTF", 2
_FLOAT, _UNSIGNED_SHORT, _UNSIGNED_BYTE = 5126, 5123, 5121
_COMPONENTS = {
    np.dtype("<f4"): _FLOAT,
    np.dtype("<u2"): _UNSIGNED_SHORT,
    np.dtype("u1"): _UNSIGNED_BYTE,
}
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_INFLUENCES = 4


@dataclass
class _Buffer:
    """The binary chunk, and the accessors that describe it."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict] = field(default_factory=list)
    accessors: list[dict] = field(default_factory=list)

    def add(self, array: np.ndarray, kind: str, target: int | None = None, **extra: object) -> int:
        """Appends an array (N, components) and returns its accessor's index."""
        view: dict = {"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.data += array.tobytes()
        self.data += b"\0" * (-len(self.data) % 4)
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": _COMPONENTS[array.dtype],
            "count": len(array),
            "type": kind,
        }
        self.accessors.append({**accessor, **extra})
        return len(self.accessors) - 1


def strongest_weights(lbs_weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The four strongest joints of every vertex.

    Args:
        lbs_weights: (V, 24).

    Returns:
        joints (V, 4) uint8 and weights (V, 4) float32 that sum to 1; unused ones are joint 0 with
        weight 0. SMPL has no more than four per vertex, so nothing is lost.
    """
    order = np.argsort(-lbs_weights, axis=1, kind="stable")[:, :_INFLUENCES]
    weights = np.take_along_axis(lbs_weights, order, axis=1).astype(np.float64)
    weights /= weights.sum(axis=1, keepdims=True)
    joints = np.where(weights > 0, order, 0)
    return joints.astype(np.uint8), weights.astype("<f4")


def write_glb(
    path: str | os.PathLike,
    body: BodyModel,
    rotations: np.ndarray,
    beta: np.ndarray,
) -> None:
    """Writes one posed, skinned body. Blender, Unity and web viewers open it in its pose.

    The skin's rest shape carries the pose blend shapes of this pose, so that the posed mesh equals
    SMPL's vertices; in another pose it deforms by skinning alone.

    Args:
        path: of the file, written atomically.
        body: the arrays of the body model.
        rotations: (24, 3, 3) local rotations, the root's in the camera's axes.
        beta: (10,) shape.

    Raises:
        UserError: the body has no faces.
    """
    vertices, joints = rest_body(body, beta)
    vertices = vertices + pose_correction(body, rotations)
    buffer = _Buffer()
    primitive = _add_mesh(buffer, vertices, body)
    bind = np.tile(np.eye(4), (len(joints), 1, 1))
    bind[:, :3, 3] = -joints
    # glTF stores matrices by columns: (24, 4, 4) -> (24, 16).
    matrices = np.ascontiguousarray(bind.transpose(0, 2, 1).reshape(-1, 16), "<f4")
    inverse_bind = buffer.add(matrices, "MAT4")
    nodes = _joint_nodes(joints, body.parents, rotations)
    nodes.append({"name": "body", "mesh": 0, "skin": 0})
    document = _document(buffer, primitive, nodes, inverse_bind)
    write_whole(path, lambda file: file.write(_pack(document, bytes(buffer.data))))


def _add_mesh(buffer: _Buffer, vertices: np.ndarray, body: BodyModel) -> dict:
    faces = require_faces(body)
    positions = np.ascontiguousarray(vertices, "<f4")
    normals = np.ascontiguousarray(vertex_normals(vertices, faces), "<f4")
    joints, weights = strongest_weights(body.lbs_weights)
    corners = np.ascontiguousarray(faces.reshape(-1, 1), "<u2")
    bounds = {"min": positions.min(axis=0).tolist(), "max": positions.max(axis=0).tolist()}
    attributes = {
        "POSITION": buffer.add(positions, "VEC3", _ARRAY_BUFFER, **bounds),
        "NORMAL": buffer.add(normals, "VEC3", _ARRAY_BUFFER),
        "JOINTS_0": buffer.add(joints, "VEC4", _ARRAY_BUFFER),
        "WEIGHTS_0": buffer.add(weights, "VEC4", _ARRAY_BUFFER),
    }
    indices = buffer.add(corners, "SCALAR", _ELEMENT_BUFFER)
    return {"attributes": attributes, "indices": indices, "material": 0}


def _joint_nodes(joints: np.ndarray, parents: np.ndarray, rotations: np.ndarray) -> list[dict]:
    local = np.array(rotations, np.float64)
    local[0] = Y_UP @ local[0]
    from scipy.spatial.transform import Rotation  # takes a quarter of a second to import

    quaternions = Rotation.from_matrix(local).as_quat()
    places = joints - joints[np.maximum(parents, 0)]
    places[0] = to_y_up(joints[0])
    nodes = []
    for index, name in enumerate(SMPL_JOINTS):
        node = {
            "name": name,
            "translation": places[index].tolist(),
            "rotation": quaternions[index].tolist(),
        }
        children = np.flatnonzero(parents == index).tolist()
        nodes.append({**node, "children": children} if children else node)
    return nodes


def _document(buffer: _Buffer, primitive: dict, nodes: list[dict], inverse_bind: int) -> dict:
    num_joints = len(SMPL_JOINTS)
    color = [*((np.array(SKIN_BLUE) / 255) ** 2.2).round(4).tolist(), 1.0]
    surface = {"baseColorFactor": color, "metallicFactor": 0.0, "roughnessFactor": 0.7}
    return {
        "asset": {"version": "2.0", "generator": "hmr-tf2"},
        "scene": 0,
        "scenes": [{"nodes": [0, num_joints]}],
        "nodes": nodes,
        "meshes": [{"name": "body", "primitives": [primitive]}],
        "materials": [{"name": "skin", "pbrMetallicRoughness": surface}],
        "skins": [
            {"joints": list(range(num_joints)), "skeleton": 0, "inverseBindMatrices": inverse_bind}
        ],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }


def _pack(document: dict, binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return _MAGIC + struct.pack("<II", _VERSION, 12 + len(chunks)) + chunks
