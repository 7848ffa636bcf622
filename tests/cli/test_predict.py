"""The command, on a small network with fresh weights: files, resumed runs, videos, bad input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hmr.body.joints import COCO17, COCO17_FLIP, COCOPLUS, COCOPLUS_FLIP, take_joints
from hmr.cli.predict import main
from hmr.errors import UserError
from hmr.files.images import read_image, write_image
from hmr.files.video import Video, VideoWriter
from hmr.files.whole import partial_path
from hmr.finding.finder import FoundPerson
from hmr.prediction.doubts import LARGE_ERROR_PX
from hmr.prediction.inputs import open_inputs
from hmr.prediction.people import MIN_SCORE, Detections, FoundPeople, WholePicture, from_rectangle
from hmr.prediction.run import PictureRun, RunOptions
from hmr.prediction.writers.numbers import load_result
from hmr.web.estimator import SAMPLES, SAMPLES_FOLDER
from tests.helpers.small_predictor import SIZE


@pytest.fixture(autouse=True)
def _cache_of_the_tests(tmp_path_factory, monkeypatch):
    """The user's own keeps the networks that the user predicts with."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def pictures(tmp_path, image):
    for name in ("a.png", "b.png", "c.png"):
        write_image(tmp_path / "in" / name, image)
    (tmp_path / "in" / "b.png").write_bytes(b"broken")
    return tmp_path / "in"


SOMEBODY = ("--boxes", "--keypoints", "--find", "--crops")


def predict(model_folder, *arguments):
    """The command; its pictures hold waves: without a word about people they are one each."""
    arguments = ["--checkpoint", str(model_folder), *map(str, arguments)]
    return main(arguments + ["--find", "none"] * (not set(SOMEBODY) & set(arguments)))


def test_a_kind_of_videos_is_refused_for_pictures_before_the_network_is_imported(
    tmp_path, model_folder, pictures, monkeypatch
):
    monkeypatch.setitem(sys.modules, "hmr.prediction.predictor", None)
    with pytest.raises(UserError, match="motion is of videos only"):
        predict(model_folder, "--input", pictures, "--save", "motion", "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_broken_picture_stops_no_other(tmp_path, model_folder, pictures, capsys):
    out = tmp_path / "out"
    code = predict(model_folder, "--input", pictures, "--output", out, "--batch_size", 2)
    printed = capsys.readouterr()
    assert code == 1
    assert "b.png is not a picture" in printed.err
    assert "pictures 3: 2 predicted, 0 finished before, 1 failed; people 2," in printed.out
    files = sorted(path.name for path in out.iterdir())
    assert files == ["a.npz", "a_overlay.png", "c.npz", "c_overlay.png", "prediction_summary.json"]
    assert json.loads((out / "prediction_summary.json").read_text())["failed"] == 1


def test_a_person_outside_the_picture_is_not_predicted(
    tmp_path, model_folder, pictures, capsys, monkeypatch
):
    """Alone there is nothing done; beside somebody inside, the picture is done in part."""
    common = ("--output", tmp_path / "out", "--save", "npz", "--input", pictures / "a.png")
    outside = ("--boxes", "9000,9000,50,50")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "hmr.prediction.predictor", None)
        with pytest.raises(UserError, match=r"a\.png: person 0: box 9000, .* lies outside"):
            predict(model_folder, *common, *outside)
    for _ in range(2):  # the second run finds the first's files
        assert predict(model_folder, *common, pictures / "c.png", *outside) == 2
        printed = capsys.readouterr().out
        assert "0 predicted, 0 finished before, 2 failed; people 0, 2 left out" in printed
    assert predict(model_folder, *common, "--boxes", "9000,9000,50,50;10,10,80,90") == 1
    assert "1 predicted, 0 finished before, 0 failed" in capsys.readouterr().out


def test_nothing_done_has_an_exit_code_of_its_own(tmp_path, model_folder, pictures):
    """A single picture is read before the network is loaded; of several, all have to fail."""
    common = ("--output", tmp_path / "out", "--input", pictures / "b.png")
    with pytest.raises(UserError, match=r"b\.png is not a picture"):
        predict(model_folder, *common)
    (pictures / "a.png").write_bytes(b"broken as well")
    assert predict(model_folder, *common, pictures / "a.png") == 2


def test_an_annotation_without_keypoints_is_a_note(tmp_path, model_folder, pictures, capsys):
    points = np.column_stack([np.linspace((40, 20), (110, 120), 17), np.full(17, 2)])
    entries = [
        {"image_id": "a.png", "category_id": 1, "keypoints": each.ravel().tolist()}
        for each in (points, np.zeros((17, 3)))
    ]
    (tmp_path / "people.json").write_text(json.dumps(entries))
    common = ("--input", pictures / "a.png", "--keypoints", tmp_path / "people.json")
    assert predict(model_folder, *common, "--save", "npz", "--output", tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "person 1 (entry 1): no keypoint is labelled: skipped" in printed.err
    assert "people 1, 0 left out" in printed.out


def test_a_run_without_faces_ends_before_it_begins(
    tmp_path, model_folder, bare_body, pictures, monkeypatch
):
    common = ("--body", bare_body, "--input", pictures / "a.png", "--output", tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "hmr.prediction.predictor", None)
        with pytest.raises(UserError, match=r"--body models/smpl_neutral\.npz"):
            predict(model_folder, *common)
    assert not (tmp_path / "out").exists()
    assert predict(model_folder, *common, "--save", "npz") == 0


def test_finished_pictures_are_not_made_again(tmp_path, model_folder, pictures, capsys):
    out = tmp_path / "out"
    (pictures / "b.png").unlink()
    common = ("--input", pictures, "--output", out)
    assert predict(model_folder, *common, "--save", "overlay") == 0
    (out / "a_overlay.png").unlink()
    made = (out / "c.npz").stat().st_mtime_ns
    assert predict(model_folder, *common, "--save", "overlay,json") == 0
    assert "0 predicted, 2 finished before" in capsys.readouterr().out
    assert (out / "a_overlay.png").is_file() and (out / "c.json").is_file()
    assert (out / "c.npz").stat().st_mtime_ns == made
    assert predict(model_folder, *common, "--boxes", "10,10,80,90") == 0
    assert "2 predicted, 0 finished before" in capsys.readouterr().out
    assert predict(model_folder, *common, "--boxes", "10,10,80,90", "--overwrite") == 0
    assert "2 predicted" in capsys.readouterr().out


def test_files_of_earlier_settings_are_made_again(tmp_path, model_folder, pictures):
    """Also where the run in between wrote the numbers alone, as an interrupted one does."""
    common = ("--input", pictures / "a.png", "--output", tmp_path / "out")
    for boxes, kinds in ("5,5,60,60", "overlay"), ("50,40,60,60", "npz"):
        assert predict(model_folder, *common, "--boxes", boxes, "--save", kinds) == 0
    stale = (tmp_path / "out" / "a_overlay.png").read_bytes()
    assert predict(model_folder, *common, "--boxes", "50,40,60,60", "--save", "overlay") == 0
    assert (tmp_path / "out" / "a_overlay.png").read_bytes() != stale


def test_what_a_killed_run_left_half_written_is_removed(tmp_path, model_folder, pictures):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead = partial_path(tmp_path / "out" / "a.npz")
    dead = dead.with_name(dead.name.replace(f"-{os.getpid()}", f"-{child.pid}"))
    alive = partial_path(tmp_path / "out" / "b.npz")
    dead.parent.mkdir()
    dead.touch()
    alive.touch()
    common = ("--input", pictures / "a.png", "--output", tmp_path / "out", "--save", "npz")
    assert predict(model_folder, *common) == 0
    assert not dead.exists() and alive.exists()


def test_box_may_begin_left_of_the_picture(tmp_path, model_folder, pictures):
    common = ("--input", pictures / "a.png", "--output", tmp_path, "--save", "npz")
    assert predict(model_folder, *common, "--boxes", "-5,-3.5,60,60") == 0
    (body,) = load_result(tmp_path / "a.npz").bodies
    np.testing.assert_allclose(body.rectangle_px, [-5, -3.5, 60, 60])


def test_time_of_every_stage_is_told(tmp_path, model_folder, pictures, capsys):
    common = ("--input", pictures / "a.png", "--output", tmp_path, "--save", "overlay,json")
    assert predict(model_folder, *common) == 0
    told = re.findall(r"^  (.+?) +[\d.]+ s", capsys.readouterr().out, re.M)
    stages = {"read", "find people", "crop", "network and body"}
    assert set(told) == stages | {"save npz", "save overlay", "save json"}


def test_large_pictures_do_not_wait_for_a_full_batch(predictor, tmp_path, image, monkeypatch):
    monkeypatch.setattr("hmr.prediction.run._MOST_BYTES_HELD", 2 * image.nbytes)
    for index in range(5):
        write_image(tmp_path / f"{index}.png", image)
    held = []
    whole = type(predictor).predict_people

    def counted(self, pictures, **options):
        held.append(len(pictures))
        return whole(self, pictures, **options)

    monkeypatch.setattr(type(predictor), "predict_people", counted)
    run = PictureRun(predictor, WholePicture(), RunOptions(tmp_path / "out", ("npz",)))
    assert run.run(open_inputs([str(tmp_path)])).people == 5
    assert held == [2, 2, 1]


def test_boxes_choose_the_people_and_bad_ones_are_counted(tmp_path, model_folder, image, capsys):
    write_image(tmp_path / "a.png", image)
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        "image,x,y,width,height,id,score\n"
        "a.png,30,20,60,100,anna,0.5\na.png,80,30,20,30,ben,0.9\na.png,1,1,0,0,nobody,1\n"
    )
    common = ("--input", tmp_path / "a.png", "--boxes", boxes, "--output", tmp_path)
    assert predict(model_folder, *common, "--save", "obj,glb") == 1
    assert "nobody" not in capsys.readouterr().out
    assert [body.label for body in load_result(tmp_path / "a.npz").bodies] == ["anna", "ben"]
    assert {"a_0.obj", "a_1.obj", "a_0.glb", "a_1.glb"} <= {p.name for p in tmp_path.iterdir()}
    for person, label in (("best", "ben"), ("largest", "anna")):
        predict(model_folder, *common, "--person", person)
        assert [body.label for body in load_result(tmp_path / "a.npz").bodies] == [label]
    summary = json.loads((tmp_path / "prediction_summary.json").read_text())
    assert summary["left_out"] == 1 and "line 4" in summary["problems"][0]


def assert_same_motion(found, expected):
    """The same skeleton, times and channels; a batch of another size rounds the last digit."""
    *found_head, found_rows = found.partition("Frame Time: 0.10000000\n")
    *expected_head, expected_rows = expected.partition("Frame Time: 0.10000000\n")
    assert found_head == expected_head
    rows = [np.loadtxt(text.splitlines()) for text in (found_rows, expected_rows)]
    np.testing.assert_allclose(*rows, rtol=0, atol=1e-4)


def test_video_gives_videos_motion_and_one_npz_a_frame(tmp_path, model_folder, image, capsys):
    writer = VideoWriter(tmp_path / "walk.mp4", 10)
    for shift in range(7):
        writer.add(np.roll(image, shift, axis=1))
    writer.close()
    boxes = tmp_path / "boxes.csv"
    rows = [f"{frame},30,20,60,100,7" for frame in range(7) if frame != 3]
    boxes.write_text("\n".join(["frame,x,y,width,height,id", *rows]))
    out = tmp_path / "out"
    common = ("--input", tmp_path / "walk.mp4", "--boxes", boxes, "--output", out)
    assert predict(model_folder, *common, "--save", "overlay,side,bvh", "--batch_size", 2) == 0
    assert "pictures 7: 7 predicted" in capsys.readouterr().out
    assert len(list((out / "walk").glob("*.npz"))) == 7
    assert {"walk_overlay.mp4", "walk_side.mp4", "walk_7.bvh"} <= {p.name for p in out.iterdir()}
    motion = (out / "walk_7.bvh").read_text()
    assert "Frames: 7\nFrame Time: 0.10000000" in motion
    rows = motion.splitlines()[-7:]
    assert len({*rows}) == 7  # the frame without a person is interpolated
    # An interrupted run goes on from the frames that are there.
    (out / "walk" / "walk_000000000006.npz").unlink()
    assert predict(model_folder, *common, "--save", "bvh") == 0
    assert "1 predicted, 6 finished before" in capsys.readouterr().out
    assert_same_motion((out / "walk_7.bvh").read_text(), motion)


def test_interrupted_video_leaves_no_half_file(tmp_path, model_folder, image, monkeypatch):
    writer = VideoWriter(tmp_path / "walk.mp4", 10)
    for _ in range(3):
        writer.add(image)
    writer.close()

    def interrupt(self, picture, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr("hmr.prediction.writers.video.VideoStreams.add", interrupt)
    with pytest.raises(KeyboardInterrupt):
        predict(model_folder, "--input", tmp_path / "walk.mp4", "--output", tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.mp4"))


@pytest.mark.slow
def test_killed_run_goes_on_to_the_same_result(tmp_path, model_folder, image):
    writer = VideoWriter(tmp_path / "walk.mp4", 10)
    for shift in range(40):
        writer.add(np.roll(image, shift, axis=1))
    writer.close()
    common = ["--input", str(tmp_path / "walk.mp4"), "--save", "overlay,bvh", "--batch_size", "4"]
    common += ["--find", "none"]
    command = [sys.executable, "-m", "src.predict", "--checkpoint", str(model_folder), *common]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    run = subprocess.Popen([*command, "--output", str(killed)], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 200
    while len(list(killed.glob("walk/*.npz"))) < 5 and time.monotonic() < end:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert 5 <= len(list(killed.glob("walk/*.npz"))) < 40
    assert not (killed / "walk_overlay.mp4").exists()
    for folder in (killed, whole):
        assert predict(model_folder, *common, "--output", folder) == 0
    names = [sorted(str(p.relative_to(f)) for p in f.rglob("*.*")) for f in (killed, whole)]
    assert names[0] == names[1] and len(names[0]) == 43
    for found in sorted(killed.glob("walk/*.npz")):
        first, second = (load_result(f / "walk" / found.name).bodies[0] for f in (killed, whole))
        np.testing.assert_allclose(first.vertices_m, second.vertices_m, atol=1e-5)
    videos = [list(Video(folder / "walk_overlay.mp4")) for folder in (killed, whole)]
    assert len(videos[0]) == len(videos[1]) == 40
    for first, second in zip(*videos, strict=True):
        assert abs(first.load().astype(int) - second.load()).mean() < 0.5


def test_raw_crops(tmp_path, model_folder, predictor, capsys):
    crops = np.random.default_rng(0).uniform(-1, 1, (5, SIZE, SIZE, 3)).astype(np.float32)
    np.save(tmp_path / "crops.npy", crops)
    arguments = ("--crops", tmp_path / "crops.npy", "--output", tmp_path / "o.npz")
    assert predict(model_folder, *arguments, "--batch_size", 2) == 0
    found = np.load(tmp_path / "o.npz")
    assert found["theta"].shape == (5, 3, 85) and found["vertices"].shape == (5, 6890, 3)
    assert found["keypoints2d"].shape == (5, 19, 2) and found["joints3d"].shape == (5, 19, 3)
    assert len(found["features"]) == 5
    expected = predictor.model(crops, vertices=True)
    for key in ("theta", "keypoints2d", "joints3d", "vertices", "features"):
        np.testing.assert_allclose(found[key], expected[key], atol=2e-5)


@pytest.mark.parametrize(
    ("crops", "reason"),
    [
        (np.zeros((2, 9, 9, 3), np.float32), r"must be \(N, 32, 32, 3\) float32"),
        (np.zeros((2, SIZE, SIZE, 3)), "float32"),
        (np.full((2, SIZE, SIZE, 3), np.nan, np.float32), "not finite"),
        (np.zeros((0, SIZE, SIZE, 3), np.float32), "no crops"),
        (np.array([{"a": 1}], dtype=object), "not an .npy file of numbers"),
    ],
)
def test_other_crops_are_refused(tmp_path, model_folder, crops, reason):
    np.save(tmp_path / "crops.npy", crops, allow_pickle=True)
    with pytest.raises(UserError, match=reason):
        predict(model_folder, "--crops", tmp_path / "crops.npy", "--output", tmp_path / "o.npz")
    assert not (tmp_path / "o.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "either pictures or --crops"),
        (("--input", "absent.jpg"), "no such file"),
        (("--input", "IN", "--save", "fbx"), "--save knows"),
        (("--input", "IN", "--batch_size", "0"), "at least 1"),
        (("--input", "IN", "--boxes", "1,2,3,4", "--keypoints", "x.json"), "not both"),
        (("--input", "IN", "--boxes", "1,2,3,4", "--find", "none"), "--find has no part"),
        (("--input", "IN", "--focal_px", "-3"), "focal length"),
        (("--crops", "IN"), "--output FILE.npz"),
    ],
)
def test_wrong_flags_end_with_one_message(tmp_path, model_folder, image, arguments, reason):
    write_image(tmp_path / "a.png", image)
    filled = [str(tmp_path / "a.png") if part == "IN" else part for part in arguments]
    with pytest.raises(UserError, match=reason):
        predict(model_folder, *filled)


def test_wrong_flags_are_answered_before_keras_is_loaded():
    script = """
import sys
from hmr.body.joints import COCO17, COCO17_FLIP, COCOPLUS, COCOPLUS_FLIP, take_joints
from hmr.cli.predict import main
from hmr.errors import UserError
try:
    main(sys.argv[1:])
except UserError as error:
    sys.exit("keras" in sys.modules)
"""
    for arguments in (("--input", "absent.jpg"), ("--crops", "absent.npy", "--output", "o.npz")):
        command = [sys.executable, "-c", script, *arguments]
        run = subprocess.run(command, timeout=120, capture_output=True)
        assert run.returncode == 0, run.stderr


def test_one_openpose_file_speaks_of_one_picture(tmp_path, model_folder, pictures):
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"people": []}))
    with pytest.raises(UserError, match="one OpenPose file"):
        predict(model_folder, "--input", pictures, "--keypoints", path)
    out = tmp_path / "out"
    assert (
        predict(model_folder, "--input", pictures / "a.png", "--keypoints", path, "--output", out)
        == 0
    )
    assert load_result(out / "a.npz").bodies == []
    np.testing.assert_array_equal(read_image(out / "a_overlay.png"), read_image(pictures / "a.png"))


def test_found_people_come_with_their_score(tmp_path, model_folder, capsys):
    """And a picture with nobody in it is said, counted and no failure."""
    (tmp_path / "in").mkdir()
    shutil.copy(SAMPLES_FOLDER / "striding.jpg", tmp_path / "in")
    write_image(tmp_path / "in" / "wall.png", np.full((90, 120, 3), 128, np.uint8))
    common = ("--input", tmp_path / "in", "--output", tmp_path, "--find", "multipose")
    assert predict(model_folder, *common, "--save", "json") == 0
    printed = capsys.readouterr()
    assert "wall.png: nobody found" in printed.err
    assert "people 1, 0 left out; pictures without people 1" in printed.out
    (body,) = load_result(tmp_path / "striding.npz").bodies
    assert MIN_SCORE < body.score < 1
    left, top, width, height = SAMPLES["striding.jpg"]
    middle = body.rectangle_px[:2] + body.rectangle_px[2:] / 2
    np.testing.assert_allclose(middle, [left + width / 2, top + height / 2], atol=20)
    (person,) = json.loads((tmp_path / "striding.json").read_text())["people"]
    assert person["score"] == pytest.approx(body.score, abs=1e-3)


def test_one_picture_asks_no_network_and_waits_for_no_package_it_can_do_without(
    tmp_path, model_folder
):
    """In a process of its own, whose interpreter refuses sockets."""
    script = """
import sys
def refuse(event, arguments):
    if event.startswith("socket.") and event != "socket.gethostname":
        raise OSError(f"{event} {arguments}")
sys.addaudithook(refuse)
from hmr.cli.predict import main
code = main(sys.argv[1:])
print("loaded", *{"IPython", "jax", "numba", "pandas", "scipy"} & sys.modules.keys())
sys.exit(code)
"""
    photo = SAMPLES_FOLDER / "standing.jpg"
    flags = ("--checkpoint", model_folder, "--input", photo, "--output", tmp_path)
    command = [sys.executable, "-c", script, *map(str, flags)]
    run = subprocess.run(command, timeout=300, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "people 1," in run.stdout and (tmp_path / "standing_overlay.png").is_file()
    assert run.stdout.endswith("\nloaded\n")


def test_missing_weights_of_the_finder_are_named_at_once(
    tmp_path, model_folder, pictures, monkeypatch
):
    monkeypatch.setattr("hmr.finding.finder.WEIGHTS", Path("models/absent.npz"))
    with pytest.raises(UserError, match=r"git checkout models/finder.*--find none"):
        predict(model_folder, "--input", pictures, "--find", "multipose")


def test_fit_says_how_far_bodies_were_off(tmp_path, model_folder, pictures, capsys):
    points = np.column_stack([np.linspace((40, 20), (110, 120), 17), np.ones(17)])
    entry = {"image_id": "a.png", "category_id": 1, "keypoints": points.ravel().tolist()}
    (tmp_path / "people.json").write_text(json.dumps([entry]))
    out = tmp_path / "out"
    common = ("--input", pictures / "a.png", "--keypoints", tmp_path / "people.json")
    common = (*common, "--save", "json", "--output", out)
    assert predict(model_folder, *common) == 0
    (person,) = json.loads((out / "a.json").read_text())["people"]
    unfitted, none = person["reprojection_px"]
    assert unfitted > LARGE_ERROR_PX and none is None
    assert person["uncertain"] and person["doubts"] == ["far from the keypoints"]
    assert "\n1 people, 1 uncertain: 1 far from the keypoints" in capsys.readouterr().out
    summary = json.loads((out / "prediction_summary.json").read_text())
    assert summary["uncertain"] == 1 and summary["doubts"] == {"far from the keypoints": 1}
    assert predict(model_folder, *common, "--fit") == 0
    before, after = json.loads((out / "a.json").read_text())["people"][0]["reprojection_px"]
    assert after < before == pytest.approx(unfitted, rel=1e-3)
    told = f"fitted 1 of 1 people: keypoints {before:.1f} px of the crop off before and {after:.1f}"
    assert told in capsys.readouterr().out
    summary = json.loads((out / "prediction_summary.json").read_text())
    assert summary["fitted"] == 1 and summary["reprojection_px"] == pytest.approx([before, after])


@pytest.mark.parametrize("flags", [("--boxes", "1,2,30,40"), ("--find", "none")])
def test_fit_without_keypoints_is_refused(model_folder, pictures, flags):
    with pytest.raises(UserError, match="--fit needs keypoints"):
        predict(model_folder, "--input", pictures / "a.png", *flags, "--fit")


class _Counting:
    """Says where one person is who moves by a pixel a frame, and in which frames it was asked."""

    def __init__(self):
        self.asked = []

    def find(self, name, image):
        frame = int(name.rsplit("_", 1)[1])
        self.asked.append(frame)
        return Detections([from_rectangle((20 + frame, 20, 60, 100))])


@pytest.mark.parametrize(("every", "asked"), [(1, list(range(8))), (3, [0, 3, 6, 7])])
def test_people_of_a_video_are_looked_for_in_every_nth_frame(
    tmp_path, predictor, image, every, asked
):
    clip = tmp_path / "walk.mp4"
    writer = VideoWriter(clip, 30.0)
    for _ in range(8):
        writer.add(image)
    writer.close()
    people, options = _Counting(), RunOptions(tmp_path / "out", ("npz",), find_every=every)
    run = PictureRun(predictor, people, options)
    run.run(open_inputs([str(clip)]))
    assert people.asked == asked and run.summary.predicted == 8
    files = [tmp_path / "out" / "walk" / f"walk_{frame:012d}.npz" for frame in range(8)]
    files[4].unlink()  # an interrupted run goes on
    PictureRun(predictor, people, options).run(open_inputs([str(clip)]))
    seen = [load_result(file).bodies[0].rectangle_px[0] for file in files]
    assert seen == pytest.approx([20, 21, 22, 23, 24, 25, 26, 27])


class _TurnedRound:
    """Finds one person by given keypoints."""

    def __init__(self, keypoints_px):
        self.person = FoundPerson(keypoints_px, np.zeros(4), 0.9)

    def find(self, image, min_score):
        return [self.person]


def test_sides_that_the_body_contradicts_are_exchanged_in_videos_only(tmp_path, predictor, image):
    ((body,), _) = predictor.predict_people([(image, [from_rectangle((30, 20, 60, 100))])])[0]
    points_px = take_joints(body.keypoints2d_px, COCOPLUS, COCO17)[COCO17_FLIP]
    people = FoundPeople(_TurnedRound(np.column_stack([points_px, np.ones(17)])))
    writer = VideoWriter(tmp_path / "walk.mp4", 30.0)
    writer.add(image)
    writer.close()
    write_image(tmp_path / "still.png", image)
    found = {}
    for name in ("still.png", "walk.mp4"):
        run = PictureRun(predictor, people, RunOptions(tmp_path / "out", ("npz",)))
        run.run(open_inputs([str(tmp_path / name)]))
    for name in ("still", "walk/walk_000000000000"):
        (found[name],) = load_result(tmp_path / "out" / f"{name}.npz").bodies
    still, frame = found.values()
    np.testing.assert_allclose(
        frame.source_keypoints_px, still.source_keypoints_px[COCOPLUS_FLIP], rtol=1e-6
    )
    assert frame.reprojection_px[0] < still.reprojection_px[0] / 2


def test_find_every_has_no_part_where_people_are_given(model_folder, pictures):
    with pytest.raises(UserError, match="--find_every has no part"):
        predict(model_folder, "--input", pictures, "--boxes", "1,2,30,40", "--find_every", "2")
    with pytest.raises(UserError, match="--find_every must be from 1 to 60, got 0"):
        predict(model_folder, "--input", pictures, "--find_every", "0")
