"""Skinned bodies as binary glTF 2.0 (.glb): one person, or a picture's scene with its camera.

Bodies stand where a bvh has them, at `translation_room_m` of the picture's camera, which is at the
origin. y up, metres.

Written without a library: pygltflib has classes in the place of the dictionaries below and brings
seven packages, and trimesh writes no skins. The files pass Khronos's glTF validator without a
message.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from hmr.body.joints import SMPL_JOINTS
from hmr.body.model_file import BodyModel, require_faces, rest_body
from hmr.files.images import jpeg_bytes
from hmr.files.whole import write_whole
from hmr.prediction.result import FRAMES, Body
from hmr.prediction.writers.bvh import MotionFrame
from hmr.prediction.writers.obj import Y_UP, pose_correction, to_y_up
from hmr.rendering.draw import person_color, shrink_to_fit
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
_UNLIT, _CLAMP = "KHR_materials_unlit", 33071
_LARGEST_TEXTURE_PX = 2048
_BEHIND_PEOPLE = 1.1
_NEAREST_M = 0.05
# What the extras of a skeleton's node say about where they stand.
_PLACE_FIELDS = (
    "label", "translation_room_m", "focal_room_px", "translation_full_m", "focal_px",
    "principal_point_px",
)  # fmt: skip


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


class GltfDocument:
    """A scene that people, a camera and a picture are added to, and its binary chunk.

    Args:
        body: the arrays of the body model; everyone shares its faces and skinning weights.

    Raises:
        UserError: the body has no faces.
    """

    def __init__(self, body: BodyModel):
        self._body = body
        self._faces = require_faces(body)
        self._binary = bytearray()
        self._parts: dict[str, list[dict]] = {}
        self._roots: list[int] = []
        self._shared: dict[str, int] = {}

    def _add(self, part: str, entry: dict) -> int:
        """Appends to one of the document's lists, such as nodes, and returns the index."""
        entries = self._parts.setdefault(part, [])
        entries.append(entry)
        return len(entries) - 1

    def _add_root(self, node: dict) -> int:
        self._roots.append(self._add("nodes", node))
        return self._roots[-1]

    def _add_view(self, data: bytes, **extra: object) -> int:
        view = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(data), **extra}
        self._binary += data + b"\0" * (-len(data) % 4)
        return self._add("bufferViews", view)

    def add_array(
        self, array: np.ndarray, kind: str, target: int | None = None, bounds: bool = False
    ) -> int:
        """Appends an array (N, components) and returns its accessor's index.

        Args:
            array: float32, uint16 or uint8.
            kind: glTF's type, such as VEC3.
            target: of the buffer view, if it is one of vertices or of indices.
            bounds: state the smallest and largest value, as positions and times need.
        """
        array = np.ascontiguousarray(array)
        view = self._add_view(array.tobytes(), **({} if target is None else {"target": target}))
        accessor: dict[str, Any] = {
            "bufferView": view,
            "componentType": _COMPONENTS[array.dtype],
            "count": len(array),
            "type": kind,
        }
        if bounds:
            accessor |= {"min": array.min(axis=0).tolist(), "max": array.max(axis=0).tolist()}
        return self._add("accessors", accessor)

    def add_person(
        self,
        frame: MotionFrame,
        name: str = "body",
        color: tuple[int, int, int] = SKIN_BLUE,
        extras: dict | None = None,
        moves: bool = False,
    ) -> list[int]:
        """Adds a posed, skinned body.

        The skin's rest shape carries the pose blend shapes of this pose, so that the posed mesh
        equals SMPL's vertices; in another pose it deforms by skinning alone.

        Args:
            frame: pose, shape and place.
            name: of the mesh.
            color: RGB, 0 to 255.
            extras: kept with the skeleton's node.
            moves: leave the pose blend shapes out: a skin cannot carry those of every pose.

        Returns:
            the nodes of the 24 joints; the first holds the place of the pelvis.
        """
        vertices, joints = rest_body(self._body, frame.beta)
        if not moves:
            vertices = vertices + pose_correction(self._body, frame.rotations)
        nodes = self._add_joints(joints, frame)
        # A parent of each person's own: programs make a skeleton of each.
        skeleton = {"name": f"{name} skeleton", "children": nodes[:1]}
        skeleton_node = self._add_root({**skeleton, "extras": extras} if extras else skeleton)
        # Bound where the person stands: programs choose their view by the shape at rest.
        stands_m = to_y_up(joints[0] + frame.translation_m) - joints[0]
        vertices, joints = vertices + stands_m, joints + stands_m
        # glTF stores matrices by columns: (24, 4, 4) -> (24, 16).
        bind = np.tile(np.eye(4), (len(joints), 1, 1))
        bind[:, :3, 3] = -joints
        matrices = bind.transpose(0, 2, 1).reshape(-1, 16).astype("<f4")
        skin = {
            "joints": nodes,
            "skeleton": skeleton_node,
            "inverseBindMatrices": self.add_array(matrices, "MAT4"),
        }
        mesh = {"name": name, "primitives": [self._surface(vertices, color)]}
        skinned = {"mesh": self._add("meshes", mesh), "skin": self._add("skins", skin)}
        self._add_root({"name": name, **skinned})
        return nodes

    def _add_joints(self, joints: np.ndarray, frame: MotionFrame) -> list[int]:
        parents, quaternions = self._body.parents, _quaternions(frame.rotations[None])[0]
        places = joints - joints[np.maximum(parents, 0)]
        places[0] = to_y_up(joints[0] + frame.translation_m)
        first = len(self._parts.get("nodes", []))
        for index, name in enumerate(SMPL_JOINTS):
            node: dict[str, Any] = {
                "name": name,
                "translation": places[index].tolist(),
                "rotation": quaternions[index].tolist(),
            }
            children = (first + np.flatnonzero(parents == index)).tolist()
            self._add("nodes", {**node, "children": children} if children else node)
        return list(range(first, first + len(SMPL_JOINTS)))

    def add_motion(
        self, nodes: list[int], rotations: np.ndarray, pelvis_m: np.ndarray, seconds: np.ndarray
    ) -> None:
        """Lets a person move: the joints turn and the pelvis goes its way, linear between frames.

        Args:
            nodes: of `add_person`.
            rotations: (N, 24, 3, 3) local rotations, the root's in the camera's axes (y down).
            pelvis_m: (N, 3) the pelvis joint, the same axes.
            seconds: (N,) when each frame is shown, ascending.
        """
        clock = self.add_array(np.asarray(seconds, "<f4")[:, None], "SCALAR", bounds=True)
        places = self.add_array(to_y_up(pelvis_m).astype("<f4"), "VEC3")
        turns = _quaternions(rotations).astype("<f4")  # (N, 24, 4)
        outputs = [(nodes[0], "translation", places)]
        for joint, node in enumerate(nodes):
            outputs.append((node, "rotation", self.add_array(turns[:, joint], "VEC4")))
        channels = [
            {"sampler": index, "target": {"node": node, "path": what}}
            for index, (node, what, _) in enumerate(outputs)
        ]
        samplers = [{"input": clock, "output": output} for _, _, output in outputs]
        self._add("animations", {"name": "motion", "channels": channels, "samplers": samplers})

    def _surface(self, vertices: np.ndarray, color: tuple[int, int, int]) -> dict:
        if not self._shared:
            joints, weights = strongest_weights(self._body.lbs_weights)
            corners = self._faces.reshape(-1, 1).astype("<u2")
            self._shared = {
                "JOINTS_0": self.add_array(joints, "VEC4", _ARRAY_BUFFER),
                "WEIGHTS_0": self.add_array(weights, "VEC4", _ARRAY_BUFFER),
                "indices": self.add_array(corners, "SCALAR", _ELEMENT_BUFFER),
            }
        normals = vertex_normals(vertices, self._faces).astype("<f4")
        linear = [*((np.array(color) / 255) ** 2.2).round(4).tolist(), 1.0]
        look = {"baseColorFactor": linear, "metallicFactor": 0.0, "roughnessFactor": 0.7}
        attributes = {
            "POSITION": self.add_array(vertices.astype("<f4"), "VEC3", _ARRAY_BUFFER, bounds=True),
            "NORMAL": self.add_array(normals, "VEC3", _ARRAY_BUFFER),
            **{name: self._shared[name] for name in ("JOINTS_0", "WEIGHTS_0")},
        }
        material = self._add("materials", {"name": "skin", "pbrMetallicRoughness": look})
        indices = self._shared["indices"]
        return {"attributes": attributes, "indices": indices, "material": material}

    def add_camera(self, focal_px: float, width: int, height: int) -> None:
        """Adds the camera that took a picture of this size, at the origin."""
        lens = {
            "yfov": 2 * float(np.arctan(height / 2 / focal_px)),
            "aspectRatio": width / height,
            "znear": _NEAREST_M,
        }
        camera = {"name": "camera", "type": "perspective", "perspective": lens}
        extras = {"focal_px": focal_px, "image_size_px": [height, width]}
        index = self._add("cameras", camera)
        self._add_root({"name": "camera", "camera": index, "extras": extras})

    def add_backdrop(self, image: np.ndarray, focal_px: float, distance_m: float) -> None:
        """Adds a picture (H, W, 3) uint8 RGB at this distance, where it fills the camera's view."""
        small = shrink_to_fit(image, _LARGEST_TEXTURE_PX, _LARGEST_TEXTURE_PX)
        view = self._add_view(jpeg_bytes(small))
        source = self._add("images", {"mimeType": "image/jpeg", "bufferView": view})
        sampler = self._add("samplers", {"wrapS": _CLAMP, "wrapT": _CLAMP})
        texture = self._add("textures", {"source": source, "sampler": sampler})
        material = {
            "name": "picture",
            "pbrMetallicRoughness": {"baseColorTexture": {"index": texture}},
            "extensions": {_UNLIT: {}},
        }
        # Upper left, upper right, lower left, lower right.
        corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], "<f4")
        size_m = np.array(image.shape[1::-1]) * distance_m / focal_px
        sides = (corners - 0.5) * size_m * (1, -1)
        places = np.column_stack([sides, np.full(4, -distance_m)]).astype("<f4")
        attributes = {
            "POSITION": self.add_array(places, "VEC3", _ARRAY_BUFFER, bounds=True),
            "TEXCOORD_0": self.add_array(corners, "VEC2", _ARRAY_BUFFER),
        }
        triangles = np.array([[0], [2], [1], [1], [2], [3]], "<u2")
        indices = self.add_array(triangles, "SCALAR", _ELEMENT_BUFFER)
        primitive = {"attributes": attributes, "indices": indices}
        primitive["material"] = self._add("materials", material)
        mesh = self._add("meshes", {"name": "picture", "primitives": [primitive]})
        self._add_root({"name": "picture", "mesh": mesh})

    def write(self, path: str | os.PathLike, extras: dict | None = None) -> None:
        """Writes the file atomically; `extras` are kept with its scene."""
        scene: dict[str, Any] = {"nodes": self._roots}
        document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "hmr-tf2"},
            "scene": 0,
            "scenes": [{**scene, "extras": extras} if extras else scene],
            **self._parts,
            "buffers": [{"byteLength": len(self._binary)}],
        }
        if "images" in self._parts:
            document["extensionsUsed"] = [_UNLIT]
        write_whole(path, lambda file: file.write(_pack(document, bytes(self._binary))))


def write_glb(
    path: str | os.PathLike, body: BodyModel, frame: MotionFrame, extras: dict | None = None
) -> None:
    """Writes one posed, skinned body. Blender, Unity and web viewers open it in its pose.

    Args:
        path: of the file, written atomically.
        body: the arrays of the body model.
        frame: pose, shape and place.
        extras: kept with the skeleton's node.

    Raises:
        UserError: the body has no faces.
    """
    document = GltfDocument(body)
    document.add_person(frame, extras=extras)
    document.write(path)


def write_animated_glb(
    path: str | os.PathLike,
    body: BodyModel,
    rotations: np.ndarray,
    translation_m: np.ndarray,
    beta: np.ndarray,
    seconds: np.ndarray,
) -> None:
    """Writes a skinned body that moves; it deforms by skinning alone.

    Args:
        path: of the file, written atomically.
        body: the arrays of the body model.
        rotations: (N, 24, 3, 3) local rotations, the root's in the camera's axes (y down).
        translation_m: (N, 3) of the body's origin, the same axes.
        beta: (10,) shape.
        seconds: (N,) when each frame is shown, ascending.

    Raises:
        UserError: the body has no faces.
    """
    document = GltfDocument(body)
    nodes = document.add_person(MotionFrame(rotations[0], beta, translation_m[0]), moves=True)
    pelvis_m = rest_body(body, beta)[1][0] + translation_m
    document.add_motion(nodes, rotations, pelvis_m, seconds)
    document.write(path)


def write_scene(
    path: str | os.PathLike,
    bodies: Sequence[Body],
    body: BodyModel,
    size_px: tuple[int, int],
    image: np.ndarray | None = None,
) -> None:
    """Writes everyone of a picture, in the colours of the overlay, and the camera that took it.

    Args:
        path: of the file, written atomically.
        bodies: at least one.
        body: the arrays of the body model.
        size_px: height and width of the picture.
        image: (H, W, 3) uint8 RGB, to stand behind the people.

    Raises:
        UserError: the body has no faces.
    """
    document, (height, width) = GltfDocument(body), size_px
    focal_px = bodies[0].focal_room_px  # of the picture: everyone has the same
    for index, person in enumerate(bodies):
        document.add_person(
            MotionFrame.of(person), f"person {person.label}", person_color(index), place(person)
        )
    document.add_camera(focal_px, width, height)
    if image is not None:
        depths = [(person.vertices_m + person.translation_room_m)[:, 2] for person in bodies]
        document.add_backdrop(image, focal_px, _BEHIND_PEOPLE * float(np.max(depths)))
    document.write(path, {"frames": FRAMES})


def place(person: Body) -> dict[str, Any]:
    """Where a body stands and through which lens, for the extras of its skeleton's node."""
    values = ((name, getattr(person, name)) for name in _PLACE_FIELDS)
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values}


def _quaternions(rotations: np.ndarray) -> np.ndarray:
    """(N, 24, 3, 3) local rotations -> (N, 24, 4) x, y, z, w with y up, without jumps of sign."""
    # They take a quarter of a second to import.
    from scipy.spatial.transform import Rotation

    from hmr.motion.clip import by_joint
    from hmr.motion.smooth import continuous

    local = np.array(rotations)
    local[:, 0] = Y_UP @ local[:, 0]
    return by_joint(local, lambda own: continuous(Rotation.from_matrix(own).as_quat()), 4)


def _pack(document: dict, binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return _MAGIC + struct.pack("<II", _VERSION, 12 + len(chunks)) + chunks
