"""The choices of stand-in looks: each changes what it says, and labels stay exact."""

import argparse

import cv2
import numpy as np
import pytest

from hmr.body.joints import SMPL_JOINTS
from hmr.body.smpl import SMPL
from hmr.errors import UserError
from tfrecords_tools.standin import choices, framing, photos, poses, scene
from tfrecords_tools.standin.picture import measure_template, render_picture
from tfrecords_tools.standin.reach import arms_are_free
from tfrecords_tools.standin.scene import Lens, SceneStyle, View
from tfrecords_tools.standin.shots import portrait, sample_cast, sample_view
from tfrecords_tools.standin.studio import pose_bodies

WIDE = poses.REPERTOIRES["wide"]
LENS = Lens(400.0, (159.5, 159.5), 320, 320)


def parse(*flags: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    choices.add_look_flags(parser)
    patched = pytest.MonkeyPatch()
    patched.setattr("sys.argv", ["standin", *flags])
    try:
        return choices.parse_with_preset(parser)
    finally:
        patched.undo()


PHOTO = choices.scene_style(parse("--preset", "photo"))


def test_defaults_are_the_styles_own():
    assert choices.scene_style(parse()) == SceneStyle()


def test_a_preset_sets_what_is_not_given():
    style = choices.scene_style(parse("--preset=photo", "--clothes=tight", "--views=90"))
    assert (style.clothes, style.max_yaw_deg, style.poses) == ("tight", 90.0, "wide")


def test_the_manifest_names_newer_flags_only_where_they_matter():
    usual = choices.look_settings(parse(), SceneStyle())
    assert set(usual) == {"views", "backgrounds", "occluders", "frame_px"}
    assert choices.look_settings(parse("--poses=wide"), SceneStyle())["poses"] == "wide"


@pytest.mark.parametrize("held_out", [False, True])
def test_wide_poses_keep_their_ranges_and_their_arms_free(held_out):
    dofs = poses.sample_dofs(np.random.default_rng(0), 800, held_out, WIDE)
    assert (dofs >= WIDE.ranges[:, 0]).all()
    assert (dofs <= WIDE.ranges[:, 1]).all()
    np.testing.assert_array_equal(WIDE.ranges[2:], poses.DOF_RANGES[2:])
    assert arms_are_free(poses.dofs_to_pose(dofs)).all()


def test_a_wrist_in_the_chest_is_not_free():
    pose = np.zeros((1, len(SMPL_JOINTS), 3))
    assert arms_are_free(pose.reshape(1, 72)).all()
    pose[0, SMPL_JOINTS.index("left_shoulder")] = (0.0, 0.0, -1.45)
    pose[0, SMPL_JOINTS.index("left_elbow")] = (0.0, 0.0, -2.3)
    assert not arms_are_free(pose.reshape(1, 72)).any()


def test_wide_poses_lie_and_spread_further():
    def trunks(repertoire):
        dofs = poses.sample_dofs(np.random.default_rng(0), 1500, False, repertoire)
        return np.abs(dofs[:, :2]).max(axis=1), dofs.std(axis=0)

    (wide, wide_spread), (usual, usual_spread) = trunks(WIDE), trunks(poses.USUAL)
    assert 0.1 < (wide > 60).mean() < 0.5
    assert (wide_spread > usual_spread).mean() > 0.8
    assert usual.max() <= 80


def test_wide_key_poses_lie_within_the_joint_ranges():
    for table in (poses._leg_table(WIDE), poses._trunk_table(WIDE)):
        assert (table >= WIDE.ranges[:, 0]).all()
        assert (table <= WIDE.ranges[:, 1]).all()


def test_pairs_reserved_among_the_usual_poses_stay_reserved():
    usual = poses.reserved_pairs()
    legs, arms = usual.shape
    np.testing.assert_array_equal(poses.reserved_pairs(WIDE)[:legs, :arms], usual)


def test_any_camera_sees_from_below_to_from_above_and_from_near_to_far():
    rng = np.random.default_rng(0)
    views = [sample_view(rng, PHOTO) for _ in range(2000)]
    tilts, rolls = (
        np.array([getattr(v, f"{name}_deg") for v in views]) for name in ("pitch", "roll")
    )
    assert -30 <= tilts.min() < -20
    assert 55 < tilts.max() <= 75
    assert 8 < np.abs(rolls).max() <= 15
    focal = np.array([scene.sample_lens(rng, 320, 320, PHOTO).focal_px for _ in range(2000)]) / 320
    assert 0.5 <= focal.min() < 0.6
    assert 3.0 < focal.max() <= 4.0


def test_all_directions_are_seen():
    rng = np.random.default_rng(0)
    cast = sample_cast(rng, 300, held_out=False, style=SceneStyle(max_yaw_deg=180.0))
    style, view = SceneStyle(max_yaw_deg=180.0), View(0.0, 0.0)
    shots = [portrait(rng, None, (0,), cast, i, LENS, view, style) for i in range(300)]
    facing = np.array([cv2.Rodrigues(s.people[0].pose[:3])[0][:, 2] for s in shots])
    turn = np.degrees(np.arctan2(facing[:, 0], facing[:, 2]))
    assert (np.histogram(turn, 8, (-180, 180))[0] > 15).all()


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.0), (0.4, 0.3, 0.5)])
def test_truncation_cuts_its_share_of_people(share, low, high):
    rng = np.random.default_rng(0)
    style = SceneStyle(framing="cut", truncation_odds=share)
    places = np.array([framing.place_person(rng, LENS, style) for _ in range(600)])
    size, (x, y) = 400 * 1.7 / places[:, 2], LENS.project(places).T
    cut = (y - 0.52 * size < -8) | (y + 0.5 * size > 328) | (x - 0.1 * size < 0)
    assert low <= (cut | (x + 0.1 * size > 320)).mean() <= high


def test_bystanders_come_at_their_odds():
    rng = np.random.default_rng(0)
    style = SceneStyle(bystander_odds=0.5)
    cast = sample_cast(rng, 200, held_out=False, style=style)
    shots = [portrait(rng, None, (0,), cast, i, LENS, View(5, 0), style) for i in range(200)]
    assert 0.35 < np.mean([len(shot.people) > 1 for shot in shots]) < 0.6
    assert {shot.num_annotated for shot in shots} == {1}
    assert {len(shot.people) for shot in shots} == {1, 2, 3, 4}


@pytest.fixture(scope="module")
def studio(standin):
    return measure_template(standin), SMPL(standin)


def take(studio, folder, style, count=6):
    """Ground truths and pictures (grey) of one person each."""
    template, smpl = studio
    rng = np.random.default_rng(0)
    cast = sample_cast(rng, count, held_out=False, style=style)
    shots = [
        portrait(rng, folder / f"{i}.jpg", (0, i), cast, i, LENS, View(5.0, 0.0), style)
        for i in range(count)
    ]
    bodies = pose_bodies(smpl, shots)
    truths = [render_picture(template, s, b) for s, b in zip(shots, bodies, strict=True)]
    return truths, [(folder / f"{i}.jpg").read_bytes() for i in range(count)]


@pytest.mark.parametrize(
    "choice",
    [{"clothes": "loose"}, {"light": "varied"}, {"sensor": "rough"}, {"backgrounds": "rich"}],
)
def test_looks_change_pictures_but_no_joints(studio, tmp_path, choice):
    plain, plain_pictures = take(studio, tmp_path, SceneStyle())
    other, other_pictures = take(studio, tmp_path, SceneStyle(**choice))
    for mine, yours in zip(plain, other, strict=True):
        np.testing.assert_array_equal(mine.joints_m, yours.joints_m)
    assert all(a != b for a, b in zip(plain_pictures, other_pictures, strict=True))


def test_people_in_loose_clothes_are_drawn_where_their_joints_are(studio, tmp_path):
    style = SceneStyle(clothes="loose", occluder_odds=0.0, truncation_odds=0.0)
    slim, _ = take(studio, tmp_path, SceneStyle(occluder_odds=0.0, truncation_odds=0.0))
    truths, _ = take(studio, tmp_path, style)
    for truth, bare in zip(truths, slim, strict=True):
        np.testing.assert_array_equal(truth.visible, bare.visible)
        mask = np.zeros((320, 320), np.uint8)
        outline = [np.array(p).reshape(-1, 2).astype(int) for p in truth.silhouettes[0].polygons]
        cv2.fillPoly(mask, outline, 1)
        x, y = np.rint(truth.joints_px[0]).astype(int).T
        assert cv2.dilate(mask, np.ones((7, 7)))[y, x].all()
    assert sum(t.silhouettes[0].area for t in truths) > sum(t.silhouettes[0].area for t in slim)


def test_photographs_become_backgrounds(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 70, 3), (10, 120, 30), np.uint8))
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    found = photos.find_photos(tmp_path)
    assert found == (str(tmp_path / "a.png"),)
    assert "b.jpg" in capsys.readouterr().out
    part = photos.crop_photo(np.random.default_rng(0), found, 90, 60)
    assert part.shape == (90, 60, 3)
    assert part.dtype == np.uint8
    red, green, blue = part.reshape(-1, 3).mean(axis=0)
    assert green > red
    assert green > blue


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_folder_without_photographs_is_refused(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="--backgrounds_dir"):
        photos.find_photos(tmp_path / name)
