"""Files written, parsed by other code, and compared with the body layer's vertices and joints."""

import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.joints import SMPL_JOINTS
from hmr.body.model_file import rest_body
from hmr.body.standin.rig import JOINTS_M
from hmr.files.images import read_image
from hmr.geometry.crop import CropBox
from hmr.prediction.people import Detection
from hmr.prediction.result import Result, body_from_outputs
from hmr.prediction.writers.bvh import MotionFrame, write_bvh
from hmr.prediction.writers.gltf import strongest_weights, write_glb
from hmr.prediction.writers.obj import pose_correction, to_y_up, write_obj
from hmr.prediction.writers.save import save_result
from hmr.rendering.draw import person_color

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


COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
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

    def skinned(self, person: int = 0) -> np.ndarray:
        """Vertices of a person as a viewer shows them."""
        skin = self.document["skins"][person]
        bind = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
        world = self.node_matrices()
        joints = np.array([world[node] for node in skin["joints"]]) @ bind
        attributes = self.document["meshes"][person]["primitives"][0]["attributes"]
        position, index, weight = (
            self.array(attributes[key]) for key in ("POSITION", "JOINTS_0", "WEIGHTS_0")
        )
        matrices = np.einsum("vk,vkab->vab", weight, joints[index])
        return np.einsum("vab,vb->va", matrices, np.c_[position, np.ones(len(position))])[:, :3]


def frame_of(posed, index):
    return MotionFrame(posed["rotations"][index], posed["beta"][index], SHIFT)


def test_glb_opens_in_its_pose(tmp_path, body, posed):
    write_glb(tmp_path / "a.glb", body, frame_of(posed, 1))
    glb = Glb((tmp_path / "a.glb").read_bytes())
    np.testing.assert_allclose(glb.skinned(), to_y_up(posed["vertices"][1] + SHIFT), atol=2e-5)
    names = [glb.document["nodes"][node]["name"] for node in glb.document["skins"][0]["joints"]]
    assert tuple(names) == SMPL_JOINTS
    indices = glb.array(glb.document["meshes"][0]["primitives"][0]["indices"])
    np.testing.assert_array_equal(indices.reshape(-1, 3), body.faces)


def test_glb_bounds_and_alignment_follow_the_specification(tmp_path, body, posed):
    write_glb(tmp_path / "a.glb", body, frame_of(posed, 0))
    glb = Glb((tmp_path / "a.glb").read_bytes())
    primitive = glb.document["meshes"][0]["primitives"][0]
    accessor = glb.document["accessors"][primitive["attributes"]["POSITION"]]
    positions = glb.array(primitive["attributes"]["POSITION"])
    np.testing.assert_allclose(accessor["min"], positions.min(axis=0))
    np.testing.assert_allclose(accessor["max"], positions.max(axis=0))
    assert all(view["byteOffset"] % 4 == 0 for view in glb.document["bufferViews"])


def test_a_glb_lies_at_rest_where_its_person_stands(tmp_path, body, posed):
    """Viewers choose what they show by the bounds of the shape at rest."""
    frame = frame_of(posed, 0)
    far = MotionFrame(frame.rotations, frame.beta, frame.translation_m + [2, 0.5, 30])
    write_glb(tmp_path / "a.glb", body, far)
    glb = Glb((tmp_path / "a.glb").read_bytes())
    primitive = glb.document["meshes"][0]["primitives"][0]
    bounds = glb.document["accessors"][primitive["attributes"]["POSITION"]]
    middle_m = np.mean([bounds["min"], bounds["max"]], axis=0)
    np.testing.assert_allclose(middle_m, to_y_up(far.translation_m), atol=0.5)


def test_glb_loads_in_trimesh(tmp_path, body, posed):
    trimesh = pytest.importorskip("trimesh")
    write_glb(tmp_path / "a.glb", body, frame_of(posed, 0))
    scene = trimesh.load(tmp_path / "a.glb")
    (mesh,) = scene.geometry.values()
    assert len(mesh.faces) == len(body.faces)


WIDTH, HEIGHT = 600, 380


def a_picture(posed, focal_px=None):
    """Two people in one picture, as a run hands them to the writers."""
    bodies = []
    for index, (x, scale) in enumerate([(200, 0.7), (430, 0.9)]):
        outputs = {
            "theta": np.zeros((3, 85)),
            "camera": np.array([0.8, 0.1, -0.1]),
            **{key: posed[key][index] for key in ("pose", "beta", "rotations", "vertices")},
            **{key: posed[key][index] for key in ("joints3d", "smpl_joints")},
        }
        points = outputs["joints3d"][:, :2] + outputs["camera"][1:]
        outputs["keypoints2d"] = outputs["camera"][0] * points
        person = Detection(
            CropBox((x, 190), scale), np.array([x - 90, 50, 180, 280]), label=f"p{x}"
        )
        bodies.append(body_from_outputs(outputs, person, person.box, HEIGHT, WIDTH, focal_px))
    noise = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return Result("two.jpg", HEIGHT, WIDTH, bodies, noise)


@pytest.mark.parametrize("focal_px", [None, 900.0])
def test_scene_holds_everyone_where_the_camera_saw_them(tmp_path, body, posed, focal_px):
    result = a_picture(posed, focal_px)
    save_result(tmp_path / "two", result, body, ("scene",))
    glb = Glb((tmp_path / "two_scene.glb").read_bytes())
    (node,) = (node for node in glb.document["nodes"] if "camera" in node)
    assert not {"translation", "rotation", "matrix"} & set(node), "the camera is the origin"
    lens = glb.document["cameras"][node["camera"]]["perspective"]
    assert lens["aspectRatio"] == pytest.approx(WIDTH / HEIGHT)
    focal = focal_px or np.hypot(WIDTH, HEIGHT)
    assert HEIGHT / 2 / np.tan(lens["yfov"] / 2) == pytest.approx(focal)
    for index, person in enumerate(result.bodies):
        assert person.focal_room_px == pytest.approx(focal)
        seen = glb.skinned(index)
        placed = person.vertices_m + person.translation_room_m
        np.testing.assert_allclose(seen, to_y_up(placed), atol=5e-5)
        # As a viewer projects: from -1 to 1 over the picture, whose first pixel's centre is 0.
        shares = seen[:, :2] / -seen[:, 2:] / np.tan(lens["yfov"] / 2)
        pixels = (shares * [HEIGHT / WIDTH, -1] + 1) / 2 * [WIDTH, HEIGHT] - 0.5
        expected = focal * placed[:, :2] / placed[:, 2:] + person.principal_point_px
        np.testing.assert_allclose(pixels, expected, atol=0.02)
        primitive = glb.document["meshes"][index]["primitives"][0]
        look = glb.document["materials"][primitive["material"]]["pbrMetallicRoughness"]
        color = np.array(look["baseColorFactor"][:3]) ** (1 / 2.2) * 255
        np.testing.assert_allclose(color, person_color(index), atol=1)
        (extras,) = (
            each["extras"]
            for each in glb.document["nodes"]
            if each.get("extras", {}).get("label") == person.label
        )
        assert extras["focal_room_px"] == pytest.approx(focal)
        np.testing.assert_allclose(extras["translation_room_m"], person.translation_room_m)


def test_backdrop_is_the_picture_and_fills_the_cameras_view(tmp_path, body, posed):
    result = a_picture(posed)
    save_result(tmp_path / "two", result, body, ("backdrop",))
    glb = Glb((tmp_path / "two_backdrop.glb").read_bytes())
    (mesh,) = (mesh for mesh in glb.document["meshes"] if mesh["name"] == "picture")
    attributes = mesh["primitives"][0]["attributes"]
    corners, textured = (glb.array(attributes[key]) for key in ("POSITION", "TEXCOORD_0"))
    lens = glb.document["cameras"][0]["perspective"]
    shares = corners[:, :2] / -corners[:, 2:] / np.tan(lens["yfov"] / 2)
    shares[:, 0] /= lens["aspectRatio"]
    np.testing.assert_allclose(shares, (textured * 2 - 1) * [1, -1], atol=1e-5)
    nearest = min(glb.skinned(index)[:, 2].min() for index in range(2))
    assert corners[:, 2].max() < nearest, "behind everyone"
    (view,) = (glb.document["bufferViews"][i["bufferView"]] for i in glb.document["images"])
    start = view["byteOffset"]
    shown = read_image(glb.binary[start : start + view["byteLength"]])
    assert shown.shape == result.image.shape


def test_single_glb_and_bvh_meet(tmp_path, body, posed):
    result = a_picture(posed)
    save_result(tmp_path / "two", result, body, ("glb", "bvh"))
    for index in range(2):
        glb = Glb((tmp_path / f"two_{index}.glb").read_bytes())
        world = glb.node_matrices()
        bones = bvh_positions((tmp_path / f"two_{index}.bvh").read_text(), 0)
        for node in glb.document["skins"][0]["joints"]:
            name = glb.document["nodes"][node]["name"]
            np.testing.assert_allclose(world[node][:3, 3], bones[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("focal_px", [None, 400.0, 900.0])
def test_what_is_said_of_translations_and_keypoints(body, posed, focal_px):
    """The equations of `QUANTITIES` and `FRAMES`, for both cameras and any lens."""
    for person in a_picture(posed, focal_px).bodies:
        for focal, place in (
            (person.focal_px, person.translation_full_m),
            (person.focal_room_px, person.translation_room_m),
        ):
            x_y = person.joints3d_m[:, :2] + place[:2]
            found = focal * x_y / place[2] + person.principal_point_px
            np.testing.assert_allclose(found, person.keypoints2d_px, atol=0.01)
            for points in (person.joints3d_m, person.vertices_m):
                depth = points[:, 2:] + place[2]
                seen = focal * (points[:, :2] + place[:2]) / depth + person.principal_point_px
                flat = person.weak_camera.project(points)[:, :2]
                moved = -points[:, 2:] / depth * (flat - person.principal_point_px)
                np.testing.assert_allclose(seen - flat, moved, atol=1e-3)
                if focal_px is None and focal == person.focal_px:
                    assert abs(moved).max() < 0.5


def test_origin_lies_below_the_pelvis_in_every_pose(body, posed):
    """What `FRAMES` says: the root turns a body about its pelvis, so that it stays where it is."""
    assert JOINTS_M["pelvis"] == pytest.approx((0, -0.22, 0))
    for index in range(2):
        _, joints = rest_body(body, posed["beta"][index])
        np.testing.assert_allclose(posed["smpl_joints"][index][0], joints[0], atol=1e-5)


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
