"""Made people, written in each known variant of every format, are read as the same people."""

import json
import random
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hmr.body.joints import COCO17, COCOPLUS, OPENPOSE18, OPENPOSE19, take_joints
from hmr.prediction.people_files import open_people
from hmr.prediction.picture_names import match_people

HEIGHT, WIDTH = 480, 640
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
PICTURES = ("/data/cam1/000007.jpg", "/data/cam2/000007.jpg", "/data/cam2/b c.png")
FRAMES = tuple(f"walk_{frame:012d}" for frame in range(3))
POSETRACK17 = ("nose", "head_bottom", "head_top", *COCO17[3:])
UNKNOWN = {"area": 3.5, "extra": {"a": [None]}, "segmentation": [[1, 2, 3, 4, 5, 6]]}

quick = settings(
    max_examples=12, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


@dataclass
class Known:
    """One made person: keypoints (17, 3) in pixels, and who it is."""

    points: np.ndarray
    label: int
    score: float

    @property
    def low(self):
        return self.points[:, :2].min(axis=0)

    @property
    def rectangle_px(self):
        return np.concatenate([self.low, np.ptp(self.points[:, :2], axis=0)])


def make_people(seed):
    """One or two people in the first picture, up to two in the second, one in the third."""
    rng = np.random.default_rng(seed)
    labels = iter(range(5, 99))

    def person():
        places = rng.uniform((40, 30), (WIDTH - 40, HEIGHT - 30), (17, 2)).round(2)
        score = round(float(rng.uniform(0.5, 0.9)), 3)
        return Known(np.column_stack([places, np.full(17, 0.75)]), next(labels), score)

    counts = (rng.integers(1, 3), rng.integers(0, 3), 1)
    return [[person() for _ in range(count)] for count in counts]


class Pen:
    """Writes the same content as different tools would, by a seed: shrinking stays quick."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.style = self.random.randrange(7)

    def one_of(self, *values):
        return self.random.choice(values)

    def id(self, number):
        """A number as writers of ids have it."""
        if number is None:
            return None
        return self.one_of(number, float(number), str(number), f"{number:05d}")

    def path(self, name):
        """The end of a path with other separators, folders or ending, all of a file alike."""
        *_, folder, last = name.split("/")
        stem = last.rpartition(".")[0]
        return (
            f"{folder}/{last}", f"C:\\x\\{folder}\\{last}", f"./{folder}/{stem}.PNG", name,
            f"{folder}/{stem}", f"{folder}/{last}.jpeg",
            f"https://host/{folder}/{last.replace(' ', '%20')}?size=1",
        )[self.style]  # fmt: skip

    def numbers(self, rows):
        rows = np.asarray(rows, float)
        return self.one_of(rows.ravel().tolist(), rows.tolist())

    def text(self, content):
        return json.dumps(
            self._shuffled(content),
            indent=self.one_of(None, 2),
            ensure_ascii=self.one_of(True, False),
        )

    def _shuffled(self, content):
        if isinstance(content, list):
            return list(map(self._shuffled, content))
        if not isinstance(content, dict):
            return content
        items = list(content.items())[:: self.one_of(1, -1)]
        return {key: self._shuffled(value) for key, value in items}

    def bytes(self, text):
        ends = self.one_of("\n", "\r\n")
        encoding = self.one_of("utf-8", "utf-8-sig", "utf-16")
        return text.replace("\n", ends).encode(encoding)

    def write(self, path, content):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.bytes(content if isinstance(content, str) else self.text(content)))
        return path


def check(source, names, people, scores=True, labels=True):
    assert not [line for line in match_people(source, names) if "entries used" in line]
    for name, truth in zip(names, people, strict=True):
        found = source.find(name, IMAGE)
        assert not found.problems and len(found.people) == len(truth), (name, found)
        for person, known in zip(found.people, truth, strict=True):
            np.testing.assert_allclose(person.rectangle_px, known.rectangle_px, atol=0.02)
            assert person.label == str(known.label) or not labels
            assert person.score == pytest.approx(known.score) or not scores


def detection(pen, known, **keys):
    """An entry in COCO's keys."""
    tracked = pen.one_of(
        {"track_id": pen.id(known.label)}, {"attributes": {"track_id": known.label}},
        {"idx": [float(known.label)]},
    )  # fmt: skip
    return {
        "id": 900 + known.label, "bbox": known.rectangle_px.tolist(), "iscrowd": 0,
        "keypoints": pen.numbers(known.points), "score": pen.one_of(known.score, str(known.score)),
        **tracked, **pen.one_of({}, UNKNOWN), **keys,
    }  # fmt: skip


def images_of(pen, paths):
    extra = pen.one_of({}, {"width": WIDTH, "height": HEIGHT, "license": 0})
    return [
        {"id": pen.id(40 + at), "file_name": path, **extra} for at, path in enumerate(paths)
    ]  # fmt: skip


def annotations_of(pen, people, category=1):
    return [
        detection(
            pen,
            known,
            image_id=pen.id(40 + at),
            **({"category_id": pen.id(category)} if category is not None else {}),
        )
        for at, truth in enumerate(people)
        for known in truth
    ]


CATEGORIES = (
    (1, None),
    (None, None),
    (0, [{"id": 0, "name": "person"}, {"id": 1, "name": "dog"}]),
    ("7", [{"id": 7, "name": "Pedestrian"}, {"id": 1, "name": "dog"}]),
    (3, [{"id": 1, "name": "dog"}, {"id": 3, "name": "skater", "keypoints": list(COCO17)}]),
    (1, [{"id": 0, "name": "cup"}, {"id": 1, "name": "player", "supercategory": "cup"}]),
)  # fmt: skip
PEOPLE = st.integers(0, 99).map(make_people)
PENS = st.integers(0, 10**6).map(Pen)
FLAGS = st.sampled_from(["boxes", "keypoints"])


@quick
@given(people=PEOPLE, pen=PENS, flag=FLAGS, category=st.sampled_from(CATEGORIES))
def test_coco_annotations(tmp_path, people, pen, flag, category):
    number, categories = category
    number = None if number is None else int(number)
    content = {
        "images": images_of(pen, map(pen.path, PICTURES)),
        "annotations": annotations_of(pen, people, number),
        **({"categories": categories} if categories else {}),
    }
    source = open_people(**{flag: str(pen.write(tmp_path / "coco.json", content))})
    check(source, PICTURES, people)


EXPORTS = {
    "Label Studio": (
        "0badcafe-{}.jpg", "0badcafe-{_}.jpg", "/data/local-files/?d=1%5C{}.jpg",
        "i\\deadbeef-{}.jpg",
    ),
    "Roboflow": (
        "{}_jpg.rf.0a1b2c3d4e5f60718293a4b5c6d7e8f9.jpg", "{-}_jpg.rf.0a1b2.jpg",
        "{}_png.rf.AbC09.png",
    ),
    "CVAT": ("{}.jpg", "task/{}.jpg"),
}  # fmt: skip


@pytest.mark.parametrize("tool", EXPORTS)
@quick
@given(people=PEOPLE, pen=PENS, flag=FLAGS)
def test_exports_of_annotation_tools(tmp_path, tool, people, pen, flag):
    stems = ("anna 1 (2)", "ben", "carl-2")
    made = [
        {"_": stem.replace(" ", "_"), "-": re.sub(r"[^\w-]", "-", stem)} for stem in stems
    ]  # fmt: skip
    names = [
        pen.one_of(*EXPORTS[tool]).format(stem, **other)
        for stem, other in zip(stems, made, strict=True)
    ]
    content = {
        "info": {}, "categories": [{"id": 0, "name": "person"}],
        "images": images_of(pen, names), "annotations": annotations_of(pen, people, 0),
    }  # fmt: skip
    source = open_people(**{flag: str(pen.write(tmp_path / "result.json", content))})
    check(source, [f"/data/{stem}.jpg" for stem in stems], people)


@quick
@given(people=PEOPLE, pen=PENS, flag=FLAGS)
def test_coco_results_and_alphapose_on_pictures(tmp_path, people, pen, flag):
    key = pen.one_of("image_id", "file_name", "image")
    box = pen.one_of("bbox", "box")
    content = []
    for name, truth in zip(PICTURES, people, strict=True):
        path = pen.path(name)
        for known in truth:
            entry = detection(pen, known, **{key: path, "category_id": 1})
            content.append({box if k == "bbox" else k: value for k, value in entry.items()})
    source = open_people(**{flag: str(pen.write(tmp_path / "results.json", content))})
    check(source, PICTURES, people)


def longer(pen, known, count):
    """The person's points with more behind them, of feet, hands and face."""
    behind = np.tile((WIDTH - 1.0, HEIGHT - 1.0, 0.9), (count - 17, 1))
    return pen.numbers(np.concatenate([known.points, behind]))


@pytest.mark.parametrize("count", [17, 26, 133, 136])
@quick
@given(people=PEOPLE, pen=PENS)
def test_halpe_and_whole_bodies_on_videos(tmp_path, count, people, pen):
    name = pen.one_of(
        "{}.jpg", "frame_{:06d}.png", "walk_{}.jpg", "walk/{:05d}.jpg", "walk_frame_{}"
    )
    content = [
        detection(pen, known, image_id=name.format(at), keypoints=longer(pen, known, count))
        for at, truth in enumerate(people)
        for known in truth
    ]
    source = open_people(keypoints=str(pen.write(tmp_path / "alphapose-results.json", content)))
    check(source, FRAMES, people)


@quick
@given(people=PEOPLE, pen=PENS)
def test_alphapose_in_openposes_likeness(tmp_path, people, pen):
    paths = ("cam1/000007.jpg", "cam2/000007.jpg", "b c.png")
    outer, inner = pen.one_of(("people", "pose_keypoints_2d"), ("bodies", "joints"))
    content = {
        path: {"version": "0.3", outer: [{inner: openpose_points(pen, each)} for each in truth]}
        for path, truth in zip(paths, people, strict=True)
    }
    if pen.one_of(True, False):
        where = pen.write(tmp_path / "one" / "alphapose-results.json", content)
    else:
        where = tmp_path / "sep-json"
        for path, item in content.items():
            pen.write(where / f"{path.rpartition('.')[0]}.json", item)
    check(open_people(keypoints=str(where)), PICTURES, people, scores=False, labels=False)


def openpose_points(pen, known, count=18, scale=(1, 1)):
    """(K, 3) in OpenPose's order; the middles that COCO lacks have no confidence."""
    order = OPENPOSE19 if count == 25 else OPENPOSE18
    points = take_joints(known.points, COCO17, order)
    toes = np.zeros((count - len(order), 3))
    return pen.numbers(np.concatenate([points, toes]) / (*scale, 1))


@quick
@given(people=PEOPLE, pen=PENS)
def test_openpose(tmp_path, people, pen):
    count, key = pen.one_of(18, 25), pen.one_of("pose_keypoints_2d", "pose_keypoints")
    scale = pen.one_of((1, 1), (WIDTH, HEIGHT))
    tracked, names = pen.one_of(True, False), pen.one_of(PICTURES, FRAMES)
    suffix = pen.one_of("_keypoints.json", ".json")
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for name, truth in zip(names, people, strict=True):
        ids = [[known.label] if tracked else [-1] for known in truth]
        content = [
            {"person_id": who, key: openpose_points(pen, known, count, scale), "face": []}
            for who, known in zip(ids, truth, strict=True)
        ]  # fmt: skip
        stem = name.removeprefix("/data/").rsplit(".", 1)[0]
        pen.write(folder / f"{stem}{suffix}", {"version": 1.3, "people": content})
    check(open_people(keypoints=str(folder)), names, people, scores=False, labels=tracked)


def instance(pen, known):
    low, high, places = known.low, known.low + known.rectangle_px[2:], known.points[:, :2].tolist()
    corners = [*low, *high]
    return {
        "keypoints": pen.one_of([places], places),
        "keypoint_scores": known.points[:, 2].tolist(),
        "bbox": pen.one_of([corners], corners), "bbox_score": known.score,
        "track_id": pen.id(known.label),
    }  # fmt: skip


@quick
@given(people=PEOPLE, pen=PENS, flag=FLAGS)
def test_mmpose(tmp_path, people, pen, flag):
    rows = [[instance(pen, known) for known in truth] for truth in people]
    meta = {"meta_info": {"keypoint_id2name": {str(at): name for at, name in enumerate(COCO17)}}}
    kind = pen.one_of("demo", "inferencer", "picture")
    if kind == "picture":  # the first one only
        listed = pen.one_of(
            rows[0], {**meta, "instance_info": rows[0]}, [rows[0]], {"predictions": [rows[0]]}
        )
        path = pen.write(tmp_path / "000007.json", listed)
        check(open_people(**{flag: str(path)}), PICTURES[:1], people[:1])
        return
    first = int(kind == "demo")
    frames = [{"frame_id": pen.id(at + first), "instances": row} for at, row in enumerate(rows)]
    content = {**meta, "instance_info": frames} if kind == "demo" else frames
    check(open_people(**{flag: str(pen.write(tmp_path / "walk.json", content))}), FRAMES, people)


@quick
@given(people=PEOPLE, pen=PENS)
def test_a_folder_of_mmpose_of_which_some_pictures_hold_nobody(tmp_path, people, pen):
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for name, truth in zip(PICTURES, people, strict=True):
        rows = [instance(pen, known) for known in truth]
        stem = name.removeprefix("/data/").rsplit(".", 1)[0]
        pen.write(folder / f"{stem}.json", pen.one_of(rows, {"instance_info": rows}))
    check(open_people(keypoints=str(folder)), PICTURES, people)


@pytest.mark.parametrize(
    "left_out", [(), ("left_ear", "right_eye", "right_ear"), ("nose", "left_eye", "left_wrist")]
)
@quick
@given(people=PEOPLE, pen=PENS)
def test_points_that_a_file_names_may_be_of_any_number(tmp_path, left_out, people, pen):
    """As PoseTrack's 15 and other annotation tools' own."""
    kept = [name not in left_out for name in COCO17]
    names = [*np.array(COCO17)[kept].tolist(), "left_big_toe"]
    toe = np.array([[WIDTH - 1, HEIGHT - 1, 2]])
    written = [
        [Known(np.concatenate([known.points[kept], toe]), known.label, known.score)
         for known in truth] for truth in people
    ]  # fmt: skip
    content = {
        "images": images_of(pen, PICTURES), "annotations": annotations_of(pen, written),
        "categories": [{"id": 1, "name": "person", "keypoints": names}],
    }  # fmt: skip
    source = open_people(keypoints=str(pen.write(tmp_path / "coco.json", content)))
    seen = [[Known(known.points[kept], known.label, known.score) for known in t] for t in people]
    check(source, PICTURES, seen)


@quick
@given(people=PEOPLE, pen=PENS)
def test_posetrack_in_one_file_or_one_a_video(tmp_path, people, pen):
    names = pen.one_of(POSETRACK17, [name.replace("_", " ") for name in POSETRACK17])
    categories = [{"id": 1, "name": "person", "keypoints": list(names)}]
    images = images_of(pen, [f"images/val/{name.removeprefix('/data/')}" for name in PICTURES])
    entries = annotations_of(pen, people)
    everything = {"images": images, "annotations": entries, "categories": categories}
    if pen.one_of(True, False):
        where = pen.write(tmp_path / "posetrack.json", everything)
    else:
        where = tmp_path / "val"
        for at, image in enumerate(images):
            own = [e for e in entries if int(float(e["image_id"])) == 40 + at]
            pen.write(where / f"{at}.json", {**everything, "images": [image], "annotations": own})
    source = open_people(keypoints=str(where))
    check(source, PICTURES, people)
    person = source.find(PICTURES[0], IMAGE).people[0]
    assert person.keypoints2d_px[12:14].all() and not person.keypoints2d_px[15].any()


@quick
@given(people=PEOPLE, pen=PENS)
def test_csv(tmp_path, people, pen):
    separator, by_frame = pen.one_of(",", ";", "\t"), pen.one_of(True, False)
    columns = {
        "frame" if by_frame else pen.one_of("image", "File", "filename"): None,
        pen.one_of("x", "left", " X "): 0, pen.one_of("y", "top"): 1,
        pen.one_of("width", "w"): 2, pen.one_of("height", "H"): 3,
        pen.one_of("id", "track_id"): "label", pen.one_of("score", "confidence"): "score",
    }  # fmt: skip
    order = list(columns)[:: pen.one_of(1, -1)]
    lines = [separator.join([*order, "colour"])]
    for at, truth in enumerate(people):
        for known in truth:
            values = {
                None: pen.one_of(str(at), f"{at}.0") if by_frame else f'"{pen.path(PICTURES[at])}"',
                "label": str(known.label), "score": str(known.score),
                **{side: f"{known.rectangle_px[side]:.3f}" for side in range(4)},
            }  # fmt: skip
            lines += [separator.join([*(values[columns[name]] for name in order), "red"])]
            lines += [separator * pen.one_of(0, 7)]
    path = pen.write(tmp_path / "boxes.csv", "\n".join(lines))
    names = FRAMES if by_frame else PICTURES
    source = open_people(str(path))
    assert source.notes == ["columns not used: colour"]
    check(source, names, people)


@quick
@given(people=PEOPLE, pen=PENS, first=st.integers(1, 3))
def test_yolo_on_videos_counts_from_1_without_zeros(tmp_path, people, pen, first):
    """Ultralytics writes no file for a frame without people."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for at, truth in enumerate(people, start=first):
        shares = [known.points / (WIDTH, HEIGHT, 1) for known in truth]
        lines = [" ".join(map(str, [0, 0.5, 0.5, 0.2, 0.2, *row.ravel(), known.score, known.label]))
                 for row, known in zip(shares, truth, strict=True)]  # fmt: skip
        if lines:
            (folder / f"walk_{at}.txt").write_text("\n".join(lines))
    names = [f"walk_{frame:012d}" for frame in range(first - 1, first + 2)]
    check(open_people(keypoints=str(folder)), names, people)


@quick
@given(people=PEOPLE, pen=PENS, flag=FLAGS)
def test_our_own_results(tmp_path, people, pen, flag):
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    for name, truth in zip(PICTURES, people, strict=True):
        content = [
            {
                "label": str(known.label), "score": known.score,
                "rectangle_px": known.rectangle_px.tolist(),
                "source_keypoints_px": take_joints(known.points, COCO17, COCOPLUS).tolist(),
            }
            for known in truth
        ]  # fmt: skip
        stem = name.removeprefix("/data/").rsplit(".", 1)[0]
        pen.write(folder / f"{stem}.json", {"image": name, "people": content, "problems": []})
    (folder / "prediction_summary.json").write_text('{"people": 3, "pictures": 3}')
    check(open_people(keypoints=str(folder)), PICTURES, people)
    one = folder / "cam1/000007.json"
    check(open_people(**{flag: str(one)}), PICTURES[:1], people[:1])
