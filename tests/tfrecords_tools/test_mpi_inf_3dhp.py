"""MPI-INF-3DHP in its own layout: v5 cells, calibration of 7 lines a camera, HDF5 test set."""

from __future__ import annotations

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from hmr.body.joints import LSP14, MPI_INF_3DHP17, MPI_INF_3DHP28
from hmr.errors import UserError
from tests.helpers.converting import (
    brightness_at,
    manifest_of,
    read_people,
    run,
    write_picture,
)
from tfrecords_tools.mpi_inf_3dhp import (
    CONVERTER,
    fit_intrinsics,
    moving_frames,
    read_calibration,
    read_session,
)

SIZE = 400
FOCAL, CX, CY = 600.0, 200.0, 190.0
CAMERAS = 14
DEPTH_MM = 4000.0
# x and y of the 28 joints of a standing person, mm, y down.
NAMES = MPI_INF_3DHP28


def _body(names) -> np.ndarray:
    """(J, 3) mm: a distinct place for every joint, 1.6 m high and 0.8 m wide."""
    rng = np.random.default_rng(5)
    places = {name: rng.uniform((-400, -800, -100), (400, 800, 100)) for name in MPI_INF_3DHP28}
    return np.array([places[name] for name in names])


def _frames(count: int, names=NAMES, step_mm=150.0) -> np.ndarray:
    """(N, J, 3) mm, camera frame: the person moves `step_mm` to the right each frame."""
    offset = np.zeros((count, 1, 3))
    offset[:, 0, 0] = step_mm * np.arange(count)
    return _body(names) + (-300.0, 0.0, DEPTH_MM) + offset


def _project(points_mm) -> np.ndarray:
    return points_mm[..., :2] / points_mm[..., 2:] * FOCAL + (CX, CY)


def _write_session(folder, count=5, as_video=(), focal=FOCAL, points=None):
    points = _frames(count) if points is None else points
    pixels = _project(points)
    cells = {name: np.empty((CAMERAS, 1), object) for name in ("annot2", "annot3", "univ_annot3")}
    for camera in range(CAMERAS):
        cells["annot2"][camera, 0] = pixels.reshape(count, -1)
        cells["annot3"][camera, 0] = points.reshape(count, -1)
        cells["univ_annot3"][camera, 0] = 0.9 * points.reshape(count, -1)
    frames, cameras = np.arange(count)[:, None], np.arange(CAMERAS)[None]
    folder.mkdir(parents=True)
    savemat(folder / "annot.mat", {**cells, "frames": frames, "cameras": cameras})
    _write_calibration(folder / "camera.calibration", focal)
    lsp = [NAMES.index(name) for name in LSP14]
    for camera in (0, 1, 2, 4, 5, 6, 7, 8):
        pictures = folder / "imageFrames" / f"video_{camera}"
        for frame in range(count):
            path = pictures / f"frame_{frame + 1:06d}.jpg"
            write_picture(path, SIZE, SIZE, pixels[frame, lsp])
        if camera in as_video:
            _to_video(pictures, folder / "imageSequence" / f"video_{camera}.avi")


def _write_calibration(path, focal):
    lines = ["Skeletool Camera Calibration File V1.0"]
    for camera in range(CAMERAS):
        intrinsic = np.diag([focal, focal + 2 * camera, 1, 1])
        intrinsic[:2, 2] = CX, CY
        numbers = " ".join(map(str, intrinsic.ravel()))
        extrinsic = " ".join(map(str, np.eye(4).ravel()))
        lines += [f"name          {camera}", "  sensor      10 10", f"  size        {SIZE} {SIZE}"]
        lines += ["  animated    0", f"  intrinsic   {numbers} ", f"  extrinsic   {extrinsic} "]
        lines += ["  radial      0"]
    path.write_text("\n".join(lines) + "\n")


def _to_video(pictures, video):
    video.parent.mkdir(exist_ok=True)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 25, (SIZE, SIZE))
    for path in sorted(pictures.iterdir()):
        writer.write(cv2.imread(str(path)))
        path.unlink()
    writer.release()
    pictures.rmdir()


def _write_test_sequence(folder, valid=(0, 1, 0, 1)):
    points = _frames(len(valid), MPI_INF_3DHP17)[:, None]
    folder.mkdir(parents=True)
    with h5py.File(folder / "annot_data.mat", "w") as file:
        file["annot2"] = _project(points)
        file["annot3"] = points
        file["univ_annot3"] = 0.9 * points
        file["valid_frame"] = np.array(valid, float)[:, None]
        file["activity_annotation"] = np.array([1.0, 2.0, 3.0, 7.0])[:, None]
        file["bb_crop"] = np.zeros((len(valid), 34))
    for frame in range(len(valid)):
        lsp = [MPI_INF_3DHP17.index(name) for name in LSP14]
        path = folder / "imageSequence" / f"img_{frame + 1:06d}.jpg"
        write_picture(path, SIZE, SIZE, _project(points[frame, 0, lsp]))


@pytest.fixture
def dataset(tmp_path):
    root = tmp_path / "mpi"
    _write_session(root / "S1" / "Seq1")
    _write_session(root / "S2" / "Seq2", as_video=(0, 4), focal=700.0)
    _write_session(root / "S8" / "Seq1")
    for name in ("TS1", "TS5"):
        _write_test_sequence(root / "mpi_inf_3dhp_test_set" / "mpi_inf_3dhp_test_set" / name)
    return root


def test_frames_are_kept_that_moved_200_mm_since_the_last_kept_one():
    steps = np.array([0, 150, 199.9, 200, 350, 399, 400, 1000.0])
    joints = np.zeros((8, 14, 3))
    joints[:, 5, 1] = steps
    np.testing.assert_array_equal(moving_frames(joints), [0, 3, 6, 7])


@pytest.mark.parametrize("count", [1, 255, 256, 257, 1000])
def test_motion_selection_equals_the_frame_by_frame_rule(count):
    rng = np.random.default_rng(count)
    joints = np.cumsum(rng.normal(0, 12, (count, 14, 3)), axis=0)
    kept = [0]
    for row in range(1, count):
        if (np.linalg.norm(joints[row] - joints[kept[-1]], axis=1) >= 200).any():
            kept.append(row)
    np.testing.assert_array_equal(moving_frames(joints), kept)


def test_train_holds_subjects_1_to_7_and_val_holds_8(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out")
    train = read_people(tmp_path / "out", "mpi_inf_3dhp", "train")
    # Frames 0, 2 and 4 of five (150 mm apart), eight cameras, two sequences.
    assert len(train) == 3 * 8 * 2
    assert {person["frame"] for person in train} == {0, 2, 4}
    sequences = {person["sequence"].decode() for person in train}
    assert {name[:2] for name in sequences} == {"S1", "S2"}
    assert {int(name.split("cam")[1]) for name in sequences} == {0, 1, 2, 4, 5, 6, 7, 8}
    val = read_people(tmp_path / "out", "mpi_inf_3dhp", "val")
    assert {person["sequence"].decode()[:2] for person in val} == {"S8"}
    assert manifest_of(tmp_path / "out", "mpi_inf_3dhp", "train").dropped["missing sequence"] == 12


def test_frames_that_are_not_finite_are_counted_and_hide_no_others(tmp_path):
    points = _frames(6, step_mm=250.0)
    points[0] = np.nan
    points[3, 7, 1] = np.inf
    _write_session(tmp_path / "root" / "S1" / "Seq1", 6, points=points)
    run(CONVERTER, tmp_path / "root", tmp_path / "out")
    people = read_people(tmp_path / "out", "mpi_inf_3dhp", "train")
    assert sorted({int(person["frame"]) for person in people}) == [1, 2, 4, 5]
    manifest = manifest_of(tmp_path / "out", "mpi_inf_3dhp", "train")
    assert manifest.dropped["coordinates that are not finite"] == 2 * 8


def test_the_window_is_cut_at_whole_pixels_around_a_rounded_centre(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out")
    for person in read_people(tmp_path / "out", "mpi_inf_3dhp", "train"):
        points = person["keypoints2d_px"][:14] + person["crop_origin_px"]
        middle = np.round((points.min(axis=0) + points.max(axis=0)) / 2)
        np.testing.assert_array_equal(person["crop_origin_px"], np.maximum(middle - 150, 0))
        np.testing.assert_array_equal(person["center_px"], middle - person["crop_origin_px"])


def test_trainval_holds_all(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out", "--splits", "trainval")
    people = read_people(tmp_path / "out", "mpi_inf_3dhp", "trainval")
    assert len(people) == 3 * 8 * 3


def test_keypoints_lie_on_pictures_and_on_frames_of_videos(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out")
    people = read_people(tmp_path / "out", "mpi_inf_3dhp", "train")
    videos = [p for p in people if p["sequence"].decode() in ("S2_Seq2_cam0", "S2_Seq2_cam4")]
    assert len(videos) == 6
    for person in people:
        assert brightness_at(person, np.arange(14)).min() > 180, person["sequence"]
        np.testing.assert_array_equal(person["visibility"], [1] * 14 + [0] * 5)


def test_joints_in_metres_project_onto_the_keypoints_with_the_records_camera(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out")
    for person in read_people(tmp_path / "out", "mpi_inf_3dhp", "train"):
        if not person["sequence"].startswith(b"S1") or not person["sequence"].endswith(b"cam0"):
            continue
        joints, (focal, cx, cy) = person["joints3d_lsp_m"], person["intrinsics_px"]
        expected = _frames(5)[person["frame"]][[NAMES.index(name) for name in LSP14]] / 1000
        np.testing.assert_allclose(joints, expected, atol=1e-4)
        projected = joints[:, :2] / joints[:, 2:] * focal + (cx, cy)
        np.testing.assert_allclose(projected, person["keypoints2d_px"][:14], atol=0.6)


def test_each_sequence_has_its_own_camera(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out")
    focal = {}
    for person in read_people(tmp_path / "out", "mpi_inf_3dhp", "train"):
        scale = person["scale_factors"].mean()
        focal[person["sequence"].decode()] = person["intrinsics_px"][0] / scale
    assert focal["S1_Seq1_cam0"] == pytest.approx(600.0, abs=0.01)
    assert focal["S1_Seq1_cam8"] == pytest.approx(608.0, abs=0.01)
    assert focal["S2_Seq2_cam0"] == pytest.approx(700.0, abs=0.01)


def test_the_keypoints_box_has_a_diagonal_of_150_px_in_a_window_of_300(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out")
    person = read_people(tmp_path / "out", "mpi_inf_3dhp", "train")[0]
    extent = np.ptp(person["keypoints2d_px"][:14], axis=0)
    # The picture's size is rounded down to whole pixels: 150 * 94 / 94.4 here.
    assert np.linalg.norm(extent) == pytest.approx(150, abs=1)


def test_test_set_keeps_valid_frames_and_the_universal_skeleton(dataset, tmp_path):
    run(CONVERTER, dataset, tmp_path / "out")
    people = read_people(tmp_path / "out", "mpi_inf_3dhp", "test")
    found = [(p["sequence"], p["frame"], p["filename"], p["activity"]) for p in people]
    assert found[:2] == [
        (b"TS1", 1, b"img_000002.jpg", b"Exercise"),
        (b"TS1", 3, b"img_000004.jpg", b"Misc"),
    ]
    assert len(found) == 4 and found[2][0] == b"TS5"
    missing = manifest_of(tmp_path / "out", "mpi_inf_3dhp", "test").dropped_names
    assert missing == {"missing sequence": ["TS2", "TS3", "TS4", "TS6"]}
    expected = 0.9 * _frames(4, MPI_INF_3DHP17)[1] / 1000
    index = [MPI_INF_3DHP17.index(name) for name in LSP14]
    np.testing.assert_allclose(people[0]["joints3d_lsp_m"], expected[index], atol=1e-4)
    assert brightness_at(people[0], np.arange(14)).min() > 180


def test_test_joints_can_be_those_that_project_onto_the_picture(dataset, tmp_path):
    options = ("--splits", "test", "--test_joints", "annot3")
    run(CONVERTER, dataset, tmp_path / "out", *options)
    person = read_people(tmp_path / "out", "mpi_inf_3dhp", "test")[0]
    joints, (focal, cx, cy) = person["joints3d_lsp_m"], person["intrinsics_px"]
    projected = joints[:, :2] / joints[:, 2:] * focal + (cx, cy)
    np.testing.assert_allclose(projected, person["keypoints2d_px"][:14], atol=0.6)


def test_the_camera_is_recovered_from_both_annotations():
    points = _frames(4, MPI_INF_3DHP17)
    np.testing.assert_allclose(fit_intrinsics(_project(points), points), [FOCAL, CX, CY], rtol=1e-6)
    assert fit_intrinsics(np.zeros((0, 14, 2)), np.zeros((0, 14, 3))) is None


def test_people_that_are_mostly_outside_are_left_out(tmp_path):
    points = _frames(2, step_mm=0.0)
    points[:, :, 0] -= 1300.0
    points[1] = _frames(1)[0]
    _write_session(tmp_path / "mpi" / "S1" / "Seq1", count=2, points=points)
    run(CONVERTER, tmp_path / "mpi", tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "mpi_inf_3dhp", "train")
    assert manifest.dropped["fewer than 8 joints inside the picture"] == 8
    assert manifest.examples == 8


def test_rows_behind_the_end_of_a_video_are_counted(tmp_path):
    folder = tmp_path / "mpi" / "S6" / "Seq2"
    _write_session(folder, as_video=(2,))
    for camera in (0, 1, 4, 5, 6, 7, 8):
        (folder / "imageFrames" / f"video_{camera}" / "frame_000005.jpg").unlink()
    video = folder / "imageSequence" / "video_2.avi"
    frames = _read_all(video)
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 25, (SIZE, SIZE))
    for frame in frames[:3]:
        writer.write(frame)
    writer.release()
    run(CONVERTER, tmp_path / "mpi", tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "mpi_inf_3dhp", "train")
    assert manifest.dropped["frame behind the end of the video"] == 1
    assert manifest.dropped["missing picture"] == 7
    assert manifest.examples == 16


def _read_all(video) -> list[np.ndarray]:
    capture, frames = cv2.VideoCapture(str(video)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames


def test_cameras_without_pictures_are_named(tmp_path):
    import shutil

    _write_session(tmp_path / "mpi" / "S1" / "Seq1")
    shutil.rmtree(tmp_path / "mpi" / "S1" / "Seq1" / "imageFrames" / "video_7")
    run(CONVERTER, tmp_path / "mpi", tmp_path / "out")
    manifest = manifest_of(tmp_path / "out", "mpi_inf_3dhp", "train")
    assert manifest.dropped_names["missing pictures"] == ["S1_Seq1, camera 7"]


def test_calibration_reads_the_token_behind_name(tmp_path):
    _write_calibration(tmp_path / "camera.calibration", 1500.0)
    cameras = read_calibration(tmp_path / "camera.calibration")
    assert sorted(cameras) == list(range(14))
    np.testing.assert_allclose(cameras[13], [1513.0, CX, CY])


def test_the_head_top_is_joint_7_and_the_neck_joint_5(tmp_path):
    _write_session(tmp_path / "S1" / "Seq1", count=1)
    session = read_session(tmp_path / "S1" / "Seq1", "S1_Seq1")
    points = _frames(1)[0]
    np.testing.assert_allclose(session.joints3d_mm[0][0, 13], points[7], rtol=1e-5)
    np.testing.assert_allclose(session.joints3d_mm[0][0, 12], points[5], rtol=1e-5)


@pytest.mark.parametrize("name", ["annot.mat", "camera.calibration"])
def test_a_damaged_file_is_named(dataset, tmp_path, name):
    (dataset / "S1" / "Seq1" / name).write_bytes(b"damage")
    with pytest.raises(UserError, match=name.replace(".", r"\.")):
        run(CONVERTER, dataset, tmp_path / "out")


def test_a_damaged_test_file_is_named(dataset, tmp_path):
    path = dataset / "mpi_inf_3dhp_test_set" / "mpi_inf_3dhp_test_set" / "TS1" / "annot_data.mat"
    path.write_bytes(b"damage")
    with pytest.raises(UserError, match=r"TS1.*annot_data\.mat"):
        run(CONVERTER, dataset, tmp_path / "out")


def test_an_empty_folder_is_refused(tmp_path):
    (tmp_path / "mpi").mkdir()
    with pytest.raises(UserError, match=r"no annot\.mat"):
        run(CONVERTER, tmp_path / "mpi", tmp_path / "out")
