"""Crops, boxes and the picture's camera against the original's figures."""

import numpy as np
import pytest

from hmr.geometry.camera import pinhole
from hmr.geometry.crop import CropBox, crop_image
from hmr.prediction.people import Detection, Detections, from_keypoints, select
from tests.helpers.golden_inputs import golden

FIGURES = golden("crop")
FOCAL_IN_CROP = 500.0


@pytest.mark.parametrize("case", range(5))
def test_crops_are_equal_byte_for_byte(case):
    box = CropBox(FIGURES[f"crop{case}_center"], float(FIGURES[f"crop{case}_scale"]))
    size = int(FIGURES[f"crop{case}_size"])
    crop, cut_box = crop_image(FIGURES["crop_in"], box, size)
    np.testing.assert_array_equal(crop, FIGURES[f"crop{case}_out"])
    # The original undoes the crop with its whole-pixel start; ours adds where pixels really lie.
    original_center = FIGURES[f"crop{case}_start"] / box.scale
    assert np.abs((cut_box.center_px - original_center) * box.scale).max() < 1.5


def test_openpose_person_is_the_surest_and_the_box_is_theirs():
    people = [from_keypoints(points) for points in FIGURES["openpose_kps"]]
    (person,) = select(Detections(people).people, "best")
    assert isinstance(person, Detection)
    assert person.box.scale == pytest.approx(float(FIGURES["openpose_scale"]), rel=1e-12)
    np.testing.assert_allclose(person.box.center_px, FIGURES["openpose_center"], rtol=1e-12)


@pytest.mark.parametrize("case", range(3))
def test_camera_and_keypoints_of_the_whole_picture(case):
    """The original's pinhole: focal length 500 in the crop, principal point at its centre."""
    figures = {key[3:]: value for key, value in FIGURES.items() if key.startswith(f"o{case}_")}
    scale = float(figures["scale"])
    box = CropBox(figures["start_pt"] / scale, scale)
    np.testing.assert_allclose(box.to_image(figures["joints"]), figures["out_joints"], atol=1e-9)
    height, width = figures["image_shape"][:2]
    camera = pinhole(figures["cam"], box, height, width, FOCAL_IN_CROP / scale, box.center_px)
    np.testing.assert_allclose(
        [camera.focal_px, *camera.principal_point_px], figures["out_cam"], rtol=1e-7
    )
    moved = figures["verts"] + camera.translation_m
    np.testing.assert_allclose(moved, figures["out_verts"], atol=1e-9)
