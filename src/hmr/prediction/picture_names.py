"""Which entry of a people file speaks of which picture of the run.

Files name pictures as their writers had them: under another folder, with Windows' separators or
another ending, by a number, or by the frame of a video. An entry fits the picture with which it
shares the longest end of the path. The name alone decides only where that leaves one entry and one
picture, and where no folder contradicts it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import numpy as np

from hmr.errors import UserError
from hmr.files.coco_json import SIZE_UNKNOWN, Id, Size
from hmr.prediction.people import (
    Detections,
    PeopleSource,
    SamePeople,
    check_against_picture,
    in_upright_picture,
)

# A name's ending, with what a tool has put behind another (a.png.jpg).
_ENDING = re.compile(
    r"(\.(jpe?g|jpe|jfif|png|bmp|gif|tiff?|webp|hei[cf]|avif))*\.[a-z][a-z0-9]{1,4}$", re.IGNORECASE
)
_LAST_NUMBER = re.compile(r"(.*?)(\d{1,18})$", re.DOTALL)
# A frame as `hmr.files.video.Video` names it.
_FRAME = re.compile(r"([^/\\]+)_(\d{12})")
# What may stand before a frame's number, behind the video's own name or without it.
_FRAME_WORDS = frozenset({"", "frame", "frames", "f", "img", "image"})
_BETWEEN = "_-. "
# What export tools make of a picture's name: Label Studio puts eight hexadecimal digits before it,
# Roboflow its ending into it and a number behind.
_MADE_NAMES = (
    re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL),
    re.compile(r"(.+)_(?:jpe?g|png|bmp|webp|tiff?)\.rf\.\w+", re.DOTALL),
)
# A web address, or Label Studio's of a file that lies beside it; what follows ? is no name.
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+]+:/)?/[^?]*\?d=|[a-z][a-z0-9+]+://", re.IGNORECASE)
_MOST_NAMED = 3
_LETTERS = -1

End = str | int | tuple[str, int]
Rank = tuple[int, int, bool, bool]


@dataclass(frozen=True)
class _Name:
    """A name, taken apart.

    Attributes:
        folders: from the innermost one outwards.
        given: all its parts as they were given; none for a number.
        ends: by what it can be found, and how well that fits (more is better).
    """

    folders: tuple[str, ...]
    given: list[str]
    ends: dict[End, int]


def _parts(text: str) -> list[str]:
    """The parts of a path with either separator, as Unicode compares them, in small letters."""
    if address := _ADDRESS.match(text):
        text = unquote(text[address.end() :].partition("?")[0])
    path = unicodedata.normalize("NFC", text).casefold().replace("\\", "/")
    return [part for part in path.split("/") if part not in ("", ".")]


def _stem(last: str) -> str:
    return _ENDING.sub("", last)


def _made_of(stem: str) -> dict[End, int]:
    """The names of which an export tool may have made this one; they fit worse than itself."""
    plain = unquote(stem)
    found = [made[1] for pattern in _MADE_NAMES if (made := pattern.fullmatch(plain))]
    return dict.fromkeys([*map(_letters, found), *found, plain], 0)


def _letters(stem: str) -> End:
    """What is left of a name where tools write - and _ for other characters, or leave them out."""
    return "".join(filter(str.isalnum, stem)), _LETTERS


def _video_of(before: str) -> str:
    """The name of the video in what stands before the number of a frame; "" if there is none."""
    before = before.rstrip(_BETWEEN)
    cut = max(before.rfind(character) for character in _BETWEEN) + 1
    if before[cut:] in _FRAME_WORDS:
        before = before[:cut].rstrip(_BETWEEN)
    return _stem(before)


def _of_entry(key: Id) -> _Name:
    if isinstance(key, int):
        return _Name((), [], {key: 0})
    given = _parts(key) or [""]
    *folders, last = given
    stem = _stem(last)
    ends = _made_of(stem)
    if number := _LAST_NUMBER.fullmatch(stem):
        ends[_video_of(number[1]), int(number[2])] = 0
        if last == number[2]:
            ends[int(last)] = 0
    return _Name(tuple(reversed(folders)), given, {**ends, stem: 1, last: 2})


def _of_picture(name: str, first_frame: int = 0) -> _Name:
    frame = _FRAME.fullmatch(name)
    *folders, last = _parts(name if frame else os.path.abspath(name)) or [""]
    stem = _stem(last)
    ends: dict[End, int] = {_letters(stem): 0}
    if number := _LAST_NUMBER.fullmatch(stem):
        ends[int(number[2]) + (first_frame if frame else 0)] = 0
    if frame:
        video = _parts(frame[1])[-1]
        at = int(frame[2]) + first_frame
        ends |= {("", at): 0, (video, at): 1}
        folders = [video]
    return _Name(tuple(reversed(folders)), _parts(name), {**ends, stem: 1, last: 2})


def _depths(names: Iterable[_Name]) -> set[tuple[int, str]]:
    return {(depth, part) for name in names for depth, part in enumerate(name.folders)}


class NameIndex:
    """The entries of a people file, to be found by pictures.

    Args:
        entries: their names or numbers.
        first_frame: the number that the first frame of a video has in them.
        all_folders: all folders that both sides name have to be the same; else the name alone may
            decide.
    """

    def __init__(self, entries: Iterable[Id], first_frame: int = 0, all_folders: bool = False):
        self._first_frame, self._all_folders = first_frame, all_folders
        self._names = {key: _of_entry(key) for key in entries}
        self._by_end: dict[End, list[Id]] = defaultdict(list)
        for key, name in self._names.items():
            for end in name.ends:
                self._by_end[end].append(key)
        self._folders = _depths(self._names.values())

    def match(self, pictures: Sequence[str]) -> tuple[dict[str, Id], list[str]]:
        """The entry of each picture that has one.

        Args:
            pictures: paths, or `<video>_<frame, 12 digits>`.

        Returns:
            picture -> entry; and a line for each name that fits several.
        """
        wanted = {name: _of_picture(name, self._first_frame) for name in pictures}
        folders = _depths(wanted.values())
        lines, claims = [], defaultdict(list)
        for picture, name in wanted.items():
            rank, best = self._best(name, folders)
            if len(best) > 1:
                lines.append(f"{picture!r} fits {_some(best)}")
            elif best:
                claims[best[0]].append((rank, picture))
        found: dict[str, Id] = {}
        for key, claim in claims.items():
            first = max(claim)[0]
            claimants = [picture for rank, picture in claim if rank == first]
            if len(claimants) > 1:
                lines.append(f"{key!r} fits {_some(claimants)}")
            else:
                found[claimants[0]] = key
        return found, lines

    def _best(self, picture: _Name, folders: set[tuple[int, str]]) -> tuple[Rank, list[Id]]:
        """The entries that fit best, and their rank.

        That is: the folders that are shared, how well the names fit, whether all of the entry's
        folders are shared, and whether both were written the same.
        """
        ranks: dict[Id, Rank] = {}
        for end, quality in picture.ends.items():
            for key in self._by_end.get(end, ()):
                entry = self._names[key]
                shared = _shared(entry.folders, picture.folders)
                if not self._contradicts(entry, picture, shared, folders):
                    whole, same = shared == len(entry.folders), entry.given == picture.given
                    rank = (shared, quality + entry.ends[end], whole, same)
                    ranks[key] = max(rank, ranks.get(key, rank))
        first = max(ranks.values(), default=(0, 0, False, False))
        return first, [key for key, rank in ranks.items() if rank == first]

    def _contradicts(
        self, entry: _Name, picture: _Name, shared: int, folders: set[tuple[int, str]]
    ) -> bool:
        """Whether the first folders that differ are known on the other side, at the same depth."""
        if shared >= min(len(entry.folders), len(picture.folders)):
            return False
        if self._all_folders:
            return True
        entry_known = (shared, entry.folders[shared]) in folders
        return entry_known or (shared, picture.folders[shared]) in self._folders


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(first), len(second)))


def _some(names: Iterable[Id]) -> str:
    listed = list(names)
    more = f", ... ({len(listed)} in all)" if len(listed) > _MOST_NAMED else ""
    return ", ".join(map(repr, listed[:_MOST_NAMED])) + more


@dataclass
class PeopleTable:
    """People by name or number of their picture, from one file or a folder of files.

    Attributes:
        source: the file or folder, for messages.
        nobody: what is said of a picture without an entry; `{}` in it is the picture's name.
        first_frame: the number that the first frame of a video has in the file.
        notes: what the file holds that is not used.
        sizes: of the pictures on which the people were labelled, where the file says.
    """

    source: str
    nobody: str = "names nobody in this picture"
    first_frame: int = 0
    notes: list[str] = field(default_factory=list)
    sizes: dict[Id, Size] = field(default_factory=dict)
    _people: dict[Id, Detections] = field(default_factory=dict)
    _readers: dict[Id, Callable[[], Detections]] = field(default_factory=dict)
    _index: NameIndex | None = None
    _entry_of: dict[str, Id | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._people) + len(self._readers)

    def entry(self, key: Id) -> Detections:
        """The people of a picture, to be filled: by name, or by number if `key` is an integer."""
        return self._people.setdefault(key, Detections())

    def add_reader(self, key: Id, read: Callable[[], Detections]) -> None:
        """Adds a picture whose people are read when they are asked for."""
        self._readers[key] = read

    def match(self, pictures: Sequence[str]) -> list[str]:
        """Finds the entries of the run's pictures; returns notes about what is not used.

        Raises:
            UserError: there are entries, and none of them fits.
        """
        keys = {**self._people, **self._readers}
        found, several = self._match(pictures)
        if 0 < len(found) < len(keys) and all(map(_FRAME.fullmatch, pictures)):
            found, several = self._match_from_1(pictures, found, several)
        self._entry_of = {picture: found.get(picture) for picture in pictures}
        used = set(found.values())
        unused = [key for key in keys if key not in used]
        reasons = "".join(f"; {line}" for line in several[:_MOST_NAMED])
        if keys and not used:
            raise UserError(
                f"{self.source}: none of its {len(keys)} entries fits a picture of this run. "
                f"Entries: {_some(keys)}; pictures: {_some(pictures)}{reasons}. The ends of the "
                "paths have to be the same (endings may differ), or the number of the frame, or an "
                "id the number at the name's end"
            )
        counted = f"{self.source}: {len(used)} of {len(keys)} entries used"
        lines = [f"{counted}; not used: {_some(unused)}{reasons}"] if unused else []
        return [*(f"{self.source}: {note}" for note in self.notes), *lines]

    def _match(self, pictures: Sequence[str]) -> tuple[dict[str, Id], list[str]]:
        self._index = NameIndex({**self._people, **self._readers}, self.first_frame)
        return self._index.match(pictures)

    def _match_from_1(
        self, pictures: Sequence[str], found: dict[str, Id], several: list[str]
    ) -> tuple[dict[str, Id], list[str]]:
        """Counts a video's frames from 1, as FFmpeg does, where that leaves no entry over."""
        first, self.first_frame = self.first_frame, 1
        again, ambiguous = self._match(pictures)
        if len(again) == len(self):
            self.notes.append("frames are counted from 1: as many as the video has, without a 0")
            return again, ambiguous
        self.first_frame, self._index = first, None
        return found, several

    def find(self, name: str, image: np.ndarray) -> Detections:
        """The people of a picture's entry that lie in it."""
        key = self._key_of(name)
        if key is None:
            stem = name.replace("\\", "/").rsplit("/", 1)[-1]
            return Detections(notes=[f"{self.source} {self.nobody.format(_stem(stem))}"])
        try:
            people = self._people[key] if key in self._people else self._readers[key]()
        except UserError as error:
            people = Detections(problems=[str(error)])
        size = self.sizes.get(key, SIZE_UNKNOWN)
        return check_against_picture(in_upright_picture(people, name, image, size), image)

    def _key_of(self, name: str) -> Id | None:
        """The entry of a picture; one of unknown length (a camera's) is looked up alone."""
        if name not in self._entry_of:
            matched = self._match([name]) if self._index is None else self._index.match([name])
            self._entry_of[name] = matched[0].get(name)
        return self._entry_of[name]


def match_people(people: PeopleSource, pictures: Sequence[str]) -> list[str]:
    """Holds people who were given against the pictures of the run, before it begins.

    Args:
        people: where the people are.
        pictures: names of all pictures; empty where they are not known yet, as a camera's.

    Returns:
        notes about what was given and is not used.

    Raises:
        UserError: a file names pictures, and none of this run.
    """
    if isinstance(people, PeopleTable) and pictures:
        return people.match(pictures)
    return list(people.notes) if isinstance(people, SamePeople | PeopleTable) else []
