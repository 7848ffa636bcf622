"""Parts of vertices: skinning, label arrays, and UP's coloured mesh, in text and binary."""

import numpy as np
import pytest

from hmr.body.joints import SMPL_JOINTS
from hmr.body.model_file import NUM_VERTICES
from hmr.errors import UserError
from hmr.evaluation.parts import PARTS, read_vertex_colors, vertex_parts
from tests.helpers.golden_inputs import made_body

HEAD_RED, CROTCH_GREY, LEFT_FOOT = (225, 25, 48), (191, 191, 191), (248, 225, 150)


def test_a_vertex_belongs_to_the_part_of_its_strongest_joint():
    body = made_body()
    labels = vertex_parts(body).labels
    parts = {
        "left_wrist": "left arm", "right_foot": "right leg", "spine2": "torso",
        "left_collar": "torso", "head": "head",
    }  # fmt: skip
    for joint, part in parts.items():
        ruled = body.lbs_weights.argmax(axis=1) == SMPL_JOINTS.index(joint)
        assert ruled.any()
        assert (labels[ruled] == PARTS.index(part)).all()
    assert set(labels) == set(range(1, 7))


def test_labels_of_an_array(tmp_path):
    labels = np.arange(NUM_VERTICES) % 6 + 1
    np.save(tmp_path / "parts.npy", labels)
    parts = vertex_parts(made_body(), tmp_path / "parts.npy")
    np.testing.assert_array_equal(parts.labels, labels)
    assert "parts.npy" in parts.source


@pytest.mark.parametrize(
    "labels",
    [
        np.ones(6000, int),
        np.zeros(NUM_VERTICES, int),
        np.full(NUM_VERTICES, 7),
        np.ones(NUM_VERTICES),
    ],
)
def test_other_arrays_are_refused(tmp_path, labels):
    np.save(tmp_path / "parts.npy", labels)
    with pytest.raises(UserError, match="6890 whole numbers from 1 to 6"):
        vertex_parts(made_body(), tmp_path / "parts.npy")


def _write_ply(path, colors, kind):
    header = (
        f"ply\nformat {kind} 1.0\ncomment made\nelement vertex {len(colors)}\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    if kind == "ascii":
        rows = "".join(f"0.5 -1 2e-3 {r} {g} {b}\n" for r, g, b in colors)
        path.write_bytes((header + rows + "3 0 1 2\n").encode())
        return
    order = "<" if kind == "binary_little_endian" else ">"
    record = np.dtype([("xyz", order + "f4", 3), ("rgb", "u1", 3)])
    table = np.zeros(len(colors), record)
    table["xyz"], table["rgb"] = 13.4, colors
    path.write_bytes(header.encode() + table.tobytes() + b"\x03" + bytes(12))


@pytest.mark.parametrize("kind", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_ups_colours(tmp_path, kind):
    colors = np.tile([HEAD_RED, CROTCH_GREY, LEFT_FOOT], (2297, 1))[:NUM_VERTICES]
    colors = colors + [[3, -4, 2]]  # the file's colours differ from the table's by up to 4
    _write_ply(tmp_path / "template-bodyparts.ply", colors, kind)
    labels = vertex_parts(made_body(), tmp_path / "template-bodyparts.ply").labels
    assert [PARTS[label] for label in labels[:3]] == ["head", "torso", "left leg"]
    assert len(labels) == NUM_VERTICES


def test_a_colour_of_no_region_is_named(tmp_path):
    colors = np.tile(HEAD_RED, (NUM_VERTICES, 1))
    colors[17] = (0, 0, 255)
    _write_ply(tmp_path / "other.ply", colors, "ascii")
    with pytest.raises(UserError, match=r"vertex 17 has colour \[0, 0, 255\]"):
        vertex_parts(made_body(), tmp_path / "other.ply")


@pytest.mark.parametrize(
    "content",
    [b"", b"solid\nend_header\n", b"ply\nformat ascii 1.0\nelement face 1\nend_header\n",
     b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\n2\n",
     b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty uchar red\n"
     b"property uchar green\nproperty uchar blue\nend_header\nabc",
     b"ply\nelement vertex 1\nproperty uchar red\nend_header\na"],
)  # fmt: skip
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "body.ply"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"body\.ply is (not a PLY file|empty)"):
        read_vertex_colors(path)


@pytest.mark.parametrize("name", ["missing.npy", "parts.txt"])
def test_missing_files_and_other_kinds_are_named(tmp_path, name):
    (tmp_path / "parts.txt").write_text("1")
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        vertex_parts(made_body(), tmp_path / name)
