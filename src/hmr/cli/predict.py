"""Estimates the bodies in pictures, videos or raw crops, and writes them as files."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path

from hmr.cli import check_folder, check_keras_settings
from hmr.errors import UserError, VerbParser, printable
from hmr.files.images import MAX_PREDICTED_PIXELS
from hmr.files.shipped import find_shipped
from hmr.network.description import check_model
from hmr.prediction import DEFAULT_BATCH, DEFAULT_MODEL, SMOOTHING
from hmr.prediction.people import (
    FIND_EVERY,
    FINDERS,
    MIN_SCORE,
    MOST_FRAMES_BETWEEN,
    SELECTIONS,
)

EPILOG = """\
examples:
  python -m src.predict --input photo.jpg
  python -m src.predict --input portrait.jpg --find none
  python -m src.predict --input photos/*.jpg --boxes boxes.csv --save overlay,obj,glb
  python -m src.predict --input walk.mp4 --keypoints openpose/ --person best --save overlay,bvh
  python -m src.predict --checkpoint runs/hmr --crops crops.npy --output outputs.npz

people: everyone is found (MoveNet MultiPose: box, 17 keypoints and score; its weights are here, no
network is asked), unless one of these says where they are.
  --find none  each picture is one person who fills it
  --boxes      x,y,w,h (several joined by ;), a csv with the header image,x,y,width,height[,id]
               [,score] (frame instead of image for videos), or json: COCO, AlphaPose, MMPose
  --keypoints  json of COCO, PoseTrack, AlphaPose, MMPose or OpenPose, or a folder of
               <image>_keypoints.json, or of YOLO pose's <image>.txt
A file's pictures are found by the end of their path or their number; what does not fit is said.
With --fit each body is then moved onto its person's keypoints by the paper's own losses.
In a video people are looked for in every N-th frame and the last (--find_every; 1 for cuts).
The diagonal of the box around a person's keypoints (or of the box) becomes 150 px in a square of
224 px: that is what the network looks at.

results, in --output (npz is always written; a run that was interrupted goes on from there):
  npz      every quantity, one row a person; the json of --save json describes shapes and units
  json     the same without the vertices, with body measurements (height, girths, limb lengths)
  overlay  the bodies over the picture (mp4 for videos)       side  from the side
  crop     a row per person: crop, keypoints, body, three more sides
  page     one html file: the photograph, and the mesh to turn; opens without a network
  obj glb  a mesh a person, y up, metres; glb is skinned, posed and placed
  scene    one glb of everyone, placed, with the picture's camera     backdrop  and its picture
  bvh      the smooth motion of each person of a video, with root motion, y up, metres
  motion   bvh, an animated skinned glb and an AMASS npz a person; a table and a player of the video

exit code: 0; 1 if a picture failed or a person was left out; 2 if no picture could be done.
"""


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    add = parser.add_argument
    add("--checkpoint", help=f"model or training folder ({DEFAULT_MODEL})")
    add("--body", help="another body file than the model's")
    add("pictures", nargs="*", metavar="PICTURE", help="the same as --input PICTURE ...")
    text = "pictures, folder, pattern, video, or a camera's number"
    add("--input", nargs="+", default=[], help=text)
    add("--crops", type=Path, metavar="FILE.npy", help="network inputs (N,S,S,3) float32, -1 to 1")
    add("--boxes", help="x,y,w,h, csv or json")
    add("--keypoints", help="json, or a folder of them")
    add("--person", default="all", choices=SELECTIONS, help="which of them (all)")
    text = f"who is in the pictures, without --boxes and --keypoints ({FINDERS[0]})"
    add("--find", choices=FINDERS, help=text)
    text = f"look for people in every N-th frame of a video, interpolate between ({FIND_EVERY})"
    add("--find_every", type=int, metavar="N", help=text)
    text = f"ignore keypoints and people below ({MIN_SCORE})"
    add("--min_score", type=float, default=MIN_SCORE, help=text)
    add("--save", default="npz,overlay", help="comma-separated kinds (npz,overlay)")
    add("--output", type=Path, help="folder (runs/predictions); with --crops the npz file")
    text = f"people per pass through the network ({DEFAULT_BATCH})"
    add("--batch_size", type=int, default=DEFAULT_BATCH, help=text)
    text = f"strength of the smoothing of a video's motion, 0 (none) to 1 ({SMOOTHING})"
    add("--smooth", type=float, metavar="S", default=SMOOTHING, help=text)
    add("--focal_px", type=float, help="focal length of the lens in pixels, if known")
    text = "move each body onto its keypoints, found or given, by the paper's losses"
    add("--fit", action="store_true", help=text)
    add("--max_frames", type=int, help="stop a video or camera after so many frames")
    text = f"larger pictures, which take much memory, are refused ({MAX_PREDICTED_PIXELS})"
    add("--max_pixels", type=int, metavar="N", default=MAX_PREDICTED_PIXELS, help=text)
    add("--overwrite", action="store_true", help="make finished results again")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    given = sys.argv[1:] if arguments is None else arguments
    # Pictures may stand before, behind and between the flags.
    options = _parser().parse_intermixed_args(_with_boxes_joined(given))
    options.input = [*options.pictures, *options.input]
    check_keras_settings()
    if not 0 <= options.min_score < 1:
        raise UserError(f"--min_score must be from 0 to below 1, got {options.min_score}")
    for name in ("batch_size", "max_frames", "max_pixels"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} must be at least 1, got {value}")
    if not 0 <= options.smooth <= 1:
        raise UserError(f"--smooth must be from 0 to 1, got {options.smooth}")
    if options.focal_px is not None and not 0 < options.focal_px < math.inf:
        raise UserError(
            f"the focal length (--focal_px) must be positive pixels, got {options.focal_px}"
        )
    if bool(options.input) == bool(options.crops):
        raise UserError("give either pictures or --crops; see hmr predict --help")
    if options.fit and (options.crops or options.boxes or options.find == "none"):
        raise UserError(
            "--fit needs keypoints, found or given by --keypoints; there are none with --crops, "
            "--boxes or --find none"
        )
    if options.find_every is not None and (options.boxes or options.keypoints):
        raise UserError("--boxes and --keypoints say where people are: --find_every has no part")
    if options.find_every is not None and not 1 <= options.find_every <= MOST_FRAMES_BETWEEN:
        raise UserError(
            f"--find_every must be from 1 to {MOST_FRAMES_BETWEEN}, got {options.find_every}"
        )
    return _predict_crops(options) if options.crops else _predict_pictures(options)


def _with_boxes_joined(arguments: list[str]) -> list[str]:
    """`--boxes -5,0,90,200` as one word: argparse would take a leading minus for a flag."""
    joined: list[str] = []
    for word in arguments:
        if joined and joined[-1] == "--boxes" and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _predict_crops(options: argparse.Namespace) -> int:
    from hmr.prediction.inputs import open_crops

    if options.output is None or options.output.suffix != ".npz":
        raise UserError("--crops needs --output FILE.npz")
    check_folder(options.output.parent)
    check_model(options.checkpoint or DEFAULT_MODEL, options.body)
    crops = open_crops(options.crops)

    # Keras takes seconds to import: what is cheap to check comes first.
    from hmr.prediction.predictor import Predictor
    from hmr.prediction.run import predict_crops_file
    from hmr.progress import progress_bar

    predictor = Predictor.load(
        options.checkpoint or DEFAULT_MODEL, options.body, options.batch_size, traced=True
    )
    outputs = predict_crops_file(
        predictor, crops, options.output, lambda starts: progress_bar(starts, unit="batch")
    )
    print("\n".join(f"{key:<12} {value.shape}" for key, value in outputs.items()))
    print(printable(f"wrote {options.output}"))
    return 0


def _predict_pictures(options: argparse.Namespace) -> int:
    from hmr.prediction.inputs import ImageFiles, open_inputs
    from hmr.prediction.people_files import open_people
    from hmr.prediction.picture_names import match_people
    from hmr.prediction.writers.save import check_names, needs_faces

    kinds = _kinds(options.save)
    output = options.output or Path("runs/predictions")
    check_folder(output)
    check_model(options.checkpoint or DEFAULT_MODEL, options.body, needs_faces(kinds))
    source = open_inputs(options.input, options.max_frames)
    check_names(kinds, of_video=not isinstance(source, ImageFiles))
    if isinstance(source, ImageFiles):
        source.max_pixels = options.max_pixels
    _check_one_file_one_picture(options, source)
    people = open_people(options.boxes, options.keypoints, options.min_score, options.find)
    notes = [*source.notes, *match_people(people, source.names)]
    if isinstance(source, ImageFiles) and len(source) == 1:
        # A single picture that cannot be read, and people who lie beside it, are said at once.
        picture = next(iter(source))
        image = picture.load()
        given = people.find(picture.name, image) if options.boxes or options.keypoints else None
        if given and given.problems and not given.people:
            raise UserError(f"{picture.name}: {'; '.join(given.problems)}")

    # Keras takes seconds to import: what is cheap to check comes first.
    from tqdm import tqdm

    from hmr.prediction.predictor import Predictor
    from hmr.prediction.run import PictureRun, RunOptions
    from hmr.progress import progress_bar

    folder = find_shipped(options.checkpoint or DEFAULT_MODEL)
    predictor = Predictor.load(
        folder, options.body, options.batch_size, options.focal_px, options.fit, traced=True
    )
    settings = _settings(options, folder)
    find_every, smooth = _find_every(options), options.smooth
    asked = RunOptions(
        output, kinds, options.person, settings, options.overwrite, find_every, smooth
    )
    run = PictureRun(
        predictor, people, asked, lambda line: tqdm.write(printable(line), file=sys.stderr)
    )
    for note in notes:
        run.note(note)
    with progress_bar(total=len(source) or None, unit="picture") as bar:
        summary = run.run(source, bar.update)
    print(_timing(predictor.watch.seconds, summary.pictures))
    print(f"{summary.line()}\nresults in {printable(str(output))}")
    return summary.exit_code


def _kinds(text: str) -> tuple[str, ...]:
    from hmr.prediction.writers.save import KINDS, VIDEO_KINDS

    kinds = tuple(part.strip() for part in text.split(",") if part.strip())
    known = (*KINDS, *VIDEO_KINDS)
    unknown = sorted(set(kinds) - set(known))
    if unknown or not kinds:
        received = ", ".join(unknown) or "none"
        raise UserError(f"--save knows {', '.join(known)}; received {received}")
    return kinds


def _check_one_file_one_picture(options: argparse.Namespace, source: object) -> None:
    from hmr.prediction.inputs import ImageFiles
    from hmr.prediction.people_files import names_no_picture

    one_picture = isinstance(source, ImageFiles) and len(source) == 1
    for file, of_keypoints in ((options.keypoints, True), (options.boxes, False)):
        if not one_picture and names_no_picture(file, of_keypoints):
            raise UserError(
                f"{file} speaks of one picture and does not say of which, as one OpenPose file "
                "and one of YOLO pose's do. For many pictures give the folder of "
                "<image>_keypoints.json or <image>.txt files."
            )


def _settings(options: argparse.Namespace, folder: Path) -> str:
    """Text that changes when the numbers would: model, people and camera."""
    files = [options.body, options.boxes, options.keypoints]
    files += sorted(map(str, folder.rglob("model.*")))
    stamps = [f"{name}:{_stamp(Path(name))}" for name in files if name]
    given = options.boxes or options.keypoints
    find = "" if given else f"|{options.find or FINDERS[0]}"
    find += "|fit" if options.fit else ""
    find += f"|{_find_every(options)}" if _find_every(options) > 1 else ""
    return f"{folder}|{stamps}|{options.min_score}|{options.focal_px}{find}"


def _find_every(options: argparse.Namespace) -> int:
    """1 where people are not looked for: they are known in each frame."""
    sought = not (options.boxes or options.keypoints or options.find == "none")
    return (options.find_every or FIND_EVERY) if sought else 1


def _stamp(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "inline"
    return f"{state.st_size}:{state.st_mtime_ns}"


def _timing(seconds: dict[str, float], pictures: int) -> str:
    rows = [
        f"  {stage:<18} {value:8.2f} s  {1000 * value / max(pictures, 1):8.1f} ms per picture"
        for stage, value in seconds.items()
    ]
    return "\n".join(["time spent:", *rows])
