"""Opens what is predicted on: pictures (files, folders, patterns), videos, cameras, raw crops."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from hmr.errors import UserError
from hmr.files.images import IMAGE_SUFFIXES, LazyImage, read_image
from hmr.files.safe_npz import load_npy
from hmr.files.video import VIDEO_SUFFIXES, Video


class ImageFiles:
    """Picture files.

    Args:
        paths: of the files.
        notes: about files that were given with them and are not read.
    """

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
            yield LazyImage(str(path), target, partial(read_image, path), path)


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
    paths = [path for source in sources if isinstance(source, ImageFiles) for path in source.paths]
    return ImageFiles(list(dict.fromkeys(paths)))


def _open(text: str, max_frames: int | None) -> PictureSource:
    path = Path(text)
    if path.is_dir():
        return _from_folder(path)
    if text.isdecimal() and not path.is_file():
        return Video(int(text), max_frames)
    matches = [path] if path.is_file() else sorted(map(Path, glob.glob(text, recursive=True)))
    files = [match for match in matches if match.is_file()]
    if not files:
        raise UserError(f"--input {text}: no such file or folder, and no file matches it")
    videos = [match for match in files if match.suffix.lower() in VIDEO_SUFFIXES]
    if len(files) == 1 and videos:
        return Video(files[0], max_frames)
    if videos:
        raise UserError(f"--input {text} matches videos ({videos[0]}, ...): give one at a time")
    return ImageFiles(files)


def _from_folder(folder: Path) -> ImageFiles:
    files = sorted(
        p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()
    )
    if not files:
        raise UserError(
            f"--input {folder}: the folder holds no picture ({', '.join(IMAGE_SUFFIXES)}); "
            f'for pictures in folders below it: --input "{folder}/**/*.jpg"'
        )
    return ImageFiles(files)


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
