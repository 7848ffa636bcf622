"""The files of a video's motion."""

import base64
import json
import re
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hmr.body.model_file import rest_body
from hmr.motion.clip import joints_m
from hmr.prediction.result import Result
from hmr.prediction.writers.motion import TABLE, MotionWriter
from tests.helpers.shapes import round_body
from tfrecords_tools.amass import read_take

RATE, COUNT = 20.0, 30


def person(label, frame, rng):
    pose = np.zeros(72)
    pose[:3] = Rotation.from_euler("XY", [np.pi, 0.05 * frame]).as_rotvec()
    pose[3:] = 0.2 * np.sin(0.2 * frame + np.arange(69)) + rng.normal(0, 0.02, 69)
    return SimpleNamespace(
        label=label,
        pose=pose,
        beta=rng.normal(0, 0.1, 10),
        translation_room_m=np.array([0.05 * frame, 0.3, 6.0]) + rng.normal(0, 0.01, 3),
        rectangle_px=np.array([10.0 + frame, 20, 30, 90]),
        score=0.9,
        uncertain=frame == 5,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder, rng, body = tmp_path_factory.mktemp("motion"), np.random.default_rng(0), round_body()
    writer = MotionWriter(folder / "walk", ("motion", "bvh"), body, RATE, 0.5)
    for frame in range(COUNT):
        people = [person("7", frame, rng)] if frame not in (10, 11) else []
        people += [person("a/b", frame, rng)] if 4 <= frame < 20 else []
        writer.add(Result(f"walk_{frame:012d}", 200, 300, people), frame)
    paths = writer.close()
    writer.abandon()
    return folder, paths, body, np.load(folder / "walk_motion.npz")


def test_each_person_has_glb_bvh_and_amass_and_all_have_one_table(written):
    folder, paths, _, _ = written
    each = [f"walk_{name}{end}" for name in ("7", "a_b") for end in
            (".bvh", "_motion.glb", "_poses.npz")]  # fmt: skip
    each += ["walk_motion.npz", "walk_motion.html"]
    assert sorted(path.name for path in paths) == sorted(each)
    assert sorted(path.name for path in folder.iterdir()) == sorted(each)


def test_the_table_holds_what_it_describes_and_marks_what_is_missing(written):
    *_, table = written
    assert set(table.files) == {*TABLE, "quantities"}
    assert json.loads(str(table["quantities"])) == TABLE
    assert table["label"].tolist() == ["7", "a/b"]
    assert table["pose"].shape == (2, COUNT, 72) and table["score"].shape == (2, COUNT)
    assert np.flatnonzero(~table["seen"][0]).tolist() == [10, 11]
    assert np.isfinite(table["pose"][0]).all() and np.isnan(table["rectangle_px"][0, 10]).all()
    assert np.flatnonzero(np.isfinite(table["pose"][1, :, 0])).tolist() == list(range(4, 20))
    assert table["uncertain"].sum() == 2 and table["uncertain"][:, 5].all()


def levelled(table, joints):
    matrix = table["levelled_from_camera"]
    return joints @ matrix[:3, :3].T + matrix[:3, 3]


def read_glb(path):
    data = path.read_bytes()
    (length,) = struct.unpack_from("<I", data, 12)
    document, binary = json.loads(data[20 : 20 + length]), data[28 + length :]

    def accessor(index):
        given = document["accessors"][index]
        view = document["bufferViews"][given["bufferView"]]
        size = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[given["type"]]
        values = np.frombuffer(binary, "<f4", given["count"] * size, view["byteOffset"])
        return values.reshape(given["count"], size)

    return document, accessor


def test_the_animated_glb_moves_the_joints_as_the_table_says(written):
    folder, _, body, table = written
    document, accessor = read_glb(folder / "walk_a_b_motion.glb")
    (animation,) = document["animations"]
    found = {}
    for channel in animation["channels"]:
        sampler = animation["samplers"][channel["sampler"]]
        np.testing.assert_allclose(accessor(sampler["input"])[:, 0], np.arange(4, 20) / RATE)
        target = channel["target"]
        found[document["nodes"][target["node"]]["name"], target["path"]] = accessor(
            sampler["output"]
        )
    names = [document["nodes"][index]["name"] for index in document["skins"][0]["joints"]]
    turns = [Rotation.from_quat(found[name, "rotation"]).as_matrix() for name in names]
    rest = rest_body(body, table["beta"][1])[1]
    origin = found["pelvis", "translation"] - rest[0]
    joints = joints_m(np.stack(turns, axis=1), origin, rest)
    truth = levelled(table, table["smpl_joints_m"][1, 4:20]) * (1, -1, -1)
    np.testing.assert_allclose(joints, truth, atol=2e-5)


def test_the_amass_file_is_read_back_by_the_converter(written):
    folder, _, body, table = written
    with np.load(folder / "walk_7_poses.npz") as take:
        assert {"poses", "trans", "betas", "gender", "mocap_framerate"} <= set(take.files)
        assert str(take["gender"]) == "neutral" and take["mocap_framerate"] == RATE
        trans = take["trans"]
    poses, betas = read_take(folder / "walk_7_poses.npz", None)
    np.testing.assert_allclose(betas, table["beta"][0], atol=1e-6)
    rest = rest_body(body, betas)[1]
    turns = Rotation.from_rotvec(poses.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    joints = joints_m(turns, trans, rest)[:, :22]
    x, down, away = np.moveaxis(levelled(table, table["smpl_joints_m"][0])[:, :22], -1, 0)
    np.testing.assert_allclose(joints, np.stack([x, away, -down], axis=-1), atol=2e-4)


def test_the_player_holds_everybodys_joints_on_the_level_floor(written):
    folder, _, _, table = written
    text = (folder / "walk_motion.html").read_text("utf-8")
    head = json.loads(re.search(r'id="data">(.*)</script>', text)[1])
    assert head["labels"] == ["7", "a/b"] and head["frames"] == COUNT and head["rate"] == RATE
    assert head["seen"][0] == "1" * 10 + "00" + "1" * 18
    for data, true in zip(re.findall(r'class="joints">(.*)<', text), table["smpl_joints_m"]):
        joints = np.frombuffer(base64.b64decode(data), "<f4").reshape(COUNT, 24, 3)
        np.testing.assert_allclose(joints, levelled(table, true) * (1, -1, -1), atol=1e-5)


def test_a_video_without_people_gives_no_files(tmp_path):
    writer = MotionWriter(tmp_path / "empty", ("motion",), round_body(), RATE, 0.5)
    writer.add(Result("empty_0", 20, 30, []), 0)
    assert writer.close() == [] and list(tmp_path.iterdir()) == []
    writer.abandon()
