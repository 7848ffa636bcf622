"""Opens what is predicted on: pictures (files, folders, patterns), videos, cameras, raw crops."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hmr.errors import UserError
from hmr.files.content import content_of_file
from hmr.files.images import (
    IMAGE_SUFFIXES,
    MAX_PREDICTED_PIXELS,
    LazyImage,
    is_picture,
    read_image,
)
from hmr.files.safe_npz import load_npy
from hmr.files.video import VIDEO_SUFFIXES, Video
from hmr.prediction.result import SUMMARY_FILE
from hmr.prediction.writers.save import KINDS
from hmr.prediction.writers.video import DRAWINGS

_MOST_NAMED = 5
_ENDINGS = "|".join(
    re.escape(kind.ending).replace(re.escape("{}"), r"\d+") for kind in KINDS.values()
)
_RESULT = re.compile(f"(.+)({_ENDINGS})")
_DRAWN_VIDEO = re.compile(f"(.+)_({'|'.join(DRAWINGS)})\\.mp4")


class ImageFiles:
    """Picture files.

    Args:
        paths: of the files.
        notes: about files that were given with them and are not read.

    Attributes:
        max_pixels: larger pictures are not read.
    """

    max_pixels = MAX_PREDICTED_PIXELS

    def __init__(self, paths: list[Path], notes: Sequence[str] = ()):
        self.paths, self.notes = paths, notes
        self.targets = _targets(paths)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> list[str]:
        """The names of the pictures: their paths."""
        return list(map(str, self.paths))

    def __iter__(self) -> Iterator[LazyImage]:
        for path, target in zip(self.paths, self.targets, strict=True):
            yield LazyImage(str(path), target, partial(read_image, path, self.max_pixels), path)


def _targets(paths: list[Path]) -> list[Path]:
    """Paths of the results below the common folder; without suffix unless two would be equal."""
    if not paths:
        return []
    base = Path(os.path.commonpath([path.absolute().parent for path in paths]))
    below = [path.absolute().relative_to(base) for path in paths]
    stems = Counter(path.with_suffix("") for path in below)
    return [path if stems[path.with_suffix("")] > 1 else path.with_suffix("") for path in below]


PictureSource = ImageFiles | Video


def open_inputs(texts: Sequence[str], max_frames: int | None = None) -> PictureSource:
    """Pictures, folders of pictures and patterns; or a video; or a camera's number.

    Args:
        texts: the values of --input. Several (a shell expands photos/*.jpg) must be pictures.
        max_frames: how many frames of a video or camera are read; None for all.

    Raises:
        UserError: nothing is there, or nothing in it is a picture or a video.
    """
    sources = [_open(text, max_frames) for text in texts]
    if len(sources) == 1:
        return sources[0]
    videos = [source for source in sources if isinstance(source, Video)]
    if videos or not sources:
        named = f", received {videos[0].source} among {len(texts)}" if videos else ""
        raise UserError(f"--input takes pictures, or one video or camera at a time{named}")
    pictures = [source for source in sources if isinstance(source, ImageFiles)]
    paths = [path for source in pictures for path in source.paths]
    notes = [note for source in pictures for note in source.notes]
    return _without_own_results(list(dict.fromkeys(paths)), notes)


def _open(text: str, max_frames: int | None) -> PictureSource:
    path = Path(text)
    if path.is_dir():
        return _from_folder(path)
    if text.isdecimal() and not path.is_file():
        return Video(int(text), max_frames)
    if path.is_file():
        return Video(path, max_frames) if _is_video(path) else ImageFiles([path])
    matches = sorted(map(Path, glob.glob(_pattern(path), recursive=True)))
    source = _without_own_results([match for match in matches if match.is_file()])
    if not source.paths:
        raise UserError(f"--input {text}: no such file or folder, and no file matches it")
    videos = [match for match in source.paths if _is_video(match)]
    if len(source) == 1 and videos:
        return Video(videos[0], max_frames)
    if videos:
        raise UserError(f"--input {text} matches videos ({videos[0]}, ...): give one at a time")
    return source


def _pattern(path: Path) -> str:
    """A pattern in which folders that are there stand for themselves, such as `photos [1]`."""
    there = next((folder for folder in path.parents if folder.is_dir()), Path())
    return os.path.join(glob.escape(str(there)), os.path.relpath(path, there))


def _is_video(path: Path) -> bool:
    """Whether a file's content is a video's; its ending counts where the content says nothing."""
    content = content_of_file(path)
    return path.suffix.lower() in VIDEO_SUFFIXES if content is None else content.is_video


def _from_folder(folder: Path) -> ImageFiles:
    listed = sorted(p for p in folder.iterdir() if not p.name.startswith("._") and not p.is_dir())
    source = _without_own_results([path for path in listed if path.is_file()])
    pictures = [path for path in source.paths if is_picture(path)]
    # A pipe or a link to nothing is no file.
    nothing = {path for path in listed if not path.is_file()}
    others = sorted(path.name for path in (set(source.paths) | nothing) - set(pictures))
    if not pictures:
        holds = f" but {_some(others)}" if others else ""
        raise UserError(
            f"--input {folder}: the folder holds no picture{holds} ({', '.join(IMAGE_SUFFIXES)}); "
            f'for pictures in folders below it: --input "{folder}/**/*.jpg"'
        )
    seen = [name for name in others if not name.startswith(".")]
    notes = [f"{folder}: no pictures, passed over: {_some(seen)}"] if seen else []
    return ImageFiles(pictures, [*source.notes, *notes])


def _without_own_results(files: list[Path], notes: Sequence[str] = ()) -> ImageFiles:
    """Leaves out what earlier predictions wrote: files that begin like an npz beside them."""
    own = [path for path in files if _is_own_result(path)]
    kept = [path for path in files if path not in set(own)]
    seen = [path.name for path in own if path.suffix in (".png", ".mp4")]
    lines = [f"results of earlier predictions, passed over: {_some(seen)}"] if seen else []
    return ImageFiles(kept, [*notes, *lines])


def _is_own_result(path: Path) -> bool:
    if drawn := _DRAWN_VIDEO.fullmatch(path.name):
        return (path.parent / drawn[1] / f"{drawn[1]}_{0:012d}.npz").is_file()
    written = _RESULT.fullmatch(path.name)
    return path.name == SUMMARY_FILE or bool(
        written and path.with_name(f"{written[1]}.npz").is_file()
    )


def _some(names: Sequence[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def open_crops(path: Path) -> np.ndarray:
    """Maps an .npy file of crops into memory.

    Raises:
        UserError: it is missing, not an .npy file of numbers, or holds no crop.
    """
    if not path.is_file():
        raise UserError(f"--crops {path}: no such file")
    crops = load_npy(path, mmap_mode="r")
    if crops.ndim == 0 or len(crops) == 0:
        raise UserError(f"{path} holds no crops: expected one .npy array (N, S, S, 3) float32")
    return crops
