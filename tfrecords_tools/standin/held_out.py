"""A folder of held-out people, cut out as photographs are: to try prediction on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from src.imaging.crop import box_from_keypoints
from tfrecords_tools.standin.picture import Take
from tfrecords_tools.standin.plan import gather, portrait, sample_view
from tfrecords_tools.standin.scene import SceneStyle, sample_lens
from tfrecords_tools.standin.studio import Studio

DATASET_SEED = 7
FRAME_PX = 400
JPEG_QUALITY = 95


def write_held_out(folder: Path, count: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    """Writes `count` pictures, each the square around a person that the network looks at."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng([seed, DATASET_SEED])
    company = gather(rng, count, held_out=True)
    shots = []
    for index in range(count):
        lens, view = sample_lens(rng, FRAME_PX, FRAME_PX), sample_view(rng, style)
        path, shot_seed = folder / f"{index + 1:03d}.jpg", (seed, DATASET_SEED, index)
        shots.append(portrait(rng, path, shot_seed, company, index, lens, view, style))
    for shot, take in zip(shots, studio.take(shots, "held out"), strict=True):
        _cut_out(shot.path, take)


def _cut_out(path: Path, take: Take) -> None:
    """Keeps the part of a picture that lies in the crop around its person."""
    picture = cv2.imread(str(path))
    assert picture is not None, path
    height, width = picture.shape[:2]
    box = box_from_keypoints(take.joints_px[0], np.ones(len(take.joints_px[0])))
    low, high = box.center_px - box.side_px() / 2, box.center_px + box.side_px() / 2
    left, top = np.clip(np.round(low).astype(int), 0, (width, height))
    right, bottom = np.clip(np.round(high).astype(int), 0, (width, height))
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    cv2.imwrite(str(path), picture[top:bottom, left:right], quality)
