"""Scores people in motion on stand-in videos, before and after `hmr.motion`: `stand_in_video`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hmr.body.joints import COCO17, COCO17_FLIP, COCOPLUS, take_joints
from hmr.errors import UserError
from hmr.evaluation.metrics import pa_mpjpe
from hmr.evaluation.protocols import VIDEOS
from hmr.evaluation.video_metrics import acceleration_errors, idf1, pairs_above, slides
from hmr.files.safe_npz import load_npz
from hmr.files.video import Video
from hmr.files.whole import write_text
from hmr.geometry.oks import AREA_OF_DIAGONAL, oks
from hmr.motion.feet import feet_of
from hmr.prediction.people import FIND_EVERY, FoundPeople
from hmr.prediction.result import Result
from hmr.prediction.writers.numbers import load_result

EITHER_SIDE = "IDF1 either side"
CHOICES = {
    "people": f"found in every {FIND_EVERY}th frame, ids by keypoints, boxes and clothes",
    "there": "a true person of whom 12 of 19 keypoints can be seen; others count for nothing",
    "match": "OKS of at least 0.3, one to one",
    "IDF1": "whoever comes back is the same person, however long they were away",
    EITHER_SIDE: "the same, with OKS that does not ask which side is the left one",
    "joints": "SMPL's 24, the pelvis as root; PA aligns each frame",
    "acceleration": "second difference about the pelvis, mm a frame squared",
    "sliding": "mm a frame of feet that truly stand, in space, depth included",
}
MEASURES = ("MPJPE mm", "PA-MPJPE mm", "acceleration error", "sliding")
_LEAST_OKS, _LEAST_VISIBLE = 0.3, 12


@dataclass
class VideoScores:
    """Sums over videos.

    Attributes:
        before, after: measure -> the values of every frame, without and with smoothing.
        ids: twice the right frames, all frames; see `idf1`.
        ids_either_side: the same where people may have left and right exchanged.
        up_deg: of each video, how far off the found up direction is.
    """

    before: dict[str, list] = field(default_factory=lambda: {name: [] for name in MEASURES})
    after: dict[str, list] = field(default_factory=lambda: {name: [] for name in MEASURES})
    ids: list[tuple[int, int]] = field(default_factory=list)
    ids_either_side: list[tuple[int, int]] = field(default_factory=list)
    up_deg: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, dict[str, float] | float]:
        """The means, as metrics.json has them."""
        shares = {
            name: float(np.divide(*np.sum(ids, axis=0)))
            for name, ids in (("IDF1", self.ids), (EITHER_SIDE, self.ids_either_side))
        }
        means: dict = {
            name: {
                "before": float(np.concatenate(self.before[name]).mean()),
                "after": float(np.concatenate(self.after[name]).mean()),
            }
            for name in MEASURES
        }
        each = [round(own / total, 4) for own, total in self.ids]
        return {**means, **shares, "IDF1 of each video": each,
                "up direction off, degrees": float(np.mean(self.up_deg))}  # fmt: skip

    def table(self) -> str:
        """For the terminal."""
        lines = [f"{name:<18}{text}" for name, text in CHOICES.items()]
        lines += ["", f"{'':<20}{'before':>10}{'after':>10}{'ratio':>8}"]
        summary = self.summary()
        for name in MEASURES:
            pair = summary[name]
            assert isinstance(pair, dict)
            before, after = pair["before"], pair["after"]
            lines.append(f"{name:<20}{before:>10.2f}{after:>10.2f}{after / before:>8.2f}")
        for name in ("IDF1", EITHER_SIDE):
            lines.append(f"{name:<20}{'':>10}{summary[name]:>10.3f}")
        lines.append(
            f"{'up, degrees off':<20}{'':>10}{summary['up direction off, degrees']:>10.1f}"
        )
        return "\n".join(lines)


def find_videos(data: str | Path) -> list[Path]:
    """The stand-in videos in a folder, or in its folder `videos`.

    Raises:
        UserError: there are none.
    """
    for folder in (Path(data) / "videos", Path(data)):
        found = sorted(path for path in folder.glob("*.mp4") if path.with_suffix(".npz").is_file())
        if found:
            return found
    raise UserError(
        f"{VIDEOS}: no videos with their truth (video_00.mp4, video_00.npz) in {data}. Make "
        "them: python -m tfrecords_tools.standin --videos 5 --output DIR, and give --data DIR"
    )


def evaluate_videos(
    data: str, checkpoint: str, body: str | None, output: Path, batch_size: int, limit: int | None
) -> VideoScores:
    """Runs prediction over the videos, as a user would, and scores what it writes.

    Args:
        data: folder with the videos.
        checkpoint: model folder.
        body: another body file than the model's.
        output: folder for metrics.json and the predictions, which an interrupted run goes on from.
        batch_size: people at a time.
        limit: the first frames of each video only.

    Raises:
        UserError: videos or model are missing or do not fit.
    """
    from hmr.finding.finder import Finder
    from hmr.prediction.predictor import Predictor
    from hmr.prediction.run import PictureRun, RunOptions

    videos = find_videos(data)
    predictor = Predictor.load(checkpoint, body, batch_size)
    people, scores = FoundPeople(Finder()), VideoScores()
    settings = f"{checkpoint}|{body}|{VIDEOS}"
    folder = output / "predictions"
    options = RunOptions(folder, ("motion",), settings=settings, find_every=FIND_EVERY)
    for path in videos:
        PictureRun(predictor, people, options).run(Video(path, limit))
        truth = dict(load_npz(path.with_suffix(".npz")))
        score_video(truth, folder / path.stem, load_npz(f"{folder / path.stem}_motion.npz"), scores)
    write_text(output / "metrics.json", json.dumps(scores.summary(), indent=1) + "\n")
    return scores


def score_video(truth: dict, frames: Path, table: dict, scores: VideoScores) -> None:
    """Adds one video.

    Args:
        truth: as `tfrecords_tools.standin.videos` writes it.
        frames: folder of the npz of each frame.
        table: `<video>_motion.npz`.
        scores: to add to.
    """
    labels = [str(label) for label in table["label"]]
    loaded = [load_result(path) for path in sorted(frames.glob("*.npz"))]
    results = [result for result in loaded if result is not None]
    assert len(results) == len(loaded)
    there = (truth["keypoints2d_px"][..., 2] > 0).sum(axis=-1) >= _LEAST_VISIBLE  # (P, T)
    count = min(len(results), there.shape[1])
    before = np.full((len(there), count, 24, 3), np.nan)
    after = before.copy()
    identity = np.full((len(there), count), -1)
    for either_side, ids in ((True, scores.ids_either_side), (False, scores.ids)):
        met = [
            {body: person for person, body in _matches(points, result, either_side)}
            for points, result in zip(truth["keypoints2d_px"].swapaxes(0, 1), results, strict=False)
        ]
        ids.append(_count_ids(met, results, labels, there[:, :count]))
    for frame, result in enumerate(results[:count]):
        for index, row in met[frame].items():
            person = result.bodies[index]
            label = labels.index(person.label)
            identity[row, frame] = label
            before[row, frame] = person.smpl_joints_m + person.translation_room_m
            after[row, frame] = table["smpl_joints_m"][label, frame]
    scores.up_deg.append(float(np.degrees(np.arccos(np.clip(truth["up"] @ table["up"], -1, 1)))))
    for row in range(len(there)):
        for label in sorted(set(identity[row].tolist()) - {-1}):
            counted = (identity[row] == label) & there[row, :count]
            true = truth["smpl_joints_m"][row, :count].astype(np.float64)
            contact = truth["contact"][row, :count] & counted[:, None]
            for joints, sums in ((before[row], scores.before), (after[row], scores.after)):
                _add(sums, joints, true, counted, contact)


def _count_ids(
    met: list[dict[int, int]], results: list[Result], labels: list[str], there: np.ndarray
) -> tuple[int, int]:
    """`idf1` of T frames: `met` says which of the P people, who are `there` (P, T), a body is."""
    overlaps, found = np.zeros((len(there), len(labels))), np.zeros(len(labels))
    for people, result, seen in zip(met, results, there.T, strict=False):
        for index, person in enumerate(result.bodies):
            row, label = people.get(index), labels.index(person.label)
            found[label] += row is None or seen[row]
            if row is not None:
                overlaps[row, label] += seen[row]
    return idf1(overlaps, there.sum(axis=1), found)


def _add(
    sums: dict[str, list],
    joints: np.ndarray,
    true: np.ndarray,
    counted: np.ndarray,
    contact: np.ndarray,
) -> None:
    if not counted.any():
        return
    about, about_true = joints - joints[:, :1], true - true[:, :1]
    errors = np.linalg.norm(about - about_true, axis=-1).mean(axis=1)
    sums["MPJPE mm"].append(1000 * errors[counted])
    sums["PA-MPJPE mm"].append(1000 * pa_mpjpe(joints[counted], true[counted]))
    sums["acceleration error"].append(acceleration_errors(about, about_true, counted))
    sums["sliding"].append(slides(feet_of(joints), contact))


def _matches(keypoints_px: np.ndarray, result: Result, either_side: bool) -> list[tuple[int, int]]:
    """Pairs of a true person and a body; (P, 19, 3) true keypoints, seen or not.

    `either_side`: a body with left and right exchanged is at the same place, too.
    """
    if not result.bodies:
        return []
    true = take_joints(keypoints_px[..., :2], COCOPLUS, COCO17)[:, None]  # (P, 1, 17, 2)
    given = np.array([person.source_keypoints_px for person in result.bodies])
    points = take_joints(given, COCOPLUS, COCO17)[None]  # (1, N, 17, 3)
    area = AREA_OF_DIAGONAL * (np.ptp(true, axis=2) ** 2).sum(axis=-1)  # (P, 1)
    sides = [points, points[:, :, COCO17_FLIP]] if either_side else [points]
    alike = np.max([oks(each[..., :2], true, area, each[..., 2] > 0) for each in sides], axis=0)
    return pairs_above(alike, _LEAST_OKS)
