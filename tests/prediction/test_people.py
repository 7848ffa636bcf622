"""Boxes and keypoints from every kind of file, and what is said about bad ones."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hmr.body.joints import COCOPLUS, OPENPOSE15, OPENPOSE18, OPENPOSE19
from hmr.errors import UserError
from hmr.prediction.people import (
    Detection,
    FoundPeople,
    WholePicture,
    detections_from_boxes,
    from_keypoints,
    from_rectangle,
    select,
)
from hmr.prediction.people_files import open_people, parse_boxes
from hmr.prediction.people_openpose import openpose_people

IMAGE = np.zeros((480, 640, 3), np.uint8)


def points(count, low=(100, 100), high=(200, 300), score=0.9):
    rng = np.random.default_rng(count)
    places = rng.uniform(low, high, (count, 2))
    places[0], places[1] = low, high
    return np.column_stack([places, np.full(count, score)])


def write_json(path, content):
    path.write_text(json.dumps(content))
    return str(path)


def openpose(*people, key="pose_keypoints_2d"):
    return {"version": 1.3, "people": [{key: np.ravel(person).tolist()} for person in people]}


# Sources


def test_without_boxes_people_are_found_or_the_whole_picture_is_one():
    assert isinstance(open_people(), FoundPeople)
    source = open_people(find="none")
    assert isinstance(source, WholePicture)
    (person,) = source.find("a.jpg", IMAGE).people
    assert person.box.scale == pytest.approx(224 / 640)


def test_inline_boxes_hold_for_every_picture():
    source = open_people("10,20,30,40; 50,60,70,80")
    for name in ("a.jpg", "b.png"):
        people = source.find(name, IMAGE).people
        assert [person.label for person in people] == ["0", "1"]
    np.testing.assert_array_equal(people[0].rectangle_px, [10, 20, 30, 40])
    np.testing.assert_allclose(people[0].box.center_px, [25, 40])


def test_csv_by_image_name(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text(
        "image,x,y,width,height,id,score\n"
        "a.jpg,10,20,30,40,anna,0.9\n\n"
        "a.jpg,50,60,70,80,ben,0.4\n"
        "b.jpg,1,2,3,4,,\n"
    )
    source = open_people(str(path))
    people = source.find("/elsewhere/a.jpg", IMAGE).people
    assert [(p.label, p.score) for p in people] == [("anna", 0.9), ("ben", 0.4)]
    assert source.find("b.jpg", IMAGE).people[0].score == 1
    nobody = source.find("c.jpg", IMAGE)
    assert not nobody.people and "names nobody" in nobody.notes[0]


def test_csv_by_frame_and_for_a_fixed_camera(tmp_path):
    framed = tmp_path / "framed.csv"
    framed.write_text("frame,left,top,w,h\n0,10,20,30,40\n12,50,60,70,80\n")
    source = open_people(str(framed))
    assert source.find("walk_000000000012", IMAGE).people[0].rectangle_px[0] == 50
    assert not source.find("walk_000000000001", IMAGE).people
    fixed = tmp_path / "fixed.csv"
    fixed.write_text("x,y,width,height\n10,20,30,40\n")
    everywhere = open_people(str(fixed))
    assert everywhere.find("anything.jpg", IMAGE).people
    assert "the same people are taken in each" in everywhere.notes[0]


COCO_KEYPOINTS = points(17, score=2)


def annotation(image_id, **extra):
    entry = {"image_id": image_id, "category_id": 1, "bbox": [100, 100, 100, 200]}
    return {**entry, "keypoints": COCO_KEYPOINTS.ravel().tolist(), **extra}


@pytest.mark.parametrize("flag", ["boxes", "keypoints"])
def test_coco_annotations(tmp_path, flag):
    content = {
        "images": [{"id": 7, "file_name": "street.jpg"}],
        "annotations": [annotation(7, id=31), annotation(7, id=32, iscrowd=1), annotation(8)],
    }
    source = open_people(**{flag: write_json(tmp_path / "coco.json", content)})
    found = source.find("street.jpg", IMAGE)
    (person,) = found.people
    assert person.label == "0" and "crowd" in found.problems[0]
    np.testing.assert_allclose(person.rectangle_px, [100, 100, 100, 200])


@pytest.mark.parametrize("flag", ["boxes", "keypoints"])
def test_coco_results_are_found_by_number_and_score(tmp_path, flag):
    content = [
        annotation(785, score=0.8),
        annotation(785, score=0.1),
        annotation(9, category_id=18),
    ]
    source = open_people(**{flag: write_json(tmp_path / "results.json", content)})
    found = source.find("COCO_val2014_000000000785.jpg", IMAGE)
    assert [person.score for person in found.people] == [0.8]
    assert "score 0.1 is not above 0.2" in found.problems[0]
    assert not source.find("000000000009.jpg", IMAGE).people


def test_results_that_name_their_picture(tmp_path):
    path = write_json(tmp_path / "alphapose.json", [annotation("12.jpg", score=0.8)])
    assert open_people(keypoints=path).find("12.jpg", IMAGE).people


@pytest.mark.parametrize("key", ["pose_keypoints", "pose_keypoints_2d"])
@pytest.mark.parametrize("count", [18, 25])
def test_openpose_keys_and_lengths(tmp_path, key, count):
    person = points(count)
    path = write_json(tmp_path / "x_keypoints.json", openpose(person, key=key))
    (found,) = open_people(keypoints=path).find("other.jpg", IMAGE).people
    np.testing.assert_allclose(found.rectangle_px, [100, 100, 100, 200])
    assert found.score == pytest.approx(0.9)
    assert found.box.scale == pytest.approx(150 / np.hypot(100, 200))


def test_toes_of_body_25_do_not_count():
    person = points(25)
    person[19:, 1] = 900
    (found,) = openpose_people(openpose(person), "x.json").people
    assert found.rectangle_px[3] == 200


def test_openpose_folder_gives_every_frame_its_file(tmp_path):
    write_json(tmp_path / "walk_000000000003_keypoints.json", openpose(points(25), points(25)))
    (tmp_path / "walk_000000000004_keypoints.json").write_text("{ broken")
    source = open_people(keypoints=str(tmp_path))
    assert len(source.find("walk_000000000003", IMAGE).people) == 2
    assert "not valid JSON" in source.find("walk_000000000004", IMAGE).problems[0]
    assert "holds no walk_" in source.find("walk_000000000005", IMAGE).notes[0]


def test_nobody_in_an_openpose_file_is_said():
    empty = openpose_people({"people": []}, "x.json")
    assert not empty.people and empty.notes == ["0 people in x.json (threshold 0.2): skipped"]
    weak = openpose_people(openpose(points(18, score=0.07)), "x.json")
    assert not weak.people and "(best 0.07)" in weak.problems[0]
    assert openpose_people(openpose(points(18, score=0.07)), "x.json", 0.05).people


def test_openpose_ids_are_kept_where_it_tracks():
    content = openpose(points(18), points(18))
    content["people"][0]["person_id"], content["people"][1]["person_id"] = [4], [-1]
    assert [p.label for p in openpose_people(content, "x.json").people] == ["4", "1"]


# Rules


def test_best_and_largest():
    small_sure = from_rectangle([0, 0, 10, 10], 0.9, "a")
    large_unsure = from_rectangle([0, 0, 99, 99], 0.3, "b")
    people = [small_sure, large_unsure]
    assert select(people, "all") == people
    assert select(people, "best") == [small_sure]
    assert select(people, "largest") == [large_unsure]
    assert select([], "best") == []
    with pytest.raises(UserError, match="--person"):
        select(people, "tallest")


def test_original_rule_for_keypoints():
    """Only points above the threshold count; the diagonal of their box becomes 150 px."""
    keypoints = np.array([[10, 20, 0.21], [40, 60, 0.9], [500, 500, 0.2], [0, 0, 0]])
    person = from_keypoints(keypoints)
    assert person.box.scale == 3 and person.score == pytest.approx(0.555)
    np.testing.assert_array_equal(person.box.center_px, [25, 40])


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([700, 10, 20, 20], "outside"),
        ([-50, 10, 50, 20], "outside"),
        ([10, 10, 0, 20], "positive width"),
        ([10, 10, -5, 20], "positive width"),
        ([float("nan"), 10, 5, 5], "not finite"),
        ([1, 2, 3], "four numbers"),
    ],
)
def test_bad_boxes_are_named_and_the_others_go_on(tmp_path, box, reason):
    content = [
        {"image_id": 1, "bbox": [1, 2, 30, 40]},
        {"image_id": 1, "track_id": "bad", "bbox": box},
    ]
    source = open_people(write_json(tmp_path / "b.json", content))
    found = source.find("1.jpg", IMAGE)
    assert len(found.people) == 1
    (problem,) = found.problems
    assert "person bad" in problem and reason in problem


def test_box_that_leaves_the_picture_far_is_kept_with_a_warning():
    source = open_people("-50,10,100,100")
    found = source.find("a.jpg", IMAGE)
    assert len(found.people) == 1 and "50%" in found.notes[0]
    assert not open_people("-5,10,100,100").find("a.jpg", IMAGE).notes


# Bad files


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"shapes": []}', r"keys \['shapes'\]"),
        ("3", "JSON int"),
        ('[{"image_id": 1}]', 'no people with "bbox"'),
        ("\udce9", "not text"),
    ],
)
def test_json_of_another_tool_is_named(tmp_path, content, reason):
    path = tmp_path / "strange.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError, match=reason) as error:
        open_people(str(path))
    assert "strange.json" in str(error.value)


def test_csv_without_a_header_is_named(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("a.jpg,1,2,3,4\n")
    with pytest.raises(UserError, match="line 1: expected a header"):
        open_people(str(path))
    path.write_text("")
    with pytest.raises(UserError, match="empty"):
        open_people(str(path))
    path.write_text("frame,x,y,width,height\nthree,1,2,3,4\n")
    with pytest.raises(UserError, match="line 2: frame must be whole"):
        open_people(str(path))


def test_csv_rows_that_are_short_or_words(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("image,x,y,width,height\na.jpg,1,2\na.jpg,one,2,3,4\na.jpg,1,2,3,4\n")
    found = open_people(str(path)).find("a.jpg", IMAGE)
    assert len(found.people) == 1 and len(found.problems) == 2
    assert "line 2" in found.problems[0] and "got 'one'" in found.problems[1]


def test_flags_that_contradict_or_lead_nowhere(tmp_path):
    with pytest.raises(UserError, match="not both"):
        open_people("1,2,3,4", "x.json")
    with pytest.raises(UserError, match="no such file"):
        open_people(str(tmp_path / "absent.csv"))
    with pytest.raises(UserError, match="no such file"):
        open_people(keypoints=str(tmp_path / "absent.json"))
    with pytest.raises(UserError, match=r"holds no \.json"):
        open_people(keypoints=str(tmp_path))
    with pytest.raises(UserError, match="no usable box"):
        parse_boxes("1,2,0,4")
    with pytest.raises(UserError, match="expected x,y,w,h"):
        parse_boxes("1,2,x,4")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=6)
    | st.dictionaries(
        st.sampled_from(
            ["people", "pose_keypoints_2d", "annotations", "images", "image_id", "bbox", "id",
             "keypoints", "score", "category_id", "file_name", "person_id", "iscrowd",
             "predictions", "instance_info", "keypoint_scores", "track_id"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=30,
)  # fmt: skip


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=JSON, flag=st.sampled_from(["boxes", "keypoints"]))
def test_any_json_gives_people_or_a_user_error(tmp_path, content, flag):
    path = write_json(tmp_path / "any.json", content)
    try:
        found = open_people(**{flag: path}).find("any_1.jpg", IMAGE)
    except UserError:
        return
    assert all(isinstance(person, Detection) for person in found.people)


NUMBERS = st.one_of(
    st.floats(-1e4, 1e4), st.just(float("nan")), st.just(float("inf")), st.integers(-9, 9)
)


@settings(deadline=None)
@given(st.lists(st.lists(NUMBERS, max_size=5), max_size=8))
def test_every_box_row_is_used_or_named(rows):
    found = detections_from_boxes(rows)
    assert len(found.people) + len(found.problems) == len(rows)
    for person in found.people:
        assert np.isfinite(person.box.center_px).all() and person.box.scale > 0


@settings(deadline=None)
@given(st.text(alphabet='image,framexywh0123456789.-\n" ', max_size=120))
def test_any_csv_gives_people_or_a_user_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("csv") / "any.csv"
    path.write_text("image,x,y,width,height\n" + text)
    open_people(str(path)).find("a.jpg", IMAGE)


@pytest.mark.parametrize("order", [OPENPOSE19, OPENPOSE18, OPENPOSE15])
def test_openpose_keypoints_take_their_places_in_cocoplus(order):
    person_px = points(25 if order is OPENPOSE19 else len(order))
    person_px[order.index("left_knee")] = 71, 72, 0.9
    person_px[order.index("right_elbow"), 2] = 0.01
    (person,) = openpose_people(openpose(person_px), "x.json").people
    named = dict(zip(COCOPLUS, person.keypoints2d_px, strict=True))
    assert named["left_knee"].tolist() == [71, 72, 0.9]
    assert not named["right_elbow"].any()
    assert named["head_top"].any() == named["neck"].any() == (order is OPENPOSE15)
    assert named["left_ear"].any() == (order is not OPENPOSE15)


def test_keypoints_of_an_unknown_order_have_no_places():
    assert from_keypoints(points(17)).keypoints2d_px is not None
    assert from_keypoints(points(14)).keypoints2d_px is None
