"""Human3.6M in its official files: videos, CDF poses, metadata.xml, SMPL fits."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from cdflib.cdfwrite import CDF
from scipy.spatial.transform import Rotation

from hmr.body.joints import H36M32, LSP14
from hmr.errors import UserError
from tests.helpers.converting import brightness_at, manifest_of, read_people, run
from tests.tfrecords_tools.test_neutrmosh import python2_pickle
from tfrecords_tools.h36m import CONVERTER, read_metadata

CAMERAS = ("54138969", "55011271", "58860488", "60457274")
SUBJECTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)
HEIGHT, WIDTH = 302, 300
FOCAL, CX, CY = 350.0, 151.0, 149.0
LSP = [H36M32.index(name) for name in LSP14]


def _metadata(path):
    """The parts of metadata.xml that are read, with S9's exception in naming."""
    header = "".join(f"<td>S{subject}</td>" for subject in SUBJECTS)
    rows = [f"<tr><td/><td/>{header}</tr>"]
    for action in range(1, 17):
        for subaction in (1, 2):
            names = [_prefix(subject, action, subaction) for subject in SUBJECTS]
            cells = "".join(f"<td>{name}</td>" for name in names)
            rows.append(f"<tr><td>{action}</td><td>{subaction}</td>{cells}</tr>")
    extrinsic = [0.0] * (4 * 11 * 6)
    intrinsic = [n for c in range(4) for n in (FOCAL + c, FOCAL + c + 2, CX, CY, 0, 0, 0, 0, 0)]
    numbers = " ".join(map(str, extrinsic + intrinsic))
    cameras = "".join(f"<item>{name}</item>" for name in CAMERAS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<metadata><mapping>{''.join(rows)}</mapping><dbcameras><index2id>{cameras}</index2id>"
        f"</dbcameras><w0>[{numbers}]</w0></metadata>"
    )


def _prefix(subject, action, subaction) -> str:
    names = {2: "Directions", 3: "Discussion", 5: "Greeting", 13: "Waiting"}
    name = names.get(action, f"Action{action}")
    if (subject, action) == (9, 3):
        return f"{name} {subaction}"
    return name if subaction == 2 else f"{name} 1"


def _points(count) -> np.ndarray:
    """(N, 32, 3) mm, camera frame; the person moves right by 30 mm a frame."""
    places = np.random.default_rng(2).uniform((-500, -900, -100), (500, 900, 100), (32, 3))
    points = np.tile(places + (-300, 0, 3500), (count, 1, 1))
    points[:, :, 0] += 30.0 * np.arange(count)[:, None]
    return points


def _project(points) -> np.ndarray:
    return points[..., :2] / points[..., 2:] * FOCAL + (CX, CY)


def _write_cdf(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    cdf = CDF(path, delete=True)
    flat = values.reshape(1, len(values), -1).astype(np.float32)
    spec = {
        "Variable": "Pose", "Data_Type": CDF.CDF_FLOAT, "Num_Elements": 1, "Rec_Vary": True,
        "Dim_Sizes": list(flat.shape[1:]), "Compress": 6,
    }  # fmt: skip
    cdf.write_var(spec, var_data=flat)
    cdf.close()


def _write_take(root, subject, prefix, cameras=range(4), rows=12, frames=14):
    folder = root / f"S{subject}"
    points = _points(frames)
    pixels = _project(points)
    for camera in cameras:
        name = f"{prefix}.{CAMERAS[camera]}"
        _write_cdf(folder / "MyPoseFeatures" / "D3_Positions_mono" / f"{name}.cdf", points[:rows])
        _write_cdf(folder / "MyPoseFeatures" / "D2_Positions" / f"{name}.cdf", pixels[:rows])
        (folder / "Videos").mkdir(exist_ok=True)
        video = folder / "Videos" / f"{name}.mp4"
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"mp4v"), 50, (WIDTH, HEIGHT))
        for frame in range(frames):
            image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
            for x, y in pixels[frame, LSP]:
                cv2.circle(image, (round(x), round(y)), 5, (255, 255, 255), -1)
            writer.write(image)
        writer.release()


@pytest.fixture
def h36m(tmp_path):
    root = tmp_path / "h36m"
    _metadata(root / "metadata.xml")
    _write_take(root, 1, "Directions 1", cameras=(0, 3))
    _write_take(root, 1, "Directions", cameras=(1,))
    _write_take(root, 9, "Discussion 2", cameras=(3,))
    _write_take(root, 9, "Waiting 1", cameras=(3,))
    _write_take(root, 11, "Directions", cameras=(0, 1))
    return root


def test_every_fifth_annotated_frame_of_each_video(h36m, tmp_path):
    run(CONVERTER, h36m, tmp_path / "out")
    people = read_people(tmp_path / "out", "h36m", "train")
    # 12 annotated frames of 14: 0, 5, 10.
    found = [(person["sequence"].decode(), int(person["frame"])) for person in people]
    assert found == [
        (f"S1_Directions_{trial}_cam{camera}", frame)
        for trial, camera in ((0, 0), (0, 3), (1, 1))
        for frame in (0, 5, 10)
    ]
    assert {person["activity"] for person in people} == {b"Directions"}
    assert len(manifest_of(tmp_path / "out", "h36m", "train").shards) == 3


def test_names_come_from_the_metadata_and_known_faults_are_listed(h36m, tmp_path):
    run(CONVERTER, h36m, tmp_path / "out")
    people = read_people(tmp_path / "out", "h36m", "test")
    assert {person["sequence"].decode() for person in people} == {
        "S9_Discussion_1_cam3", "S9_Waiting_0_cam3", "S11_Directions_1_cam1",
    }  # fmt: skip
    manifest = manifest_of(tmp_path / "out", "h36m", "test")
    assert manifest.dropped_names["video known to be damaged"] == ["S11_Directions_1_cam0"]
    assert manifest.arguments["misaligned_takes"][2] == "S9_Waiting_0"
    # 2 subjects, 30 takes, 4 cameras; three are there and one is damaged.
    assert manifest.dropped["missing video"] == 240 - 4


def test_misaligned_takes_can_be_left_out(h36m, tmp_path):
    run(CONVERTER, h36m, tmp_path / "out", "--misaligned", "drop")
    people = read_people(tmp_path / "out", "h36m", "test")
    assert b"S9_Waiting_0_cam3" not in {person["sequence"] for person in people}
    manifest = manifest_of(tmp_path / "out", "h36m", "test")
    assert manifest.dropped["take known to be misaligned"] == 12


def test_keypoints_joints_and_camera_agree(h36m, tmp_path):
    run(CONVERTER, h36m, tmp_path / "out")
    for person in read_people(tmp_path / "out", "h36m", "train"):
        assert brightness_at(person, np.arange(14)).min() > 150
        joints, (focal, cx, cy) = person["joints3d_lsp_m"], person["intrinsics_px"]
        expected = _points(12)[person["frame"], LSP] / 1000
        np.testing.assert_allclose(joints, expected, atol=1e-4)
        if person["sequence"].endswith(b"cam0"):
            projected = joints[:, :2] / joints[:, 2:] * focal + (cx, cy)
            np.testing.assert_allclose(projected, person["keypoints2d_px"][:14], atol=1)
        assert person["has_smpl"] == 0


def test_the_neck_is_raw_joint_13_and_the_head_top_15(h36m, tmp_path):
    run(CONVERTER, h36m, tmp_path / "out")
    person = read_people(tmp_path / "out", "h36m", "train")[0]
    np.testing.assert_allclose(
        person["joints3d_lsp_m"][12:], _points(1)[0, [13, 15]] / 1000, atol=1e-4
    )


def test_focal_length_is_the_mean_of_both_axes(h36m):
    metadata = read_metadata(h36m / "metadata.xml")
    np.testing.assert_allclose(metadata.intrinsics_px[3], [FOCAL + 4, CX, CY])
    assert metadata.prefixes[9, 3, 1] == "Discussion 1"
    assert metadata.prefixes[11, 2, 2] == "Directions"


def test_a_video_that_ends_early_loses_only_its_end(tmp_path):
    root = tmp_path / "h36m"
    _metadata(root / "metadata.xml")
    _write_take(root, 5, "Directions 1", cameras=(2,), rows=14, frames=14)
    cdf = root / "S5" / "MyPoseFeatures"
    for kind, values in (
        ("D3_Positions_mono", _points(22)),
        ("D2_Positions", _project(_points(22))),
    ):
        _write_cdf(cdf / kind / f"Directions 1.{CAMERAS[2]}.cdf", values)
    run(CONVERTER, root, tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "h36m", "train")
    assert manifest.examples == 3
    assert manifest.dropped["frame behind the end of the video"] == 2


@pytest.mark.parametrize("kind", ["D2_Positions", "D3_Positions_mono"])
@pytest.mark.parametrize("content", [None, b"", b"\xcd\xf3\x00\x01\x00\x00\xff\xff damage"])
def test_missing_and_damaged_annotations_lose_one_video(h36m, tmp_path, kind, content):
    path = h36m / "S1" / "MyPoseFeatures" / kind / f"Directions.{CAMERAS[1]}.cdf"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    run(CONVERTER, h36m, tmp_path / "out", "--splits", "train")
    manifest = manifest_of(tmp_path / "out", "h36m", "train")
    assert manifest.examples == 6
    reason = "missing annotations" if content is None else "unreadable annotations"
    assert manifest.dropped[reason] in (1, 3)


def test_fits_become_pose_and_shape_with_an_upright_root(h36m, tmp_path):
    poses = np.random.default_rng(0).normal(0, 0.3, (2, 72))
    fits = tmp_path / "neutrSMPL_H3.6"
    content = {"new_poses": poses, "betas": np.arange(10) / 10}
    python2_pickle(fits / "S1" / "Directions 1_cam0_aligned.pkl", content)
    run(CONVERTER, h36m, tmp_path / "out", "--fits", str(fits))
    people = read_people(tmp_path / "out", "h36m", "train")
    # Row j belongs to frame 5 j; the third frame has no fit, other videos have none.
    assert [person["has_smpl"] for person in people] == [1, 1] + [0] * 7
    np.testing.assert_allclose(people[1]["pose"][3:], poses[1, 3:], rtol=1e-5)
    np.testing.assert_allclose(people[1]["beta"], np.arange(10) / 10, rtol=1e-6)
    stored = Rotation.from_rotvec(people[1]["pose"][:3]).as_matrix()
    raw = Rotation.from_rotvec(poses[1, :3]).as_matrix()
    np.testing.assert_allclose(stored, raw @ np.diag([1, -1, -1]), atol=1e-5)


def test_a_missing_metadata_is_named(h36m, tmp_path):
    (h36m / "metadata.xml").rename(tmp_path / "m.xml")
    with pytest.raises(UserError, match=r"no metadata\.xml .* --metadata"):
        run(CONVERTER, h36m, tmp_path / "out")
    run(CONVERTER, h36m, tmp_path / "out", "--metadata", str(tmp_path / "m.xml"))


@pytest.mark.parametrize("text", ["", "<metadata/>", "<metadata><mapping/></metadata>", "text"])
def test_a_damaged_metadata_is_named(tmp_path, text):
    (tmp_path / "metadata.xml").write_text(text)
    with pytest.raises(UserError, match=r"not a metadata\.xml of Human3\.6M|0 bytes"):
        read_metadata(tmp_path / "metadata.xml")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "h36m").mkdir()
    with pytest.raises(UserError, match="no Videos"):
        run(CONVERTER, tmp_path / "h36m", tmp_path / "out")


def test_fits_that_are_missing_or_unreadable_are_listed_and_lose_no_joints(h36m, tmp_path):
    fits = tmp_path / "neutrSMPL_H3.6"
    (fits / "S1").mkdir(parents=True)
    (fits / "S1" / "Directions 1_cam0_aligned.pkl").write_bytes(b"damage")
    run(CONVERTER, h36m, tmp_path / "out", "--fits", str(fits), "--splits", "train")
    manifest = manifest_of(tmp_path / "out", "h36m", "train")
    assert manifest.examples == 9
    assert manifest.dropped["unreadable SMPL fits (the joints are kept)"] == 1
    assert manifest.dropped["missing SMPL fits (the joints are kept)"] == 2


def test_a_folder_without_fits_is_refused(h36m, tmp_path):
    with pytest.raises(UserError, match=r"holds no fits, expected S1/Directions 1_cam0"):
        run(CONVERTER, h36m, tmp_path / "out", "--fits", str(tmp_path))


def test_frames_behind_the_end_of_the_2d_annotation_are_counted(h36m, tmp_path):
    path = h36m / "S1" / "MyPoseFeatures" / "D2_Positions" / f"Directions.{CAMERAS[1]}.cdf"
    path.unlink()
    _write_cdf(path, _project(_points(6)))
    run(CONVERTER, h36m, tmp_path / "out", "--splits", "train")
    manifest = manifest_of(tmp_path / "out", "h36m", "train")
    assert manifest.examples == 8
    assert manifest.dropped_names["frame without 2D annotation"] == [
        "S1_Directions_1_cam1, frame 10"
    ]
