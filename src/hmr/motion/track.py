"""Who is who in a video: each look's people are matched with those of the last seconds.

The matching is the best one as a whole (Hungarian method) over the similarity of keypoints (OKS)
and of boxes (IoU), after every known person has been moved on at the pace that they had, and over
the colours of their clothes. These alone tell who comes back after more than two seconds.

People who hide each other may leave with each other's id. For two seconds a look's ids are open:
two of them are exchanged once the clothes of several looks fit the other id's earlier ones better.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from hmr.body.joints import COCO17, COCO17_FLIP, COCOPLUS, take_joints
from hmr.geometry.oks import AREA_OF_DIAGONAL, oks

LONGEST_GAP_S = 2.0
"""Who is not seen for longer is told by clothes alone, or is somebody new."""
SETTLED_AFTER_S = 2.0
"""After so long the ids of a look do not change any more."""
_LEAST_SIMILAR = 0.02
_SPREAD_PER_S = 6.0
"""How much less exactly a person's place is known after a second, relative to what OKS allows."""
_PACE_LASTS_S, _SHARE_OF_NEW_PACE = 1.5, 0.7
_LOOKS_KEPT, _NEAREST_LOOKS = 40, 0.2
"""Clothes are compared with those of so many looks; of these the nearer ones count, as an arm or
somebody else is in front of them in some."""
_COLOUR_SPREAD, _UNKNOWN_CLOTHES, _SURELY_ALIKE, _MUCH_COVERED = 0.1, 0.5, 0.4, 0.45
_LEAST_CLOTHES = 0.1
_SURELY_EXCHANGED, _MOST_OF_A_LOOK, _LOOK_LASTS_S, _ENOUGH_LOOKS = 4.0, 1.5, 0.2, 4
"""Ids are exchanged from this gain in log-likelihood on. A look adds at most the second number, and
less in proportion where it follows the one before by less than the third. Clothes that were told in
fewer earlier looks than the last number say nothing."""
_HUE_COUNTS, _SHADE_COUNTS = 2.0, 0.5
"""Light falls differently on people who turn: how bright their clothes are tells less than hue."""
_PARTS = tuple(
    tuple(tuple(COCOPLUS.index(f"{side}_{name}") for side in ("left", "right")) for name in ends)
    for ends in (("shoulder", "hip"), ("hip", "knee"))
)
_ALONG, _ACROSS = (np.linspace(0.15, 0.85, 5), np.linspace(0.15, 0.75, 4)), np.linspace(0.2, 0.8, 4)


@dataclass
class _Track:
    label: str
    seconds: float
    rectangle_px: np.ndarray
    keypoints_px: np.ndarray
    colours: np.ndarray  # (K, 6) of the last looks in which they could be told
    pace_px_per_s: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def moved_px(self, seconds: float) -> np.ndarray:
        """How far (2,) the person has gone since they were last seen: their pace fades."""
        elapsed = seconds - self.seconds
        return self.pace_px_per_s * _PACE_LASTS_S * (1 - np.exp(-elapsed / _PACE_LASTS_S))


@dataclass
class _People:
    """N people of a look: boxes (N, 4), keypoints (N, 17, 3), colours (N, 6)."""

    rectangles_px: np.ndarray
    keypoints_px: np.ndarray
    colours: np.ndarray


@dataclass
class _Look:
    """A look's N people and their ids; `weight` (0 to 1) of what it tells about exchanged ids."""

    seconds: float
    weight: float
    labels: list[str]
    people: list[_Track]


class Tracker:
    """Gives every person of a video an id that stays, look by look; ids are "0", "1", ..."""

    def __init__(self) -> None:
        self._tracks: dict[str, _Track] = {}
        self._settled: dict[str, _Track] = {}  # as they were before `_looks`
        self._looks: deque[_Look] = deque()
        self._given: set[str] = set()
        self._next = 0

    def assign(
        self,
        seconds: float,
        rectangles: Sequence[np.ndarray],
        keypoints: Sequence[np.ndarray | None],
        given: Sequence[str | None] = (),
        colour: Sequence[np.ndarray] = (),
    ) -> list[str]:
        """The ids of a look's N people.

        Args:
            seconds: of the look; not before that of the last one.
            rectangles: N of (4,) left, top, width, height, pixels.
            keypoints: N of (19, 3) cocoplus x, y, confidence, zero where unknown; or None.
            given: ids that the source of the people knows, or None; these are kept.
            colour: N of (6,) what they wear, see `clothes_colour`; unknown if there are none.

        Returns:
            the ids. Looks of the next `SETTLED_AFTER_S` may still change this very list.
        """
        rectangles_px = np.reshape(rectangles, (-1, 4)).astype(np.float64)
        keypoints_px = np.array([_as_coco(points) for points in keypoints]).reshape(-1, 17, 3)
        colours = (
            np.reshape(colour, (-1, 6)) if len(colour) else np.full((len(rectangles), 6), np.nan)
        )
        colours[_covered(rectangles_px)] = np.nan  # it may be somebody else's
        labels: list[str | None] = list(given) or [None] * len(rectangles)
        self._given.update(label for label in labels if label is not None)
        known = self._tracks
        waiting = [track for label, track in known.items() if label not in labels]
        lately = [seconds - track.seconds <= LONGEST_GAP_S + 1e-6 for track in waiting]
        for soon, alike in ((True, _similar), (False, _dressed_alike)):
            free = [index for index, label in enumerate(labels) if label is None]
            lost = [track for track, near in zip(waiting, lately, strict=True) if near is soon]
            people = _People(rectangles_px[free], keypoints_px[free], colours[free])
            for row, column in _pairs(seconds, lost, people, alike):
                labels[free[column]] = lost[row].label
        told = [self._new_label() if label is None else label for label in labels]
        rows = zip(told, rectangles_px, keypoints_px, colours[:, None], strict=True)
        seen = [_Track(label, seconds, *person) for label, *person in rows]
        since_s = seconds - self._looks[-1].seconds if self._looks else np.inf
        self._looks.append(_Look(seconds, min(since_s / _LOOK_LASTS_S, 1.0), told, seen))
        _follow(known, self._looks[-1])
        while seconds - self._looks[0].seconds > SETTLED_AFTER_S:
            _follow(self._settled, self._looks.popleft())
        self._exchange()
        return told

    def _new_label(self) -> str:
        while str(self._next) in self._given:
            self._next += 1
        self._next += 1
        return str(self._next - 1)

    def _exchange(self) -> None:
        """Exchanges the two ids, from one of the looks on, that clothes say most surely."""
        own = [label for label in self._tracks if label not in self._given]
        rows = [
            (at, own.index(label), person.colours)
            for at, look in enumerate(self._looks)
            for label, person in zip(look.labels, look.people, strict=True)
            if label in own and np.isfinite(person.colours).any()
        ]
        known = {n: t for n, t in self._settled.items() if len(t.colours) >= _ENOUGH_LOOKS}
        if not rows or not known:
            return
        looks, ids, colours = (np.array(column) for column in zip(*rows, strict=True))
        people = _People(np.empty(0), np.empty(0), colours[:, 0])
        nobody = np.full(len(rows), _UNKNOWN_CLOTHES)
        fits = np.log(
            [_trust(known[label], people) if label in known else nobody for label in own]
        )  # (L, M) of L ids and M people
        gain = np.zeros((len(self._looks), len(own), len(own)))  # (T, L, L)
        gain[looks, ids] = (fits - fits[ids, np.arange(len(rows))]).T
        gain = np.minimum(gain + gain.swapaxes(1, 2), _MOST_OF_A_LOOK)
        gain *= np.array([look.weight for look in self._looks])[:, None, None]
        total = gain[::-1].cumsum(axis=0)[::-1]  # of each look and all later ones
        since, first, second = np.unravel_index(total.argmax(), total.shape)
        if total[since, first, second] > _SURELY_EXCHANGED:
            self._exchange_pair(own[first], own[second], int(since))

    def _exchange_pair(self, first: str, second: str, since: int) -> None:
        """Exchanges two ids in the looks from number `since` on, and follows their tracks anew."""
        other = {first: second, second: first}
        for label in other:
            self._tracks.pop(label)
            if label in self._settled:
                self._tracks[label] = self._settled[label]
        for at, look in enumerate(self._looks):
            if at >= since:
                look.labels[:] = [other.get(label, label) for label in look.labels]
            _follow(self._tracks, look, tuple(other))


def _pairs(
    seconds: float,
    tracks: list[_Track],
    people: _People,
    alike: Callable[[_Track, float, _People], np.ndarray],
) -> list[tuple[int, int]]:
    """Pairs of a track and a person, the best as a whole; nobody twice."""
    if not tracks or not len(people.rectangles_px):
        return []
    from scipy.optimize import linear_sum_assignment  # slow to import; pictures need not wait

    similar = np.array([alike(track, seconds, people) for track in tracks])
    rows, columns = linear_sum_assignment(-similar)
    chosen = similar[rows, columns] > _LEAST_SIMILAR
    return list(zip(rows[chosen].tolist(), columns[chosen].tolist(), strict=True))


def _covered(rectangles_px: np.ndarray) -> np.ndarray:
    """Whether much of a box lies in another one, (N,)."""
    low, high = rectangles_px[:, :2], rectangles_px[:, :2] + rectangles_px[:, 2:]
    common = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)  # (N, N, 2)
    shares = np.maximum(common, 0).prod(axis=-1) / np.maximum((high - low).prod(axis=-1), 1e-12)
    np.fill_diagonal(shares, 0)
    return (shares > _MUCH_COVERED).any(axis=0)


def _follow(tracks: dict[str, _Track], look: _Look, only: Sequence[str] = ()) -> None:
    """Adds what a look shows to the tracks: to all of them, or to those of some ids only."""
    for label, person in zip(look.labels, look.people, strict=True):
        if not only or label in only:
            tracks[label] = replace(_seen(tracks.get(label), person), label=label)


def _seen(before: _Track | None, track: _Track) -> _Track:
    """The track as it was seen now, with the pace and the colours of what went before."""
    if before is None:
        return track
    looks = [before.colours, track.colours[~np.isnan(track.colours).all(axis=1)]]
    colours, pace = np.concatenate(looks)[-_LOOKS_KEPT:], before.pace_px_per_s
    if track.seconds <= before.seconds:
        return replace(track, colours=colours, pace_px_per_s=pace)
    both = (before.keypoints_px[:, 2] > 0) & (track.keypoints_px[:, 2] > 0)
    both &= both[COCO17_FLIP]
    if both.any():
        away = track.keypoints_px - before.keypoints_px  # which side is left does not matter
        moved = np.median((away + away[COCO17_FLIP])[both, :2] / 2, axis=0)
    else:
        moved = (track.rectangle_px - before.rectangle_px) @ _TO_MIDDLE
    share = _SHARE_OF_NEW_PACE if pace.any() else 1.0
    pace = pace + share * (moved / (track.seconds - before.seconds) - pace)
    return replace(track, colours=colours, pace_px_per_s=pace)


def _as_coco(points: np.ndarray | None) -> np.ndarray:
    points = np.zeros((len(COCOPLUS), 3)) if points is None else points
    return take_joints(points, COCOPLUS, COCO17)


_TO_MIDDLE = np.array([[1, 0], [0, 1], [0.5, 0], [0, 0.5]])


def _similar(track: _Track, seconds: float, people: _People) -> np.ndarray:
    """How like a track each of N people is, (N,) from 0 to 1.

    The mean of OKS and IoU, or IoU alone for who has no keypoints in common with the track; where
    both wear something known, their colours count as much as their places.
    """
    moved = track.moved_px(seconds)
    spread = 1 + _SPREAD_PER_S * (seconds - track.seconds)
    area = AREA_OF_DIAGONAL * (track.rectangle_px[2:] ** 2).sum() * spread**2
    counted = (track.keypoints_px[:, 2] > 0) & (people.keypoints_px[..., 2] > 0)  # (N, 17)
    points = track.keypoints_px[:, :2] + moved
    areas = np.full(len(counted), area)
    # A finder that takes the front for the back exchanges left and right: they do not count here.
    alike = np.maximum(
        oks(people.keypoints_px[..., :2], points, areas, counted),
        oks(people.keypoints_px[:, COCO17_FLIP, :2], points, areas, counted[:, COCO17_FLIP]),
    )
    boxes = iou(track.rectangle_px + [*moved, 0, 0], people.rectangles_px)
    place = np.where(counted.any(axis=1), (alike + boxes) / 2, boxes)
    return place * _trust(track, people)


def _trust(track: _Track, people: _People) -> np.ndarray:
    """How much the clothes of each of N people say that they are the track's, (N,) over 0 to 1."""
    known, clothes = _clothes(track, people)
    return np.where(known > 0, _LEAST_CLOTHES + (1 - _LEAST_CLOTHES) * clothes, _UNKNOWN_CLOTHES)


def _dressed_alike(track: _Track, seconds: float, people: _People) -> np.ndarray:
    """Whether each of N people may be somebody who was away for longer, by their clothes alone."""
    known, clothes = _clothes(track, people)
    return np.where((known > 0) & (clothes > _SURELY_ALIKE), clothes, 0)


def _clothes(track: _Track, people: _People) -> tuple[np.ndarray, np.ndarray]:
    """How many of trunk and thighs are known of both, (N,), and how like they are, 0 to 1."""
    apart = (people.colours - track.colours[:, None]).reshape(-1, len(people.colours), 2, 3)
    shade = apart.mean(axis=3, keepdims=True)
    apart = _HUE_COUNTS * (apart - shade) + _SHADE_COUNTS * shade
    away = np.nan_to_num((apart**2).mean(axis=3), nan=np.inf)  # (K, N, 2)
    rank = (_NEAREST_LOOKS * np.isfinite(away).sum(axis=0, keepdims=True)).astype(int)
    near = np.take_along_axis(np.sort(away, axis=0), rank, axis=0)[0]  # (N, 2)
    known = np.isfinite(near).sum(axis=1)
    mean = np.where(np.isfinite(near), near, 0).sum(axis=1) / np.maximum(known, 1)
    return known, np.exp(-mean / (2 * _COLOUR_SPREAD**2))


def clothes_colour(image: np.ndarray, keypoints: np.ndarray | None) -> np.ndarray:
    """What somebody wears: mean red, green, blue (0 to 1) of trunk and thighs, (6,).

    Args:
        image: (H, W, 3) uint8 RGB.
        keypoints: (19, 3) cocoplus, pixels; a part without its keypoints is nan.
    """
    colour = np.full((2, 3), np.nan)
    if keypoints is None:
        return colour.reshape(-1)
    height, width = image.shape[:2]
    for row, ((tops, ends), share) in enumerate(zip(_PARTS, _ALONG, strict=True)):
        corners = keypoints[[*tops, *ends]]
        if (corners[:, 2] <= 0).any():
            continue
        left, right = (
            a[:2] + share[:, None] * (b - a)[:2]
            for a, b in zip(corners[:2], corners[2:], strict=True)
        )
        places = left[:, None] + _ACROSS[:, None] * (right - left)[:, None]  # (K, A, 2)
        x, y = np.rint(places.reshape(-1, 2)).astype(int).T
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        if inside.any():
            colour[row] = image[y[inside], x[inside]].mean(axis=0) / 255
    return colour.reshape(-1)


def iou(first_px: np.ndarray, second_px: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (..., 4) left, top, width, height; broadcast, (...,)."""
    low = np.maximum(first_px[..., :2], second_px[..., :2])
    high = np.minimum(
        first_px[..., :2] + first_px[..., 2:], second_px[..., :2] + second_px[..., 2:]
    )
    shared = np.maximum(high - low, 0).prod(axis=-1)
    total = first_px[..., 2:].prod(axis=-1) + second_px[..., 2:].prod(axis=-1) - shared
    return shared / np.maximum(total, 1e-12)
