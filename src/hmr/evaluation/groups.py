"""How a protocol picks its samples and divides them: cameras, trials, actions, scenes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import numpy as np

from hmr.errors import UserError

_H36M_SEQUENCE = re.compile(r"S(\d+)_([A-Za-z]+)_(\d)_cam(\d)")
# The paper's columns. The authors' files spell WalkingDog "WakingDog", the dataset abbreviates.
H36M_ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "TakingPhoto", "Posing",
    "Purchases", "Sitting", "SittingDown", "Smoking", "Waiting", "WalkDog", "Walking",
    "WalkTogether",
)  # fmt: skip
_H36M_SPELLINGS = {
    "WakingDog": "WalkDog",
    "WalkingDog": "WalkDog",
    "WalkingTogether": "WalkTogether",
    "Photo": "TakingPhoto",
    "Purchasing": "Purchases",
}
_MPI_INF_3DHP_SCENES = {
    "TS1": "green screen",
    "TS2": "green screen",
    "TS3": "no green screen",
    "TS4": "no green screen",
    "TS5": "outdoor",
    "TS6": "outdoor",
}
FRONTAL_CAMERA = "3"


def h36m_parts(sequence: str) -> tuple[str, str, str, str]:
    """Subject, action, trial and camera of a name like S9_Directions_0_cam3.

    Raises:
        UserError: the name has another form.
    """
    match = _H36M_SEQUENCE.fullmatch(sequence)
    if match is None:
        raise UserError(
            "Human3.6M records must name their sequence as S9_Directions_0_cam3 (subject, action, "
            f"trial 0 or 1, camera 0 to 3) in meta/sequence. Received: {sequence!r}"
        )
    subject, action, trial, camera = match.groups()
    return subject, _H36M_SPELLINGS.get(action, action), trial, camera


def _h36m_action(sequence: str) -> str:
    return h36m_parts(sequence)[1]


def _scene(sequence: str) -> str:
    if sequence not in _MPI_INF_3DHP_SCENES:
        raise UserError(
            "MPI-INF-3DHP's test records must name their sequence TS1 to TS6 in meta/sequence. "
            f"Received: {sequence!r}"
        )
    return _MPI_INF_3DHP_SCENES[sequence]


def _frontal(sequence: str) -> bool:
    return h36m_parts(sequence)[3] == FRONTAL_CAMERA


def _frontal_first_trial(sequence: str) -> bool:
    return _frontal(sequence) and h36m_parts(sequence)[2] == "0"


GROUPS: dict[str, Callable[[str], str]] = {"action": _h36m_action, "scene": _scene}
"""Name of a division -> the group of a sequence. `activity` is the record's own."""

SELECTIONS: dict[str, Callable[[str], bool]] = {
    "": lambda sequence: True,
    "camera 3": _frontal,
    "camera 3, first trial": _frontal_first_trial,
}
"""Which sequences a protocol scores."""


def divide(division: str, sequences: np.ndarray, activities: np.ndarray) -> np.ndarray:
    """The group of every sample, (N,) str."""
    if division == "activity":
        return activities
    return _by_sequence(GROUPS[division], sequences)


def select(selection: str, sequences: np.ndarray) -> np.ndarray:
    """Which samples a protocol scores, (N,) bool."""
    return _by_sequence(SELECTIONS[selection], sequences).astype(bool)


def in_order(groups: Iterable[str]) -> list[str]:
    """Human3.6M's actions as the paper's table has them; all else by name."""
    place = {action: index for index, action in enumerate(H36M_ACTIONS)}
    return sorted(groups, key=lambda group: (place.get(group, len(place)), group))


def _by_sequence(function: Callable, sequences: np.ndarray) -> np.ndarray:
    names, inverse = np.unique(sequences, return_inverse=True)
    return np.array([function(str(name)) for name in names])[inverse]
