"""Files written, parsed by other code, and compared with the body layer's vertices and joints."""

import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.joints import SMPL_JOINTS
from hmr.prediction.writers.bvh import write_bvh
from hmr.prediction.writers.gltf import strongest_weights, write_glb
from hmr.prediction.writers.obj import pose_correction, rest_body, to_y_up, write_obj

SHIFT = np.array([0.3, -0.2, 4.0])


def test_obj_reads_back_in_trimesh(tmp_path, body, posed):
    trimesh = pytest.importorskip("trimesh")
    write_obj(tmp_path / "a.obj", posed["vertices"][0], body.faces)
    mesh = trimesh.load(tmp_path / "a.obj", process=False)
    expected = (posed["vertices"][0] * [1, -1, -1])[body.faces]
    np.testing.assert_allclose(mesh.triangles, expected, atol=1e-6)
    lines = (tmp_path / "a.obj").read_text().splitlines()
    assert sum(line.startswith("v ") for line in lines) == 6890


def test_rest_body_and_correction_are_the_layers(body, posed):
    vertices, joints = rest_body(body, posed["beta"][0])
    transforms = joint_transforms(posed["rotations"][0], joints, body.parents)
    corrected = vertices + pose_correction(body, posed["rotations"][0])
    blended = np.einsum("vj,jab->vab", body.lbs_weights, transforms)
    found = np.einsum("vab,vb->va", blended, np.c_[corrected, np.ones(len(corrected))])[:, :3]
    np.testing.assert_allclose(found, posed["vertices"][0], atol=2e-5)


def joint_transforms(rotations, joints, parents):
    """(24, 4, 4) from rest to posed space, one matrix product per bone."""
    world = []
    for index, parent in enumerate(parents):
        local = np.eye(4)
        local[:3, :3] = rotations[index]
        local[:3, 3] = joints[index] - (joints[parent] if parent >= 0 else 0)
        world.append(world[parent] @ local if parent >= 0 else local)
    back = np.tile(np.eye(4), (len(joints), 1, 1))
    back[:, :3, 3] = -joints
    return np.array(world) @ back


COMPONENTS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
NUMBERS = {5126: "<f4", 5123: "<u2", 5121: "u1"}


class Glb:
    """A reader of binary glTF, from the specification's sections 3.6 and 4."""

    def __init__(self, data: bytes):
        magic, version, length = struct.unpack_from("<4sII", data)
        assert (magic, version, length) == (b"glTF", 2, len(data))
        size, kind = struct.unpack_from("<I4s", data, 12)
        assert kind == b"JSON" and size % 4 == 0
        self.document = json.loads(data[20 : 20 + size])
        length, kind = struct.unpack_from("<I4s", data, 20 + size)
        assert kind == b"BIN\0" and length == self.document["buffers"][0]["byteLength"]
        self.binary = data[28 + size :]

    def array(self, index: int) -> np.ndarray:
        accessor = self.document["accessors"][index]
        view = self.document["bufferViews"][accessor["bufferView"]]
        width = COMPONENTS[accessor["type"]]
        flat = np.frombuffer(
            self.binary,
            NUMBERS[accessor["componentType"]],
            accessor["count"] * width,
            view["byteOffset"],
        )
        return flat.reshape(-1, width)

    def node_matrices(self) -> dict[int, np.ndarray]:
        found = {}

        def visit(index, above):
            node, local = self.document["nodes"][index], np.eye(4)
            local[:3, :3] = Rotation.from_quat(node.get("rotation", [0, 0, 0, 1])).as_matrix()
            local[:3, 3] = node.get("translation", [0, 0, 0])
            found[index] = above @ local
            for child in node.get("children", []):
                visit(child, found[index])

        for root in self.document["scenes"][0]["nodes"]:
            visit(root, np.eye(4))
        return found

    def skinned(self) -> np.ndarray:
        """Vertices as a viewer shows them."""
        skin = self.document["skins"][0]
        bind = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        world = self.node_matrices()
        joints = np.array([world[node] for node in skin["joints"]]) @ bind
        attributes = self.document["meshes"][0]["primitives"][0]["attributes"]
        position, index, weight = (
            self.array(attributes[key]) for key in ("POSITION", "JOINTS_0", "WEIGHTS_0")
        )
        matrices = np.einsum("vk,vkab->vab", weight, joints[index])
        return np.einsum("vab,vb->va", matrices, np.c_[position, np.ones(len(position))])[:, :3]


def test_glb_opens_in_its_pose(tmp_path, body, posed):
    write_glb(tmp_path / "a.glb", body, posed["rotations"][1], posed["beta"][1])
    glb = Glb((tmp_path / "a.glb").read_bytes())
    np.testing.assert_allclose(glb.skinned(), to_y_up(posed["vertices"][1]), atol=2e-5)
    names = [glb.document["nodes"][node]["name"] for node in glb.document["skins"][0]["joints"]]
    assert tuple(names) == SMPL_JOINTS
    indices = glb.array(glb.document["meshes"][0]["primitives"][0]["indices"])
    np.testing.assert_array_equal(indices.reshape(-1, 3), body.faces)


def test_glb_bounds_and_alignment_follow_the_specification(tmp_path, body, posed):
    write_glb(tmp_path / "a.glb", body, posed["rotations"][0], posed["beta"][0])
    glb = Glb((tmp_path / "a.glb").read_bytes())
    primitive = glb.document["meshes"][0]["primitives"][0]
    accessor = glb.document["accessors"][primitive["attributes"]["POSITION"]]
    positions = glb.array(primitive["attributes"]["POSITION"])
    np.testing.assert_allclose(accessor["min"], positions.min(axis=0))
    np.testing.assert_allclose(accessor["max"], positions.max(axis=0))
    assert all(view["byteOffset"] % 4 == 0 for view in glb.document["bufferViews"])


def test_glb_loads_in_trimesh(tmp_path, body, posed):
    trimesh = pytest.importorskip("trimesh")
    write_glb(tmp_path / "a.glb", body, posed["rotations"][0], posed["beta"][0])
    scene = trimesh.load(tmp_path / "a.glb")
    (mesh,) = scene.geometry.values()
    assert len(mesh.faces) == len(body.faces)


def test_strongest_weights_sum_to_one(body):
    joints, weights = strongest_weights(body.lbs_weights)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    dense = np.zeros_like(body.lbs_weights)
    np.add.at(dense, (np.arange(len(joints))[:, None], joints), weights)
    four = np.sort(body.lbs_weights, axis=1)[:, :-4] == 0
    exact = four.all(axis=1)
    np.testing.assert_allclose(dense[exact], body.lbs_weights[exact], atol=1e-6)


def read_bvh(text):
    """Names, parents, offsets, channels per joint, and the motion, read as the format says."""
    head, motion = text.split("MOTION\n")
    names, parents, offsets, channels, stack = [], [], [], [], []
    for line in head.splitlines():
        words = line.split()
        if words[0] in ("ROOT", "JOINT", "End"):
            parents.append(next((k for k in reversed(stack)), -1))
            stack.append(len(names))
            names.append(words[1])
        elif words[0] == "OFFSET":
            offsets.append([float(word) for word in words[1:]])
        elif words[0] == "CHANNELS":
            assert int(words[1]) == len(words) - 2
            channels.append((stack[-1], words[2:]))
        elif words[0] == "}":
            stack.pop()
    lines = motion.splitlines()
    assert lines[0].startswith("Frames:") and lines[1].startswith("Frame Time:")
    values = np.array([[float(word) for word in line.split()] for line in lines[2:]])
    return names, parents, np.array(offsets), channels, float(lines[1].split()[-1]), values


def bvh_positions(text, frame):
    names, parents, offsets, channels, _, motion = read_bvh(text)
    values = iter(motion[frame])
    rotations = {index: np.eye(3) for index in range(len(names))}
    root = np.zeros(3)
    for joint, kinds in channels:
        for kind in kinds:
            value = next(values)
            if kind.endswith("position"):
                root["XYZ".index(kind[0])] = value
            else:
                step = Rotation.from_euler(kind[0].lower(), value, degrees=True).as_matrix()
                rotations[joint] = rotations[joint] @ step
    world_rotation, world = [], []
    for index, parent in enumerate(parents):
        above = world_rotation[parent] if parent >= 0 else np.eye(3)
        world.append(world[parent] + above @ offsets[index] if parent >= 0 else root)
        world_rotation.append(above @ rotations[index])
    return dict(zip(names, world, strict=True))


def test_bvh_forward_kinematics_gives_the_layers_joints(tmp_path, body, posed):
    beta = posed["beta"][0]
    _, rest = rest_body(body, beta)
    both = posed["rotations"]
    roots = rest[0] + np.array([[0, 0, 3.0], SHIFT])
    write_bvh(tmp_path / "a.bvh", both, roots, rest, 25)
    text = (tmp_path / "a.bvh").read_text()
    assert read_bvh(text)[4] == pytest.approx(0.04)
    found = bvh_positions(text, 0)
    expected = to_y_up(posed["smpl_joints"][0] + [0, 0, 3.0])
    for name, place in zip(SMPL_JOINTS, expected, strict=True):
        np.testing.assert_allclose(found[name], place, atol=1e-5)
    np.testing.assert_allclose(
        bvh_positions(text, 1)["pelvis"], to_y_up(rest[0] + SHIFT), atol=1e-5
    )


def test_bvh_angles_do_not_jump(tmp_path, body):
    _, rest = rest_body(body, np.zeros(10))
    turns = np.zeros((60, 24, 3))
    turns[:, 0, 0] = np.pi
    turns[:, 16, 2] = np.linspace(0, 3 * np.pi, 60)
    rotations = Rotation.from_rotvec(turns.reshape(-1, 3)).as_matrix().reshape(60, 24, 3, 3)
    write_bvh(tmp_path / "a.bvh", rotations, np.zeros((60, 3)), rest, 30)
    motion = read_bvh((tmp_path / "a.bvh").read_text())[5]
    assert abs(np.diff(motion, axis=0)).max() < 20
