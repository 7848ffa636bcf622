"""The files of each tool give the same people, by the tool's own name of the picture."""

import json

import numpy as np
import PIL.Image
import pytest

from hmr.body.joints import COCO17, COCOPLUS
from hmr.errors import UserError
from hmr.files.images import read_image
from hmr.prediction.people_files import names_no_picture, open_people
from hmr.prediction.people_json import people_of_one_picture

IMAGE = np.zeros((480, 640, 3), np.uint8)
LOW, HIGH = (100.0, 120.0), (200.0, 320.0)


def points(count=17, counted=17, score=0.9):
    """Points between LOW and HIGH; those that do not count lie far below."""
    places = np.random.default_rng(count).uniform(LOW, HIGH, (count, 2))
    places[0], places[1] = LOW, HIGH
    places[counted:, 1] = 450
    return np.column_stack([places, np.full(count, score)])


def opened(tmp_path, content, flag="keypoints"):
    (tmp_path / "people.json").write_text(json.dumps(content))
    return open_people(**{flag: str(tmp_path / "people.json")})


def the_person(found):
    (person,) = found.people
    assert not found.problems
    np.testing.assert_allclose(person.rectangle_px, [*LOW, 100, 200], atol=1e-3)
    return person


@pytest.mark.parametrize("image_id", [7, "7", 7.0, "007"])
def test_annotations_find_their_image_whatever_the_type_of_its_id(tmp_path, image_id):
    entry = {"image_id": image_id, "category_id": 1, "keypoints": points().ravel().tolist()}
    images = [{"id": 7, "file_name": "images\\a.jpg"}]
    people = opened(tmp_path, {"images": images, "annotations": [entry]})
    the_person(people.find("a.jpg", IMAGE))


@pytest.mark.parametrize("picture_key", ["image_id", "image_name", "file_name", "image"])
def test_nested_keypoints_and_other_names_of_the_picture(tmp_path, picture_key):
    content = [{picture_key: "images/a.jpg", "keypoints": points().tolist(), "score": 0.9}]
    the_person(opened(tmp_path, content).find("photos/a.jpg", IMAGE))


@pytest.mark.parametrize("count", [17, 26, 133, 136])
def test_feet_hands_and_faces_do_not_count(tmp_path, count):
    content = [{"image_id": "a.jpg", "keypoints": points(count).ravel().tolist(), "score": 2.9}]
    assert the_person(opened(tmp_path, content).find("a.jpg", IMAGE)).score == 2.9


def test_alphapose_on_a_video_names_frames_and_people(tmp_path):
    content = [
        {"image_id": f"{frame}.jpg", "category_id": 1, "idx": [4.0], "box": [100, 120, 100, 200],
         "keypoints": points().ravel().tolist(), "score": 2.9}
        for frame in range(3)
    ]  # fmt: skip
    for flag in ("keypoints", "boxes"):
        people = opened(tmp_path, content, flag)
        assert not people.match([f"walk_{frame:012d}" for frame in range(3)])
        assert the_person(people.find("walk_000000000002", IMAGE)).label == "4"


def instance(shift=0):
    place = points()[:, :2] + (shift, 0)
    corners = [*place.min(axis=0), *place.max(axis=0)]
    return {"keypoints": place.tolist(), "keypoint_scores": [0.9] * 17, "bbox": [corners],
            "bbox_score": 0.8}  # fmt: skip


@pytest.mark.parametrize("flag", ["keypoints", "boxes"])
def test_mmpose_on_a_picture(tmp_path, flag):
    for content in ([instance()], {"meta_info": {}, "instance_info": [instance()]}):
        person = the_person(opened(tmp_path, content, flag).find("any.jpg", IMAGE))
        assert person.score == pytest.approx(0.8)
        assert names_no_picture(str(tmp_path / "people.json"), of_keypoints=True)


@pytest.mark.parametrize("first", [0, 1])
def test_mmpose_on_a_video(tmp_path, first):
    """Its demo, which adds meta_info, counts from 1; its inferencer from 0."""
    frames = [{"frame_id": first + at, "instances": [instance()] * at} for at in range(3)]
    people = opened(tmp_path, {"meta_info": {}, "instance_info": frames} if first else frames)
    assert [len(people.find(f"w_{at:012d}", IMAGE).people) for at in range(3)] == [0, 1, 2]


def test_a_folder_of_mmpose_files_is_one_file_a_picture(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([instance()]))
    the_person(open_people(keypoints=str(tmp_path)).find("photos/a.jpg", IMAGE))


@pytest.mark.parametrize(
    "key",
    [
        {"track_id": 7},
        {"attributes": {"track_id": 7}},
        {"idx": 7},
        {"person_id": 7},
        {"track_id": -1},
        {},
    ],
)
def test_the_annotations_id_is_not_the_persons(tmp_path, key):
    images = [{"id": 40 + frame, "frame_id": frame} for frame in range(3)]
    entries = [
        {"id": 900 + at, "image_id": 40 + at, "keypoints": points().ravel().tolist(), **key}
        for at in range(3)
    ]
    people = opened(tmp_path, {"images": images, "annotations": entries})
    labels = {the_person(people.find(f"w_{at:012d}", IMAGE)).label for at in range(3)}
    assert labels == {"7" if "7" in str(key) else "0"}


def test_results_without_categories_may_name_them(tmp_path):
    named = {"image_id": "a.jpg", "bbox": [*LOW, 100, 200], "score": 0.9}
    dog, person = {"category_id": 1, "category_name": "dog"}, {"category_name": "person"}
    people = opened(tmp_path, [named | dog, named | person | {"category_id": 7}], "boxes")
    the_person(people.find("a.jpg", IMAGE))
    assert people.notes == ["1 entries of other categories than a person: skipped"]


def test_the_category_that_the_file_calls_a_person(tmp_path):
    boxes = [[100, 120, 100, 200], [1, 2, 3, 4]]
    entries = [{"image_id": 1, "category_id": at, "bbox": box} for at, box in enumerate(boxes)]
    categories = [{"id": 0, "name": "person"}, {"id": 1, "name": "dog"}]
    content = {"images": [], "annotations": entries, "categories": categories}
    people = opened(tmp_path, content, "boxes")
    the_person(people.find("1.jpg", IMAGE))
    assert "1 entries of other categories" in people.match(["1.jpg"])[0]


def test_categories_by_name_and_pictures_where_their_number_should_stand(tmp_path):
    entry = {"image_id": "a.jpg", "category_id": "Man", "bbox": [100, 120, 100, 200]}
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [entry],
        "categories": [{"id": 1, "name": "man"}, {"id": 2, "name": "car"}],
    }  # fmt: skip
    the_person(opened(tmp_path, content, "boxes").find("a.jpg", IMAGE))


@pytest.mark.parametrize("flag", ["boxes", "keypoints"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_people_labelled_on_the_stored_picture_are_turned_with_it(tmp_path, orientation, flag):
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[10:30, 5:25] = 255
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    corners = np.array([(5, 10, 1), (25, 30, 1), *[(15, 20, 1)] * 15])
    entry = {"image_id": 1, "bbox": [5, 10, 20, 20], "keypoints": corners.ravel().tolist()}
    images = [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}]
    people = opened(tmp_path, {"images": images, "annotations": [entry]}, flag)
    upright = read_image(tmp_path / "a.png")
    (person,) = people.find(str(tmp_path / "a.png"), upright).people
    x, y, width, height = person.rectangle_px.astype(int)
    assert (width, height) == (20, 20) and upright[y : y + 20, x : x + 20].min() == 255
    np.testing.assert_allclose(person.box.center_px, (x + 10, y + 10))
    assert flag == "boxes" or np.allclose(person.keypoints2d_px[0], (x + 10, y + 10, 1))
    assert not people.find(str(tmp_path / "a.png"), stored).notes
    (note,) = people.find("a.png", stored[:, :50]).notes
    assert "labelled on a picture of 60 x 40 pixels, this one has 50 x 40" in note


def test_fewer_points_than_the_file_names_are_no_other_order(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17)}],
        "annotations": [{"image_id": 1, "category_id": 1, "keypoints": points(16).tolist()}],
    }
    (problem,) = opened(tmp_path, content).find("a.jpg", IMAGE).problems
    assert "expected 51 or" in problem and "got 48" in problem


def test_a_null_among_points_is_a_point_that_is_not_seen(tmp_path):
    rows = points().tolist()
    rows[5] = None
    the_person(opened(tmp_path, [{"image_id": "a.jpg", "keypoints": rows}]).find("a.jpg", IMAGE))


def test_a_folder_of_which_no_file_is_used_is_an_error(tmp_path):
    (tmp_path / "a.json").write_text('[{"what": 1}]')
    with pytest.raises(UserError, match=r"no file is used: a\.json: no people"):
        open_people(keypoints=str(tmp_path))


def test_entries_that_name_no_picture_are_counted(tmp_path):
    entry = {"image_id": 1, "bbox": [1, 2, 3, 4]}
    people = opened(tmp_path, [entry, {"bbox": [1, 2, 3, 4]}, "entry"], "boxes")
    assert "2 entries naming no picture" in people.match(["1.jpg"])[0]


def test_pictures_that_are_listed_without_people_are_known(tmp_path):
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}
    people = opened(tmp_path, content)
    assert not people.match(["a.jpg"])
    with pytest.raises(UserError, match="none of its 1 entries"):
        people.match(["b.jpg"])


def openpose_shares(low, high):
    person = points(25, 19)
    person[:, :2] = low + (high - low) * person[:, :2] / (640, 480)
    return {"people": [{"pose_keypoints_2d": person.ravel().tolist()}]}


def test_openpose_from_0_to_1_is_understood(tmp_path):
    the_person(opened(tmp_path, openpose_shares(0, 1)).find("a.jpg", IMAGE))


def test_openpose_from_minus_1_to_1_is_refused_by_name(tmp_path):
    (problem,) = opened(tmp_path, openpose_shares(-1, 1)).find("a.jpg", IMAGE).problems
    assert "keypoint_scale 4" in problem and "keypoint_scale 0" in problem


def test_boxes_from_0_to_1_are_refused_by_name(tmp_path):
    content = [{"image_id": "a.jpg", "bbox": [0.2, 0.1, 0.3, 0.4]}]
    (problem,) = opened(tmp_path, content, "boxes").find("a.jpg", IMAGE).problems
    assert "in pixels, got shares of the picture" in problem


def test_csv_columns_that_are_not_used_are_named(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("frame,x,y,width,height,colour\n3.0,100,120,100,200,red\n")
    people = open_people(str(path))
    the_person(people.find("walk_000000000003", IMAGE))
    assert people.match(["walk_000000000003"]) == [f"{path}: columns not used: colour"]


POSETRACK17 = (
    "nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip


@pytest.mark.parametrize("spelt", [str, lambda name: name.replace("_", " ").title()])
def test_posetracks_second_and_third_points_are_neck_and_head_top(tmp_path, spelt):
    points = np.column_stack([np.linspace(10, 90, 17), np.linspace(5, 200, 17), np.ones(17)])
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "frame_id": 0}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(map(spelt, POSETRACK17))}],
        "annotations": [{"image_id": 1, "category_id": 1, "keypoints": points.ravel().tolist()}],
    }
    (tmp_path / "posetrack.json").write_text(json.dumps(content))
    people = open_people(keypoints=str(tmp_path / "posetrack.json")).find("a.jpg", IMAGE).people
    placed = dict(zip(COCOPLUS, people[0].keypoints2d_px, strict=True))
    for name, index in {
        "nose": 0,
        "neck": 1,
        "head_top": 2,
        "left_ear": 3,
        "left_knee": 13,
    }.items():
        np.testing.assert_allclose(placed[name], points[index])
    assert not placed["left_eye"].any() and not placed["right_eye"].any()


def test_names_that_are_not_known_leave_cocos_order(tmp_path):
    points = np.column_stack([np.linspace(10, 90, 17), np.linspace(5, 200, 17), np.ones(17)])
    entry = {"keypoints": points.tolist(), "keypoint_scores": None}
    names = {str(index): f"P{index}" for index in range(17)}
    content = {"meta_info": {"keypoint_id2name": names}, "instance_info": [entry]}
    found = people_of_one_picture(content, "a.json", "keypoints")
    np.testing.assert_allclose(
        found.people[0].keypoints2d_px[COCOPLUS.index("left_eye")], points[1]
    )
