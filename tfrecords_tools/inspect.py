"""Prints and draws records: what the keys hold, and whether the keypoints lie on the people."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hmr.body.joints import COCOPLUS
from hmr.data.schema import schema_table
from hmr.data.shards import count_records, is_mocap_path, read_manifest
from hmr.errors import UserError, run_verb
from hmr.files.images import write_image


def find_shard_files(path: Path) -> list[Path]:
    """The shards that a path stands for: itself, or all below a folder.

    Raises:
        UserError: there are none.
    """
    shards = [path] if path.is_file() else sorted(path.rglob("*.tfrecord*"))
    shards = [shard for shard in shards if not any(p.startswith(".") for p in shard.parts)]
    if not shards:
        raise UserError(
            f"no .tfrecord at or below {path}. Make some: python -m tfrecords_tools --help"
        )
    return shards


def read_people(shards: list[Path], count: int) -> Iterator[dict[str, Any]]:
    """The first records of each shard, as many of each, as numpy arrays."""
    import tensorflow as tf

    from hmr.data.records import parse_person_for_evaluation, read_shard

    each = -(-count // len(shards))
    for shard in shards:
        for serialized in itertools.islice(read_shard(shard), each):
            person = parse_person_for_evaluation(tf.constant(serialized))
            yield {key: value.numpy() for key, value in person.items()}


def read_bodies(shards: list[Path], count: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The first records of each mocap shard, as many of each: name, pose (72,), beta (10,)."""
    import tensorflow as tf

    from hmr.data.records import parse_mocap, read_shard

    each = -(-count // len(shards))
    for shard in shards:
        for index, serialized in enumerate(itertools.islice(read_shard(shard), each)):
            pose, beta = (value.numpy() for value in parse_mocap(tf.constant(serialized)))
            yield f"{shard.parent.name}/{shard.name}, record {index}", pose, beta


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
        print(f"  schema {manifest.schema_version}, made with {manifest.arguments or 'no options'}")
        for reason, number in sorted(manifest.dropped.items()):
            print(f"  left out, {reason}: {number:,} ({manifest.dropped_names[reason][0]}, ...)")
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


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tfrecords_tools.inspect",
        description=__doc__,
        epilog="example: python -m tfrecords_tools.inspect data/tfrecords/coco --draw coco.png\n\n"
        "The keys of a record:\n\n" + schema_table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path, help="a shard, a dataset's folder, or the folder of all")
    parser.add_argument("--num", type=int, default=8, help="records to show (default: %(default)s)")
    parser.add_argument("--draw", type=Path, metavar="PNG", help="draw them on one sheet")
    parser.add_argument("--check", action="store_true", help="check every record of every shard")
    parser.add_argument("--body", type=Path, help="body file, for records with SMPL parameters")
    return parser.parse_args()


def _check(shards: list[Path]) -> None:
    from hmr.data.records import check_shard

    for shard in tqdm(shards, desc="checking", unit=" shards"):
        check_shard(shard)
    print(f"every record of {len(shards)} shards follows the schema")


def _draw(
    args: argparse.Namespace,
    people: list[dict[str, Any]],
    bodies: list[tuple[str, np.ndarray, np.ndarray]],
) -> None:
    from tfrecords_tools.common import sheets

    cells = [sheets.draw_person(person, name_of(person), args.body) for person in people]
    if args.body is not None:
        cells += [sheets.draw_mocap(pose, beta, name, args.body) for name, pose, beta in bodies]
    if not cells:
        raise UserError("records without pictures are drawn with a body: add --body FILE.npz")
    write_image(args.draw, sheets.contact_sheet(cells))
    print(f"wrote {args.draw}")


def main() -> int:
    """Prints manifests and records; draws and checks on demand."""
    args = _parse_arguments()
    shards = find_shard_files(args.path)
    for folder, group in itertools.groupby(shards, key=lambda shard: shard.parent):
        print_folder(folder, list(group))
    if args.check:
        _check(shards)
    mocap = [shard for shard in shards if is_mocap_path(shard)]
    pictures = [shard for shard in shards if shard not in mocap]
    people = list(read_people(pictures, args.num))[: args.num] if pictures else []
    bodies = list(read_bodies(mocap, args.num))[: args.num] if mocap else []
    for person in people:
        print(f"  {describe(person)}")
    for body in bodies:
        print(f"  {describe_body(*body)}")
    if args.draw is not None:
        _draw(args, people, bodies)
    return 0


if __name__ == "__main__":
    run_verb(main)
