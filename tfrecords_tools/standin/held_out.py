"""Pictures of held-out people, and where they are: to try prediction on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tfrecords_tools.standin.coco import coco_document
from tfrecords_tools.standin.plan import gather, portrait, sample_view
from tfrecords_tools.standin.scene import SceneStyle, sample_lens
from tfrecords_tools.standin.studio import Studio

DATASET_SEED = 7
FRAME_PX = 400


def write_held_out(folder: Path, count: int, style: SceneStyle, seed: int, studio: Studio) -> None:
    """Writes `count` pictures of one person each to `images/`, and COCO's `keypoints.json`."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng([seed, DATASET_SEED])
    company = gather(rng, count, held_out=True)
    shots = []
    for index in range(count):
        lens, view = sample_lens(rng, FRAME_PX, FRAME_PX), sample_view(rng, style)
        path, shot_seed = folder / "images" / f"{index + 1:03d}.jpg", (seed, DATASET_SEED, index)
        shots.append(portrait(rng, path, shot_seed, company, index, lens, view, style))
    takes = list(studio.take(shots, "held out"))
    labels = np.random.default_rng([seed, DATASET_SEED, count])
    (folder / "keypoints.json").write_text(json.dumps(coco_document(labels, shots, takes)))
