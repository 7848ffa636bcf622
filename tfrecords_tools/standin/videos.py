"""Stand-in videos with their true motion: two to six people who walk, stop, cross, leave, return.

`video_00.mp4` and beside it `video_00.npz`: P people, T frames, camera's axes (y down), metres:

rate, focal_px, principal_point_px (2,), image_size_px (height, width)
up (3,)                  away from the floor, and height_m of the camera above it
pose (P, T, 72), beta (P, 10), translation_m (P, T, 3)   SMPL; the body's origin
joints3d_lsp_m (P, T, 14, 3), smpl_joints_m (P, T, 24, 3)
keypoints2d_px (P, T, 19, 3)   cocoplus: x, y, and 1 where it can be seen
contact (P, T, 2)        whether the left and the right foot stands
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from hmr.body.joints import COCOPLUS, LSP14, SMPL_JOINTS
from hmr.files.images import read_image
from hmr.files.video import VideoWriter
from tfrecords_tools.standin.characters import Character, sample_character
from tfrecords_tools.standin.picture import GroundTruth
from tfrecords_tools.standin.scene import Lens, SceneStyle, View, face_camera
from tfrecords_tools.standin.shots import PosedCharacter, Shot
from tfrecords_tools.standin.studio import Studio
from tfrecords_tools.standin.walks import Walk, sample_walk

DATASET_SEED = 9
FEWEST, MOST = 2, 6
RATE, SECONDS = 25.0, 8.0
WIDTH, HEIGHT = 640, 360
CAMERA_M, AIM_M, FOCAL_PER_WIDTH = (1.4, 2.8), 0.9, (0.75, 0.95)
AIM_DISTANCE_M = 6.5


def write_videos(root: Path, count: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    """Writes `count` videos of 8 s; the number of people goes round from 2 to 6."""
    root.mkdir(parents=True)
    for number in range(count):
        _write_video(root / f"video_{number:02d}", number, style, seed, studio)


def _write_video(base: Path, number: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    rng = np.random.default_rng([seed, DATASET_SEED, number])
    style = replace(style, occluder_odds=0.0)  # they are drawn in another place in each frame
    focal_px = WIDTH * rng.uniform(*FOCAL_PER_WIDTH)
    lens = Lens(float(focal_px), ((WIDTH - 1) / 2, (HEIGHT - 1) / 2), WIDTH, HEIGHT)
    height_m = rng.uniform(*CAMERA_M)
    view = View(float(np.degrees(np.arctan2(height_m - AIM_M, AIM_DISTANCE_M))), 0.0)
    people = FEWEST + number % (MOST - FEWEST + 1)
    cast = [sample_character(rng) for _ in range(people)]
    lanes = rng.permutation(np.arange(people) / (people - 1))
    frames, edge = round(SECONDS * RATE), WIDTH / 2 / focal_px
    walks = [
        sample_walk(rng, studio.smpl, character.beta, frames, RATE, float(lane), edge)
        for character, lane in zip(cast, lanes, strict=True)
    ]
    pictures = base.with_name(f"{base.name}_frames")
    pictures.mkdir()
    shots = [
        Shot(
            pictures / f"{frame:06d}.jpg",
            (seed, DATASET_SEED, number),  # the same clothes, light and background in each frame
            lens,
            tuple(_posed(*pair, frame, view, height_m) for pair in zip(cast, walks, strict=True)),
            style,
            num_annotated=people,
        )
        for frame in range(frames)
    ]
    truths = list(studio.render(shots, base.name))
    film = VideoWriter(base.with_suffix(".mp4"), RATE)
    for shot in shots:
        film.add(read_image(shot.path))
    film.close()
    shutil.rmtree(pictures)
    labels = _labels(shots, truths, studio) | {
        "up": view.rotation().apply([0.0, 1.0, 0.0]),
        "height_m": np.array(height_m),
        "contact": np.array([walk.contact for walk in walks]),
    }
    with open(base.with_suffix(".npz"), "wb") as file:
        np.savez_compressed(file, **labels)


def _posed(
    character: Character, walk: Walk, frame: int, view: View, height_m: float
) -> PosedCharacter:
    pose = face_camera(walk.pose[frame], walk.heading_deg[frame], view)
    place = view.rotation().apply(walk.pelvis_m[frame] - (0.0, height_m, 0.0))
    return PosedCharacter(character, pose, place)


def _labels(shots: list[Shot], truths: list[GroundTruth], studio: Studio) -> dict[str, np.ndarray]:
    lens, cast = shots[0].lens, [person.character for person in shots[0].people]
    joints_m = np.stack([truth.joints_m for truth in truths], axis=1)  # (P, T, 43, 3)
    joints_px = np.stack([truth.joints_px for truth in truths], axis=1)
    visible = np.stack([truth.visible for truth in truths], axis=1)[..., None]
    pelvis_m = np.stack([[p.pelvis_m for p in shot.people] for shot in shots], axis=1)
    rest_m = np.array([studio.rest_pelvis_m(character.beta) for character in cast])  # (P, 3)
    keypoints = np.concatenate([joints_px, visible], axis=-1)[:, :, : len(COCOPLUS)]
    return {
        "rate": np.array(RATE),
        "focal_px": np.array(lens.focal_px),
        "principal_point_px": np.array(lens.center_px),
        "image_size_px": np.array([lens.height, lens.width]),
        "pose": np.stack([[p.pose for p in shot.people] for shot in shots], 1).astype(np.float32),
        "beta": np.array([character.beta for character in cast]),
        "translation_m": pelvis_m - rest_m[:, None],
        "joints3d_lsp_m": joints_m[:, :, : len(LSP14)].astype(np.float32),
        "smpl_joints_m": joints_m[:, :, -len(SMPL_JOINTS) :].astype(np.float32),
        "keypoints2d_px": keypoints.astype(np.float32),
    }
