"""Prints and draws records: what the keys hold, and whether the keypoints lie on the people."""

from __future__ import annotations

import argparse
import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from hmr.body.joints import COCOPLUS, LSP14
from hmr.data.schema import schema_table
from hmr.data.shards import count_records, find_shards, is_mocap_path, read_manifest
from hmr.errors import UserError, VerbParser, printable, run_verb
from hmr.files.images import read_image, write_image
from hmr.progress import progress_bar
from hmr.rendering.draw import draw_skeleton, turned_view
from hmr.rendering.shade import render_mesh

CELL_PX = 300
COLUMNS = 4
DRAWN_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
_CAPTION_PX = 22
_CHARACTER_PX = 6
_FRONT_TO_CAMERA = (np.pi, 0.0, 0.0)


def find_shard_files(path: Path) -> list[Path]:
    """The shards that a path stands for: itself, or all below a folder.

    Raises:
        UserError: there are none.
    """
    shards = [path] if path.is_file() else sorted(path.rglob("*.tfrecord*"))
    shards = [shard for shard in shards if not _is_hidden(shard.relative_to(path))]
    if not shards:
        raise UserError(
            f"no .tfrecord at or below {path}. Make some: python -m tfrecords_tools --help"
        )
    return shards


def picture_path(path: Path) -> Path:
    """Where a picture is written: a PNG where the name has no ending.

    Raises:
        UserError: the ending is of no picture that can be written, or it is a folder.
    """
    if path.is_dir():
        raise UserError(f"--draw {path} is a folder; expected the name of a picture, as sheet.png")
    if not path.suffix:
        return path.with_name(f"{path.name}.png")
    if path.suffix.lower() not in DRAWN_SUFFIXES:
        raise UserError(f"--draw {path}: expected one of the endings {', '.join(DRAWN_SUFFIXES)}")
    return path


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _first_records(shards: list[Path], count: int) -> Iterator[tuple[str, Any]]:
    """The first records of each shard, `count` in all: a name, and the record as a tensor ()."""
    import tensorflow as tf

    from hmr.data.records import read_shard

    each = -(-count // max(len(shards), 1))
    firsts = (
        (f"{shard.parent.name}/{shard.name}, record {index}", tf.constant(serialized))
        for shard in shards
        for index, serialized in enumerate(itertools.islice(read_shard(shard), each))
    )
    return itertools.islice(firsts, count)


def read_people(shards: list[Path], count: int) -> Iterator[dict[str, Any]]:
    """Yields the first records of people, as numpy arrays."""
    from hmr.data.records import parse_person

    for _, serialized in _first_records(shards, count):
        person = parse_person(serialized)
        yield {key: value.numpy() for key, value in person.items()}


def read_bodies(shards: list[Path], count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields the first records of motion capture: name, pose (72,), beta (10,)."""
    from hmr.data.records import parse_mocap

    for name, serialized in _first_records(shards, count):
        pose, beta = (value.numpy() for value in parse_mocap(serialized))
        yield name, pose, beta


def print_folder(folder: Path, shards: list[Path]) -> None:
    """What the manifests of a folder say, or how many records its shards hold."""
    manifests = sorted(folder.glob("*_manifest.json"))
    for path in manifests:
        split = path.name.removesuffix("_manifest.json")
        manifest = read_manifest(folder.parent, folder.name, split)
        assert manifest is not None
        print(
            f"{folder.name}/{split}: {manifest.examples:,} records, {len(manifest.shards)} shards"
        )
        made_with = manifest.arguments or "no options"
        print(printable(f"  schema {manifest.schema_version}, made with {made_with}"))
        for reason, number in sorted(manifest.dropped.items()):
            first = next(iter(manifest.dropped_names.get(reason, [])), "unnamed")
            print(printable(f"  left out, {reason}: {number:,} ({first}, ...)"))
    if not manifests:
        records = sum(count_records(shard) for shard in shards)
        print(f"{folder}: {records:,} records in {len(shards)} shards, no manifest")


def name_of(person: dict[str, Any]) -> str:
    """Where a record comes from."""
    if person["frame"] >= 0:
        return f"{person['sequence'].decode()}, frame {person['frame']}"
    return person["filename"].decode()


def describe(person: dict[str, Any]) -> str:
    """One line about a record."""
    labelled = f"{int(person['visibility'].sum())}/{len(COCOPLUS)} keypoints"
    kinds = [name for name in ("joints3d", "smpl") if person[f"has_{name}"] > 0]
    return (
        f"{name_of(person)}: {len(person['image_bytes']):,} bytes, {labelled}, centre "
        f"{person['center_px'].tolist()}, {', '.join(kinds) or 'no 3D'}"
    )


def describe_body(name: str, pose: np.ndarray, beta: np.ndarray) -> str:
    """One line about a record of motion capture."""
    angles_deg = np.degrees(np.linalg.norm(pose.reshape(-1, 3)[1:], axis=1))
    numbers = " ".join(f"{number:.1f}" for number in beta)
    return (
        f"{name}: joints turned by {angles_deg.mean():.0f} degrees on average, "
        f"{angles_deg.max():.0f} at most, shape {numbers}"
    )


def draw_person(person: dict[str, Any], caption: str, body_path: Path | None) -> np.ndarray:
    """The picture with skeleton; beside it the 3D joints from the side, or the body over it."""
    image = read_image(person["image_bytes"])
    skeleton = draw_skeleton(image, person["keypoints2d_px"], person["visibility"])
    center = tuple(int(value) for value in person["center_px"])
    cv2.drawMarker(skeleton, center, (255, 0, 255), cv2.MARKER_CROSS, 12, 2)
    panels = [_fit(skeleton)]
    if person["has_smpl"] > 0 and body_path is not None:
        panels.append(_fit(draw_body(image, person, body_path)))
    elif person["has_joints3d"] > 0:
        panels.append(draw_joints3d(person["joints3d_lsp_m"]))
    return _with_caption(np.concatenate(panels, axis=1), caption)


def draw_joints3d(joints3d_lsp_m: np.ndarray) -> np.ndarray:
    """The joints (14, 3), camera frame, turned by 90 degrees, fitted into a square."""
    side_view = np.stack([-joints3d_lsp_m[:, 2], joints3d_lsp_m[:, 1]], axis=1)
    side_view -= (side_view.min(axis=0) + side_view.max(axis=0)) / 2
    reach = max(float(np.abs(side_view).max()), 1e-6)
    points = side_view * (0.42 * CELL_PX / reach) + CELL_PX / 2
    canvas = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    padded = np.full((len(COCOPLUS), 2), np.nan)
    padded[: len(LSP14)] = points
    return draw_skeleton(canvas, padded)


def draw_body(image: np.ndarray, person: dict[str, Any], body_path: Path) -> np.ndarray:
    """The record's SMPL body over its picture, placed where its joints meet the keypoints best."""
    vertices_m, joints_m, faces = _pose_body(person["pose"], person["beta"], body_path)
    shown = person["visibility"] > 0
    scale, offset = fit_weak_perspective(joints_m[shown, :2], person["keypoints2d_px"][shown])
    vertices_px = vertices_m * scale
    vertices_px[:, :2] += offset
    return render_mesh(vertices_px, faces, image, opacity=0.8)


def fit_weak_perspective(points: np.ndarray, pixels: np.ndarray) -> tuple[float, np.ndarray]:
    """Scale s and offset t (2,) that bring s * points + t closest to pixels, both (N, 2)."""
    middle, target = points.mean(axis=0), pixels.mean(axis=0)
    centred = points - middle
    scale = float((centred * (pixels - target)).sum() / max((centred**2).sum(), 1e-12))
    return scale, target - scale * middle


@functools.lru_cache(maxsize=1)
def _open_body(path: Path) -> tuple[Any, np.ndarray]:
    from hmr.body.model_file import open_body
    from hmr.body.smpl import SMPL

    body = open_body(path)
    return SMPL(body), body.faces


def _pose_body(
    pose: np.ndarray, beta: np.ndarray, path: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (6890, 3) m, joints (19, 3) m and faces of a posed body."""
    smpl, faces = _open_body(path)
    posed = smpl(pose[None], beta[None])
    return np.array(posed["vertices"][0]), np.array(posed["joints3d"][0]), faces


def draw_mocap(pose: np.ndarray, beta: np.ndarray, name: str, body_path: Path) -> np.ndarray:
    """A body from the front and from the side, its root rotation left out."""
    upright = np.concatenate([_FRONT_TO_CAMERA, pose[3:]]).astype(np.float32)
    vertices_m, _, faces = _pose_body(upright, beta, body_path)
    views = [turned_view(vertices_m, faces, angle, CELL_PX, CELL_PX) for angle in (0, 90)]
    return _with_caption(np.concatenate(views, axis=1), name)


def _fit(image: np.ndarray) -> np.ndarray:
    """The picture inside a square of `CELL_PX` on grey."""
    scale = CELL_PX / max(image.shape[:2])
    size = [max(1, round(scale * length)) for length in image.shape[1::-1]]
    canvas = np.full((CELL_PX, CELL_PX, 3), 128, np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=method)
    return canvas


def _with_caption(image: np.ndarray, text: str) -> np.ndarray:
    strip = np.full((_CAPTION_PX, image.shape[1], 3), 255, np.uint8)
    fitting = text[: image.shape[1] // _CHARACTER_PX]
    cv2.putText(strip, fitting, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 0, 1)
    return np.concatenate([strip, image], axis=0)


def contact_sheet(cells: list[np.ndarray]) -> np.ndarray:
    """Cells in rows of `COLUMNS`, on white."""
    height, width = (max(cell.shape[axis] for cell in cells) for axis in (0, 1))
    rows = -(-len(cells) // COLUMNS)
    sheet = np.full((rows * height, min(COLUMNS, len(cells)) * width, 3), 255, np.uint8)
    for index, cell in enumerate(cells):
        top, left = index // COLUMNS * height, index % COLUMNS * width
        sheet[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return sheet


def _parse_arguments() -> argparse.Namespace:
    parser = VerbParser(
        prog="python -m tfrecords_tools.inspect",
        description=__doc__,
        epilog="example: python -m tfrecords_tools.inspect data/tfrecords/coco --draw coco.png\n\n"
        "The keys of a record:\n\n" + schema_table(),
    )
    parser.add_argument("path", type=Path, help="a shard, a dataset's folder, or the folder of all")
    parser.add_argument("--num", type=int, default=8, help="records to show (default: %(default)s)")
    parser.add_argument("--draw", type=Path, metavar="PNG", help="draw them on one sheet")
    parser.add_argument("--check", action="store_true", help="check every record of every shard")
    parser.add_argument("--body", type=Path, help="body file, for records with SMPL parameters")
    return parser.parse_args()


def _check(shards: list[Path]) -> None:
    from hmr.data.records import check_shard

    for folder in dict.fromkeys(shard.parent for shard in shards):
        for path in folder.glob("*_manifest.json"):
            find_shards(folder.parent, folder.name, path.name.removesuffix("_manifest.json"))
    for shard in progress_bar(shards, desc="checking", unit=" shards"):
        check_shard(shard)
    print(f"every record of {len(shards)} shards follows the schema")


def _draw(
    args: argparse.Namespace,
    people: list[dict[str, Any]],
    bodies: list[tuple[str, np.ndarray, np.ndarray]],
) -> None:
    cells = [draw_person(person, name_of(person), args.body) for person in people]
    if args.body is not None:
        cells += [draw_mocap(pose, beta, name, args.body) for name, pose, beta in bodies]
    if not cells:
        raise UserError("records without pictures are drawn with a body: add --body FILE.npz")
    write_image(args.draw, contact_sheet(cells))
    print(printable(f"wrote {args.draw}"))


def main() -> int:
    """Prints manifests and records; draws and checks on demand."""
    args = _parse_arguments()
    if args.draw is not None:
        args.draw = picture_path(args.draw)
    shards = find_shard_files(args.path)
    for folder, group in itertools.groupby(shards, key=lambda shard: shard.parent):
        print_folder(folder, list(group))
    if args.check:
        _check(shards)
    mocap = [shard for shard in shards if is_mocap_path(shard)]
    pictures = [shard for shard in shards if shard not in mocap]
    people, bodies = list(read_people(pictures, args.num)), list(read_bodies(mocap, args.num))
    for person in people:
        print(printable(f"  {describe(person)}"))
    for body in bodies:
        print(printable(f"  {describe_body(*body)}"))
    if args.draw is not None:
        _draw(args, people, bodies)
    return 0


if __name__ == "__main__":
    run_verb(main)
