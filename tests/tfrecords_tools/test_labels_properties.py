"""Made people, written in each known variant of a file of labels, are read as the same people."""

import json
import random

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from hmr.body.joints import COCO17, COCOPLUS, LSP14, take_joints
from tfrecords_tools import coco, from_labels
from tfrecords_tools.common.pictures import Labels, find_pictures

NAMES = ("cam1/7.jpg", "cam2/7.jpg", "b c.png")
quick = settings(
    max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


class Pen:
    """Chooses among variants by a seed."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.points = np.random.default_rng(seed)

    def one_of(self, *values):
        return self.random.choice(values)

    def id(self, number):
        return self.one_of(number, float(number), str(number), f"{number:04d}")

    def labels(self, order):
        """Keypoints (K, 3) x, y, v; a hidden one, one that is not labelled, the others visible."""
        points = self.points.uniform(40, 300, (len(order), 3)).round(1)
        points[:, 2] = 2
        points[-1, 2], points[-2] = 1, 0
        return points


def other_spellings(name):
    """The name of a picture as files of labels have it; the picture itself is called `name`."""
    stem = name.removesuffix(".jpg").removesuffix(".png")
    return (
        name, name.replace("/", "\\"), f"x/{name}", f"{stem}.bmp", f"C:\\x\\{stem}.JPEG".upper(),
        stem, f"{name}.png", f"{stem}.jpeg.jpg", f"x/{stem}_jpg.rf.0a1b2c.jpg",
    )  # fmt: skip


def annotation(pen, image, points, category):
    rows = points.tolist()
    return {
        "id": pen.id(image + 900), "image_id": pen.id(image), "category_id": pen.id(category),
        "keypoints": pen.one_of(rows, points.ravel().tolist(), list(map(str, points.ravel()))),
        "iscrowd": 0, "segmentation": [[10, 10, 300, 10, 300, 300, 10, 300]],
        **pen.one_of({}, {"attributes": {"occluded": False}, "score": 0.5}),
    }  # fmt: skip


def write(pen, path, truth, size):
    """A json of one person a picture, and of others whom no reader takes."""
    person = pen.one_of(0, 1, 7)
    spelt = [pen.one_of(*other_spellings(name)) for name in NAMES]
    entries = [annotation(pen, at, points, person) for at, points in enumerate(truth, start=3)]
    broken = {**entries[0], "keypoints": pen.one_of(["x"] * 51, None, "1 2 3", {"a": 1})}
    broken = pen.one_of(broken, None, {**entries[0], "image_id": 99}, "annotation")
    dog = {**entries[0], "category_id": 99}
    content = {
        "info": {}, "categories": [{"id": person, "name": "Person"}, {"id": 99, "name": "dog"}],
        "images": [
            {"id": pen.id(at), "file_name": name, **size} for at, name in enumerate(spelt, start=3)
        ] + pen.one_of([], [None], [{"id": 77}], [{"file_name": "d.jpg"}]),
        "annotations": [*entries, broken, dog],
    }  # fmt: skip
    items = list(content.items())[:: pen.one_of(1, -1)]
    text = json.dumps(dict(items), indent=pen.one_of(None, 1))
    ends = text.replace("\n", pen.one_of("\n", "\r\n"))
    path.write_bytes(ends.encode(pen.one_of("utf-8", "utf-8-sig", "utf-16")))


def check(folder, found, truth, order):
    """`found` holds names and labels; each name leads to the picture that was meant."""
    for name in NAMES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    kept = [(name, labels) for name, labels in found if isinstance(labels, Labels)]
    assert len(found) == len(truth) + 2 and len(kept) == len(truth)
    for (name, labels), meant, points in zip(kept, NAMES, truth, strict=True):
        assert find_pictures(folder, [name]) == {name: folder / meant}
        expected = take_joints(points, order, COCOPLUS)
        seen = expected[:, 2] > 0
        np.testing.assert_array_equal(labels.visibility > 0, seen)
        np.testing.assert_allclose(labels.keypoints2d_px[seen], expected[seen, :2])


@quick
@given(st.integers(0, 10**6), st.sampled_from([LSP14, COCO17, COCOPLUS]))
def test_json_of_labels(tmp_path, seed, order):
    pen = Pen(seed)
    truth = [pen.labels(order) for _ in NAMES]
    size = pen.one_of({}, {"width": 320, "height": 320})
    write(pen, tmp_path / "labels.json", truth, size)
    found = from_labels.read_json(tmp_path / "labels.json")
    check(tmp_path, [(name, labels) for (name, _), labels in found], truth, order)


@quick
@given(st.integers(0, 10**6))
def test_cocos_annotations(tmp_path, seed):
    pen = Pen(seed)
    truth = [pen.labels(COCO17) for _ in NAMES]
    write(pen, tmp_path / "coco.json", truth, {"width": 320, "height": 320})
    found = coco.read_people(coco.read_annotations(tmp_path / "coco.json"), tmp_path)
    check(tmp_path, [(name, labels) for (_, name, _), labels in found], truth, COCO17)


@quick
@given(st.integers(0, 10**6), st.sampled_from([LSP14, COCO17, COCOPLUS]), st.booleans())
def test_npz_of_labels(tmp_path, seed, order, flagged):
    pen = Pen(seed)
    truth = np.array([pen.labels(order) for _ in NAMES])
    points = truth if flagged else np.where(truth[..., 2:] > 0, truth, np.nan)[..., :2]
    kind = pen.one_of(np.float32, np.float64)
    save = pen.one_of(np.savez, np.savez_compressed)
    extras = pen.one_of({}, {"camera": np.full((3, 3), np.nan)})
    save(tmp_path / "a.npz", image=np.array(NAMES), keypoints2d_px=points.astype(kind), **extras)
    found = [(name, labels) for (name, _), labels in from_labels.read_npz(tmp_path / "a.npz")]
    assert [name for name, _ in found] == list(NAMES)
    for (_, labels), person in zip(found, truth, strict=True):
        expected = take_joints(person, order, COCOPLUS)
        seen = expected[:, 2] > 0
        np.testing.assert_array_equal(labels.visibility > 0, seen)
        np.testing.assert_allclose(labels.keypoints2d_px[seen], expected[seen, :2], atol=1e-3)
