"""Scores a model, or any method's predictions, by a named protocol."""

from __future__ import annotations

import argparse
from pathlib import Path

from hmr.cli import check_folder, check_keras_settings, whole_number
from hmr.data.shards import find_shards
from hmr.errors import UserError, VerbParser, printable
from hmr.evaluation.protocols import (
    PROTOCOLS,
    VIDEOS,
    VIDEOS_TITLE,
    Evaluation,
    find_protocol,
)
from hmr.files.safe_npz import load_npz
from hmr.network.description import check_body, check_model

EPILOG = """\
examples:
  python -m src.evaluate --protocol stand_in --checkpoint runs/demo --data data/standin
  python -m src.evaluate --protocol h36m_p1 --checkpoint runs/hmr
  python -m src.evaluate --protocol lsp_segmentation --checkpoint runs/hmr \\
      --segmentation /data/upi-s1h
  python -m src.evaluate --protocol 3dpw --checkpoint runs/hmr \\
      --male models/smpl_male.npz --female models/smpl_female.npz
  python -m src.evaluate --protocol mpi_inf_3dhp_val --predictions theirs.npz
  python -m src.evaluate --protocol keypoints2d --dataset mine --split test --checkpoint runs/mine
  python -m src.evaluate --protocol joints3d --dataset mine --split test --checkpoint runs/mine

what is written: metrics.json (numbers and every choice), sequences.csv, samples.csv (a row for each
sequence, each sample), index.html (all of it, with the best and worst cases drawn), best.jpg and
worst.jpg.

predictions: an .npz with one row for each record, in the records' order (samples.csv of an earlier
evaluation lists it), float32 or float64. A protocol scores what its measures find:
  joints3d     (N, 14 or 19, 3)  LSP's 14 or cocoplus' 19 joints, metres, camera's axes (x right,
                                 y down, z away): MPJPE, PA-MPJPE, PCK, AUC
  keypoints2d  (N, 19, 2)        cocoplus, -1 to 1 over the crop, y down: 2D errors
  vertices     (N, 6890, 3)      SMPL's vertices, metres, camera's axes: PVE, segmentation
  pose, beta   (N, 72), (N, 10)  in the place of vertices, with --body: axis-angles in radians, root
                                 first and in the camera's frame
  camera       (N, 3)            s, tx, ty of the crop: x = s (X + tx): segmentation, drawn bodies
  filename     (N,)              checked against the records' names, if given
"""


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    parser.add_argument("--protocol", default="stand_in", help="name; --list shows all (stand_in)")
    parser.add_argument("--list", action="store_true", help="list the protocols and stop")
    parser.add_argument("--dataset", metavar="NAME", help="other records than the protocol's")
    parser.add_argument("--split", help="other split than the protocol's")
    parser.add_argument("--data", default="data/tfrecords", help="records (data/tfrecords)")
    parser.add_argument("--checkpoint", help="model folder or training folder, such as runs/demo")
    parser.add_argument("--predictions", metavar="FILE.npz", help="another method's predictions")
    parser.add_argument("--body", help="another body file than the model's, or the predictions'")
    parser.add_argument("--output", help="folder for the files (runs/evaluation/PROTOCOL)")
    parser.add_argument("--batch_size", type=whole_number, default=64, help="images at a time (64)")
    text = "move bodies onto the true keypoints; scores both"
    parser.add_argument("--fit", action="store_true", help=text)
    parser.add_argument("--limit", type=whole_number, help="score the first records only")
    files = parser.add_argument_group("files of single protocols")
    files.add_argument(
        "--segmentation", metavar="DIR", help="UPi-S1h's folder, holds data/lsp (lsp_segmentation)"
    )
    files.add_argument(
        "--parts",
        metavar="FILE",
        help="part of every vertex: .npy of 6890 labels 1 to 6 (head, torso, right arm, left arm, "
        "right leg, left leg) or UP's template-bodyparts.ply; else the skinning weights decide",
    )
    files.add_argument("--male", metavar="BODY", help="SMPL's male body file (3dpw)")
    files.add_argument("--female", metavar="BODY", help="SMPL's female body file (3dpw)")
    files.add_argument(
        "--joint_regressor",
        metavar="FILE.npy",
        help="J_regressor_h36m.npy, (17, 6890) (3dpw_h36m_joints)",
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = vars(_parser().parse_args(arguments))
    check_keras_settings()
    if options.pop("list"):
        titles = {row.name: row.title for row in PROTOCOLS.values()} | {VIDEOS: VIDEOS_TITLE}
        print("\n".join(f"{name:<18} {title}" for name, title in titles.items()))
        return 0
    output = options.pop("output")
    if options["protocol"] == VIDEOS:
        return _evaluate_videos(options, Path(output or Path("runs/evaluation") / VIDEOS))
    find_protocol(options["protocol"])
    evaluation = Evaluation(**options)
    folder = Path(output) if output else _default_folder(evaluation)
    check_folder(folder)
    _check_what_is_cheap(evaluation)

    from hmr.evaluation.run import evaluate

    result = evaluate(evaluation)
    print(result.table())
    print("\nwrote " + "\n      ".join(printable(str(file)) for file in result.save(folder)))
    return 0


def _default_folder(evaluation: Evaluation) -> Path:
    """Where the files of an evaluation go: one folder for each protocol, dataset and split."""
    other = [evaluation.protocol, evaluation.dataset, evaluation.split]
    return Path("runs/evaluation") / "_".join(filter(None, other))


def _evaluate_videos(options: dict, folder: Path) -> int:
    if not options["checkpoint"]:
        raise UserError(f"{VIDEOS} runs a model: give --checkpoint")
    check_model(options["checkpoint"], options["body"])
    check_folder(folder)

    from hmr.studies.videos import evaluate_videos

    names = ("data", "checkpoint", "body", "batch_size", "limit")
    scores = evaluate_videos(output=folder, **{name: options[name] for name in names})
    print(scores.table())
    print(f"\nwrote {folder / 'metrics.json'}")
    return 0


def _check_what_is_cheap(evaluation: Evaluation) -> None:
    """Protocol, model, files and records, before TensorFlow is imported."""
    protocol = evaluation.chosen()
    if evaluation.checkpoint:
        check_model(evaluation.checkpoint, evaluation.body)
    for name in ("predictions", "segmentation", "parts", "joint_regressor"):
        path = getattr(evaluation, name)
        if path and not Path(path).exists():
            raise UserError(f"--{name} {path}: no such file or folder")
    folder = evaluation.segmentation
    if folder and not Path(folder).is_dir():
        raise UserError(f"--segmentation {folder}: it is a file, expected UPi-S1h's folder")
    if evaluation.predictions:
        load_npz(evaluation.predictions, only=())
    for body in filter(None, (evaluation.body, evaluation.male, evaluation.female)):
        check_body(body)
    find_shards(evaluation.data, protocol.dataset, protocol.split)
