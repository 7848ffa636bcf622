"""Segmentations against pixels counted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from hmr.errors import UserError
from hmr.evaluation import segmentation
from hmr.evaluation.measures import PooledF1
from hmr.evaluation.meshes import GivenMeshes
from hmr.evaluation.metrics import f1
from hmr.evaluation.protocols import find_protocol
from hmr.evaluation.samples import PixelCounts, Prediction
from hmr.evaluation.scoring import score
from hmr.evaluation.segmentation import (
    count_pixels,
    label_map,
    read_annotation,
)
from hmr.geometry.camera import camera_in_picture
from hmr.geometry.crop import box_from_record
from tests.evaluation.test_scoring import make_truth

HEIGHT, WIDTH = 60, 80
HEAD, LEFT_ARM = 1, 4
PLATE_FACES = np.array([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
PLATE_LABELS = np.array([HEAD] * 4 + [LEFT_ARM] * 4, np.uint8)


def plate(left, right, top, bottom, depth=0.0):
    """Corners of a plate that covers the pixels of columns [left, right) and rows [top, bottom)."""
    x0, x1, y0, y1 = left - 0.5, right - 0.5, top - 0.5, bottom - 0.5
    return np.array([[x0, y0, depth], [x1, y0, depth], [x1, y1, depth], [x0, y1, depth]])


def write_annotation(root, name, foreground, parts):
    folder = root / "data" / "lsp"
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(foreground.astype(np.uint8) * 255).save(folder / f"{name}_segmentation.png")
    Image.fromarray(parts.astype(np.uint8)).save(folder / f"{name}_part_segmentation.png")


def as_vertices_m(corners_px, center_px):
    """Metres that the camera [1, 0, 0] of a crop about `center_px` shows at these pixels."""
    vertices = np.array(corners_px, float)
    vertices[:, :2] -= np.trunc(center_px)
    return vertices / 112


def _truth(count, center_px=(40.0, 30.0)):
    return replace(
        make_truth(count),
        filename=np.array([f"im{1001 + i}.jpg" for i in range(count)]),
        center_px=np.tile(center_px, (count, 1)),
        size_px=np.tile([HEIGHT, WIDTH], (count, 1)),
    )


def _count(root, plates_px, truth):
    vertices = [as_vertices_m(corners, c) for corners, c in zip(plates_px, truth.center_px)]
    cameras = np.tile([1.0, 0.0, 0.0], (len(truth), 1))
    meshes = GivenMeshes(np.array(vertices))
    return count_pixels(meshes, cameras, truth, root, PLATE_FACES, PLATE_LABELS)


def test_the_nearer_plate_hides_the_other():
    corners = np.concatenate([plate(10, 30, 5, 25, depth=2.0), plate(20, 40, 5, 25, depth=1.0)])
    shown = label_map(corners, PLATE_FACES, PLATE_LABELS, HEIGHT, WIDTH)
    expected = np.zeros((HEIGHT, WIDTH))
    expected[5:25, 10:20], expected[5:25, 20:40] = HEAD, LEFT_ARM
    np.testing.assert_array_equal(shown, expected)


def test_the_crops_camera_in_the_whole_picture():
    vertices = np.array([[0.25, -0.5, 0.1]])
    box = box_from_record(np.array([150.7, 90.2]))
    placed = camera_in_picture(np.array([0.8, 0.1, 0.2]), box).project(vertices)
    # Crop: 112 (0.8 (0.25 + 0.1) + 1) = 143.36 and 112 (0.8 (-0.5 + 0.2) + 1) = 85.12;
    # the crop's corner lies at 150 - 112 and 90 - 112.
    np.testing.assert_allclose(placed[0, :2], [143.36 + 38, 85.12 - 22])


def test_pixels_by_hand(tmp_path):
    """Head 10 x 20 predicted at its place, arm 10 x 20 predicted 5 columns too far to the right."""
    parts = np.zeros((HEIGHT, WIDTH))
    parts[10:30, 10:20], parts[10:30, 30:40] = HEAD, LEFT_ARM
    write_annotation(tmp_path, "im1001", parts > 0, parts)
    both = np.concatenate([plate(10, 20, 10, 30), plate(35, 45, 10, 30)])
    counts = _count(tmp_path, [both], _truth(1))
    # Of the arm's 200 pixels 100 are hit; 100 are missed and 100 are drawn on background.
    total = HEIGHT * WIDTH
    np.testing.assert_array_equal(counts.foreground[0], [[total - 500, 100], [100, 300]])
    assert counts.parts[0, HEAD, HEAD] == 200 and counts.parts[0, LEFT_ARM, LEFT_ARM] == 100
    assert counts.parts[0, LEFT_ARM, 0] == counts.parts[0, 0, LEFT_ARM] == 100
    assert counts.parts_right[0] == total - 200 and counts.pixels[0] == total
    numbers = score(
        find_protocol("lsp_segmentation"), Prediction(pixels=counts), _truth(1)
    ).summary()
    assert (
        numbers["foreground_accuracy"]
        == numbers["parts_accuracy"]
        == pytest.approx(100 * (total - 200) / total)
    )
    background_f1 = 2 * (total - 500) / (2 * (total - 500) + 200)
    assert numbers["foreground_f1"] == pytest.approx(50 * (background_f1 + 600 / 800))
    # Head, arm and background; the four parts that neither side has are left out.
    assert numbers["parts_f1"] == pytest.approx(100 / 3 * (background_f1 + 1 + 0.5))


def test_ignored_pixels_are_background_in_accuracy_and_nothing_in_f1(tmp_path):
    parts = np.zeros((HEIGHT, WIDTH))
    parts[10:30, 10:20], parts[10:30, 20:24], parts[50:, :] = HEAD, 255, 255
    write_annotation(tmp_path, "im1001", parts == HEAD, parts)
    both = np.concatenate([plate(10, 24, 10, 30), plate(200, 210, 10, 30)])
    counts = _count(tmp_path, [both], _truth(1))
    ignored, drawn_on_ignored = 80 + 10 * WIDTH, 80
    assert counts.parts[0].sum() == HEIGHT * WIDTH - ignored
    assert counts.parts[0, 0, HEAD] == 0
    assert counts.parts_right[0] == HEIGHT * WIDTH - drawn_on_ignored
    assert f1(counts.parts[0]) == 100


def test_pixels_are_pooled_not_averaged_over_pictures():
    first, second = np.array([[90, 0], [0, 10]]), np.array([[0, 0], [30, 10]])
    counts = PixelCounts(
        np.array([first, second]), np.zeros((2, 7, 7), int), np.zeros(2), np.array([100, 40])
    )
    scores = score(find_protocol("lsp_segmentation"), Prediction(pixels=counts), make_truth(2))
    accuracy, f1 = scores.measures["foreground_accuracy"], scores.measures["foreground_f1"]
    assert accuracy.mean() == pytest.approx(100 * 110 / 140)
    np.testing.assert_allclose(accuracy.values, [100, 25])
    # Pooled: background TP 90, FP 30, FN 0; foreground TP 20, FP 0, FN 30.
    assert f1.mean() == pytest.approx(50 * (180 / 210 + 40 / 70))
    np.testing.assert_allclose(f1.values, [100, 50 * (0 + 20 / 50)])
    assert accuracy.median() == 62.5 and f1.median() == pytest.approx(60)


def test_a_picture_that_does_not_count_leaves_no_trace():
    f1 = PooledF1(np.array([[[5, 0], [0, 5]], [[0, 0], [0, 0]]]))
    np.testing.assert_array_equal(f1.weights, [1, 0])
    assert np.isnan(f1.values[1]) and f1.mean() == f1.median() == 100


def test_annotations_of_another_size_are_compared_at_theirs_of_another_shape_left_out(tmp_path):
    parts = np.zeros((2 * HEIGHT, 2 * WIDTH))
    parts[20:60, 20:40] = HEAD  # pixels 10 to 30 and 10 to 20 of the picture, doubled
    write_annotation(tmp_path, "im1001", parts > 0, parts)
    write_annotation(tmp_path, "im1002", parts[:50] > 0, parts[:50])
    both = np.concatenate([plate(10, 20, 10, 30), plate(200, 210, 10, 30)])
    counts = _count(tmp_path, [both, both], _truth(2))
    assert counts.parts_right[0] == counts.pixels[0] == 4 * HEIGHT * WIDTH
    assert counts.pixels[1] == counts.foreground[1].sum() == counts.parts[1].sum() == 0
    assert [note[:6] for note in counts.notes] == ["1 of 2", "1 of 2"]
    assert "LEFT OUT" in counts.notes[1]
    with pytest.raises(UserError, match=r"no annotation .* has the shape"):
        _count(tmp_path, [both], _truth(2).take(np.array([1])))


def test_annotations_that_cannot_be_used_are_named(tmp_path, monkeypatch):
    parts = np.zeros((HEIGHT, WIDTH))
    with pytest.raises(UserError, match=r"im1001_segmentation\.png\. Download upi-s1h\.zip"):
        read_annotation(tmp_path, "im1001.jpg")
    with pytest.raises(UserError, match=r"im1001\.jpg.*Received: '\.\./secret'"):
        read_annotation(tmp_path, "../secret")
    write_annotation(tmp_path, "im1001", parts > 0, parts + 9)
    with pytest.raises(UserError, match=r"must hold 0 to 6 or 255\. Received: 9"):
        read_annotation(tmp_path, "im1001.jpg")
    write_annotation(tmp_path, "im1001", parts > 0, parts[1:])
    with pytest.raises(UserError, match=r"one size\. Received: \(60, 80\) and \(59, 80\)"):
        read_annotation(tmp_path, "im1001.jpg")
    monkeypatch.setattr(segmentation, "MAX_PIXELS", 100)
    with pytest.raises(UserError, match=r"im1001_segmentation\.png is larger than 100 pixels"):
        read_annotation(tmp_path, "im1001.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UserError, match="is not a readable PNG"):
        read_annotation(tmp_path, "im1001.jpg")
    (tmp_path / "data" / "lsp" / "im1001_segmentation.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    with pytest.raises(UserError, match="is not a readable PNG"):
        read_annotation(tmp_path, "im1001.jpg")
