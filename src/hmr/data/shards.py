"""Where records lie: shard files and their manifests.

`<root>/<dataset>/<split>_00000.tfrecord, ...` beside `<root>/<dataset>/<split>_manifest.json`.
The authors' own folders, which have no manifest, are found too.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import google_crc32c

from hmr.data.datasets import DATASETS
from hmr.data.schema import SCHEMA_VERSION, refuse_newer
from hmr.errors import UserError
from hmr.files.foreign import parsing, read_json
from hmr.files.whole import write_text

MOCAP_PREFIX = "mocap_"
# TFRecord: 8 bytes of length and their checksum stand before each record, a checksum after it.
_HEADER_BYTES, _CHECKSUM_BYTES = 12, 4
_BLOCK_BYTES = 1 << 20
_LONGEST_NAME = 200
_LONGEST_RECORD_BYTES = 1 << 28
_MAX_MANIFEST_BYTES = 1 << 26


@dataclass
class Manifest:
    """What a conversion made.

    Attributes:
        dataset, split: which records these are.
        examples: how many records the shards hold together.
        shards: file name -> number of records in it.
        dropped: reason -> how many samples were left out for it.
        dropped_names: reason -> the first of those samples.
        arguments: the converter's arguments that decide what comes out.
        source_fingerprint: sha256 over the source's annotation files.
        schema_version: `SCHEMA_VERSION` at the time of writing.
        sizes_bytes, crc32c: file name -> size and checksum of the file; empty in old manifests.
    """

    dataset: str
    split: str
    examples: int
    shards: dict[str, int]
    dropped: dict[str, int] = field(default_factory=dict)
    dropped_names: dict[str, list[str]] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    source_fingerprint: str = ""
    schema_version: int = SCHEMA_VERSION
    sizes_bytes: dict[str, int] = field(default_factory=dict)
    crc32c: dict[str, int] = field(default_factory=dict)


def shard_name(split: str, index: int) -> str:
    """File name of a shard."""
    return f"{split}_{index:05d}.tfrecord"


def manifest_path(root: str | Path, dataset: str, split: str) -> Path:
    """Where the manifest of a dataset's split lies."""
    return Path(root) / dataset / f"{split}_manifest.json"


def progress_dir(root: str | Path, dataset: str, split: str) -> Path:
    """The working folder of a conversion, which exists until the conversion is complete."""
    return Path(root) / dataset / f".{split}_in_progress"


def write_manifest(root: str | Path, manifest: Manifest) -> Path:
    """Writes the manifest beside its shards, atomically."""
    path = manifest_path(root, manifest.dataset, manifest.split)
    write_text(path, json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n")
    return path


def read_manifest(root: str | Path, dataset: str, split: str) -> Manifest | None:
    """Reads a manifest; returns None if there is none.

    Raises:
        UserError: the file is not a manifest, or holds fields that this version does not know.
    """
    path = manifest_path(root, dataset, split)
    if not path.is_file():
        return None
    # Manifests without a version are of version 1; a missing field has its default.
    stored = read_json(path, _MAX_MANIFEST_BYTES)
    with parsing(path, "manifest", "Delete it and run python -m tfrecords_tools again."):
        stored = {"schema_version": 1, **stored}
        known = {field.name for field in fields(Manifest)}
        refuse_newer(str(path), stored["schema_version"], stored, known)
        return _checked(Manifest(**stored))


def _checked(manifest: Manifest) -> Manifest:
    """The manifest, if names of shards are names in its folder and numbers are numbers."""
    tables = (manifest.shards, manifest.sizes_bytes, manifest.crc32c)
    dropped = (manifest.dropped, manifest.dropped_names)
    if not all(isinstance(table, dict) for table in (*tables, *dropped)):
        raise ValueError("shards, sizes, checksums or dropped are no table")
    if not all(isinstance(names, list) for names in manifest.dropped_names.values()):
        raise ValueError("the names of dropped samples are no list")
    for name in (name for table in tables for name in table):
        if Path(name).name != name or len(name) > _LONGEST_NAME:
            raise ValueError(f"{name!r} is not the name of a shard")
    counts = (n for table in (*tables, manifest.dropped) for n in table.values())
    numbers = (manifest.examples, *counts)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError("a number of records, a size or a checksum is no number")
    return manifest


def find_shards(root: str | Path, dataset: str, split: str) -> list[str]:
    """Sorted paths of a dataset's shards.

    Raises:
        UserError: there are none, the conversion is unfinished, or a shard that the manifest
            names is missing.
    """
    if progress_dir(root, dataset, split).is_dir():
        raise UserError(
            f"the conversion of {dataset}/{split} in {root} was interrupted: run the same "
            "command again (python -m tfrecords_tools ...), it continues where it stopped."
        )
    manifest = read_manifest(root, dataset, split)
    if manifest is not None:
        return _listed_shards(Path(root) / dataset, manifest)
    patterns = ["{dataset}/{split}_*.tfrecord", "{dataset}/{split}/*.tfrecord"]
    if dataset in DATASETS and DATASETS[dataset].original:
        patterns.append(DATASETS[dataset].original)
    for pattern in patterns:
        paths = sorted(Path(root).glob(pattern.format(dataset=dataset, split=split)))
        if paths:
            return [str(path) for path in paths]
    raise UserError(_missing_message(root, dataset, split))


@contextlib.contextmanager
def unwatched_offered() -> Iterator[None]:
    """Adds to an error about the records of the validation how to train without them."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{error} Or train unwatched: --config.validation.dataset=''.") from error


def _listed_shards(folder: Path, manifest: Manifest) -> list[str]:
    paths = [folder / name for name in sorted(manifest.shards)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise UserError(
            f"{folder}: the manifest of {manifest.split} names {len(paths)} shards, "
            f"{len(missing)} are missing (first: {missing[0]}). {_again(manifest)}"
        )
    sizes = {path.name: path.stat().st_size for path in paths}
    changed = [name for name in sizes if manifest.sizes_bytes.get(name, sizes[name]) != sizes[name]]
    if changed:
        raise UserError(
            f"{folder}: {len(changed)} of the {len(paths)} shards in the manifest of "
            f"{manifest.split} are cut short or changed (first: {changed[0]} of "
            f"{sizes[changed[0]]:,} bytes, expected {manifest.sizes_bytes[changed[0]]:,}). "
            f"{_again(manifest)}"
        )
    return [str(path) for path in paths]


def _again(manifest: Manifest) -> str:
    file = f"{manifest.split}_manifest.json"
    return f"Copy them again, or delete {file} and run python -m tfrecords_tools again."


def _missing_message(root: str | Path, dataset: str, split: str) -> str:
    if dataset in DATASETS:
        command = (
            f"python -m tfrecords_tools --{DATASETS[dataset].converter} /path/to/it --output {root}"
        )
    else:
        command = (
            f"python -m tfrecords_tools.from_labels --name {dataset} --splits {split} "
            "--input /path/to/it"
        )
    manifests = (Path(root) / dataset).glob("*_manifest.json")
    there = ", ".join(sorted(path.name.removesuffix("_manifest.json") for path in manifests))
    found = f"There is {there}. " if there else ""
    return (
        f'"{dataset}" ({split}) is asked for, but no file matches '
        f"{Path(root) / dataset / split}_*.tfrecord. {found}Build it: {command}. "
        f"Known sets: {', '.join(DATASETS)}."
    )


def count_by_shard(root: str | Path, dataset: str, split: str) -> list[int]:
    """Number of records in each shard of `find_shards`, from the manifest or by `count_records`.

    A shard that is older than its manifest is as the conversion left it. Any other, such as a copy
    whose time was not copied, is read and compared with its checksum.

    Raises:
        UserError: as `find_shards`, a shard without manifest is truncated, or one has changed.
    """
    paths = find_shards(root, dataset, split)
    manifest = read_manifest(root, dataset, split)
    if manifest is None:
        return [count_records(path) for path in paths]
    written_ns = manifest_path(root, dataset, split).stat().st_mtime_ns
    for path in paths:
        if Path(path).name not in manifest.crc32c:
            check_lengths(path)
        elif Path(path).stat().st_mtime_ns >= written_ns:
            check_checksum(path)
    return [manifest.shards[Path(path).name] for path in paths]


def count_records(path: str | Path) -> int:
    """Number of records in a shard, counted by their headers without reading their contents.

    Raises:
        UserError: there is no such file, or it ends inside a record.
    """
    count = 0
    for end in _record_ends(Path(path)):
        if end > Path(path).stat().st_size:
            raise UserError(truncated_message(path, count))
        count += 1
    return count


def check_lengths(path: str | Path) -> None:
    """Refuses a shard of which a header claims a record far longer than the rest of the file.

    TensorFlow reserves memory for any length that is claimed, and dies of 2^40 bytes. A shard that
    is merely cut short passes.

    Raises:
        UserError: there is no such file, or it holds such a header.
    """
    for index, end in enumerate(_record_ends(Path(path))):
        if end - Path(path).stat().st_size > _LONGEST_RECORD_BYTES:
            raise UserError(truncated_message(path, index))


def _record_ends(path: Path) -> Iterator[int]:
    """Where each record ends by its header, the last perhaps behind the end of the file."""
    if not path.is_file():
        raise UserError(f"no shard at {path}.")
    size, position = path.stat().st_size, 0
    with path.open("rb") as shard:
        while position < size:
            shard.seek(position)
            header = shard.read(_HEADER_BYTES)
            length = struct.unpack("<Q", header[:8])[0] if len(header) == _HEADER_BYTES else size
            position += _HEADER_BYTES + length + _CHECKSUM_BYTES
            yield position


def check_checksum(path: str | Path) -> None:
    """Compares a shard with its checksum in the manifest beside it, if there is one.

    Raises:
        UserError: they differ.
    """
    path = Path(path).resolve()
    split = path.name.rpartition("_")[0]
    manifest = read_manifest(path.parent.parent, path.parent.name, split)
    expected = manifest.crc32c.get(path.name) if manifest is not None else None
    if expected is None:
        return
    received = 0
    with path.open("rb") as shard:
        while block := shard.read(_BLOCK_BYTES):
            received = google_crc32c.extend(received, block)
    if received != expected:
        raise UserError(
            f"{path} is not the shard that was written: its checksum is {received:08x}, expected "
            f"{expected:08x}. {rebuild_hint(path)}"
        )


def truncated_message(path: str | Path, index: int) -> str:
    """The error message for a record that ends too early or fails its checksum."""
    return (
        f"record {index} of {path} is truncated or damaged: the file is incomplete. "
        "Delete it and run python -m tfrecords_tools again, or copy it again."
    )


def rebuild_hint(path: str | Path) -> str:
    """The end of an error message about a shard: how to make the shard again."""
    dataset = Path(path).resolve().parent.name
    return f"Delete the shard and its manifest, then convert {dataset} again."


def is_mocap_path(path: str | Path) -> bool:
    """Whether a shard holds bodies without pictures, which the name of its folder tells."""
    return Path(path).resolve().parent.name.startswith(MOCAP_PREFIX)
