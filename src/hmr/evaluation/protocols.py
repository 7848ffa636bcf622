"""The evaluation protocols, one row each: whatever a protocol decides is a field of its row.

Published numbers differ by protocol more than by method, so `choices` prints every field above the
numbers. Below the rows: how a protocol selects samples and divides them into groups by camera,
trial, action or scene.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from hmr.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """What is measured, on which samples, and how it is averaged.

    Attributes:
        name: what `--protocol` takes.
        title: one line for people.
        dataset, split: the records that are read.
        measures: keys of `hmr.evaluation.measures.MEASURES`, in the order of the table.
        joints: which joints the 3D measures count.
        root: key of `hmr.evaluation.metrics.ROOTS` that MPJPE centres on.
        boxes: what the crops are cut around.
        frames: which frames are scored.
        averaging: how the samples become one number.
        baseline_split: split of the same dataset that the constant answers come from; "" for none.
        selection: key of `SELECTIONS`: the sequences that are scored.
        divisions: keys of `DIVISIONS`, or "activity": a table for each.
        mean_over: the division whose groups count alike in a second average, beside the one over
            samples; a group's value is the mean of its sequences' means. "" for none.
        perspective: turn each prediction by the ray through its crop's centre before 3D measures
            (Mehta et al. 2017), since a weak-perspective crop is estimated as if straight ahead.
        reference: key of `hmr.evaluation.references.REFERENCES`: the source of ground truth that
            records do not hold.
    """

    name: str
    title: str
    dataset: str
    split: str
    measures: tuple[str, ...]
    joints: str = "LSP's 14"
    root: str = "hip_midpoint"
    boxes: str = "the record's: keypoint box of the ground truth, diagonal 150 px, no jitter"
    frames: str = "every record of the split"
    averaging: str = "every sample counts alike; 2D measures: every visible keypoint counts alike"
    baseline_split: str = ""
    selection: str = ""
    divisions: tuple[str, ...] = ()
    mean_over: str = ""
    perspective: bool = False
    reference: str = ""

    def of(self, dataset: str | None, split: str | None) -> Protocol:
        """The same measures on other records; None keeps the row's dataset, or its split.

        Raises:
            UserError: the protocol reads names or files that only its own dataset has.
        """
        if not dataset or dataset == self.dataset:
            return replace(self, split=split or self.split)
        if self.selection or self.reference:
            raise UserError(
                f"{self.name} scores {self.dataset} only: it reads "
                f"{f'{self.reference} of it' if self.reference else 'its names of sequences'}. "
                "Other records: --protocol joints3d or keypoints2d. Received: --dataset "
                f"{dataset}"
            )
        return replace(
            self,
            title=f"the measures of: {self.title}",
            dataset=dataset,
            split=split or self.split,
            frames=Protocol.frames,
            averaging=Protocol.averaging if self.divisions else self.averaging,
            divisions=tuple(name for name in self.divisions if name not in DIVISIONS),
            mean_over="",
        )


_BODY_MEASURES = ("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_px")

_PCK_MEASURES = ("pck150", "auc150", "mpjpe_mm", "pa_pck150", "pa_auc150", "pa_mpjpe_mm")


def _h36m(name: str, title: str, measures: tuple[str, ...], selection: str = "") -> Protocol:
    return Protocol(
        name=name,
        title=f"Human3.6M, {title}",
        dataset="h36m",
        split="test",
        measures=measures,
        frames=f"subjects S9 and S11, every 5th frame; {selection or 'all cameras and trials'}",
        averaging="samples alike; beside it the mean over 15 actions of their sequences' means",
        selection=selection,
        divisions=("action",),
        mean_over="action",
    )


def _3dpw(name: str, joints: str, root: str, reference: str) -> Protocol:
    return Protocol(
        name=name,
        title=f"3DPW, the later benchmark; {joints}",
        dataset="3dpw",
        split="test",
        measures=("mpjpe_mm", "pa_mpjpe_mm", "pve_mm"),
        joints=f"{joints}; ground truth from gendered bodies",
        root=root,
        frames="every person with a valid camera and 6 keypoints or more",
        averaging="every person in every picture counts alike; PVE about the same root",
        reference=reference,
    )


_ROWS = (
    Protocol(
        name="stand_in",
        title="stand-in people, held-out subject, bodies and poses",
        dataset="mpi_inf_3dhp",
        split="val",
        measures=_BODY_MEASURES,
        baseline_split="train",
    ),
    Protocol(
        name="mpi_inf_3dhp_val",
        title="MPI-INF-3DHP, validation subject S8 (the paper's choice for hyper-parameters)",
        dataset="mpi_inf_3dhp",
        split="val",
        measures=(*_PCK_MEASURES, "keypoint_error_px"),
        frames="those the converter kept: a joint moved 200 mm since the last one",
        baseline_split="train",
    ),
    Protocol(
        name="mpi_inf_3dhp",
        title="MPI-INF-3DHP test set, the paper's table 3",
        dataset="mpi_inf_3dhp",
        split="test",
        measures=_PCK_MEASURES,
        joints="14 (the official tool's groups for PCK and AUC; MPJPE of the same 14)",
        frames="those marked valid, 2929 in TS1 to TS6; ground truth as converted (univ_annot3)",
        divisions=("activity", "scene"),
        perspective=True,
    ),
    _h36m("h36m_p1", "protocol 1: all cameras", ("mpjpe_mm", "pa_mpjpe_mm")),
    _h36m(
        "h36m_p2",
        "protocol 2 as the authors' code reads it: frontal camera, first trial",
        ("pa_mpjpe_mm", "mpjpe_mm"),
        "camera 3, first trial",
    ),
    _h36m(
        "h36m_p2_both_trials",
        "protocol 2 as later work reads it: frontal camera, both trials",
        ("pa_mpjpe_mm", "mpjpe_mm"),
        "camera 3",
    ),
    Protocol(
        name="joints3d",
        title="3D joints of any records (--dataset NAME --split SPLIT)",
        dataset="mine",
        split="test",
        measures=("mpjpe_mm", "pa_mpjpe_mm", "pck150", "auc150", "keypoint_error_px"),
        baseline_split="train",
    ),
    Protocol(
        name="keypoints2d",
        title="2D keypoints of the LSP test images, or of any records",
        dataset="lsp",
        split="test",
        measures=("pck2d_005", "pck2d_010", "keypoint_error_px"),
        joints="the visible ones of cocoplus' 19",
        root="none",
        averaging="every visible keypoint counts alike",
    ),
    Protocol(
        name="lsp_segmentation",
        title="LSP test images, foreground and six parts, the paper's table 4",
        dataset="lsp",
        split="test",
        measures=("parts_accuracy", "parts_f1", "foreground_accuracy", "foreground_f1"),
        joints="none: meshes are drawn by this project's z-buffer and compared in whole pictures",
        root="none",
        averaging="pixels of all pictures pooled; F1 over 2 and 7 classes, background included; "
        "255 is background in accuracy, left out of F1",
        reference="segmentation",
    ),
    _3dpw("3dpw", "LSP's 14 by the bodies' own regressors", "hip_midpoint", "gendered bodies"),
    _3dpw(
        "3dpw_h36m_joints",
        "LSP's 14 by Human3.6M's regressor, as in SPIN",
        "pelvis_h36m17",
        "gendered bodies, Human3.6M's joints",
    ),
)
PROTOCOLS: dict[str, Protocol] = {row.name: row for row in _ROWS}
# Videos hold no records: `hmr.studies.videos` scores them.
VIDEOS = "stand_in_video"
VIDEOS_TITLE = "stand-in videos: ids, trembling, sliding feet, before and after smoothing"


def find_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UserError: with the known names.
    """
    if name not in PROTOCOLS:
        raise UserError(
            f"unknown protocol. Expected one of {', '.join([*PROTOCOLS, VIDEOS])}. "
            f"Received: {name!r}"
        )
    return PROTOCOLS[name]


@dataclass(frozen=True)
class Evaluation:
    """What to evaluate. Exactly one of `checkpoint` and `predictions` is given.

    Attributes:
        protocol: name in `PROTOCOLS`.
        dataset, split: other records than the protocol's; None for these.
        data: folder of the records.
        checkpoint: model folder or training folder.
        predictions: .npz of any method, see `hmr.evaluation.samples.read_predictions`.
        body: another body file than the checkpoint's, or the predictions' body file.
        fit: move the model's bodies onto the true keypoints, and score them before and after.
        batch_size: images at a time.
        limit: how many records, from the first; None for all.
        segmentation: UPi-S1h's folder, for `lsp_segmentation`.
        parts: file with the part of every vertex; the skinning weights decide if None.
        male, female: bodies of 3DPW's ground truth.
        joint_regressor: Human3.6M's, for `3dpw_h36m_joints`.
    """

    protocol: str
    data: str
    checkpoint: str | None = None
    predictions: str | None = None
    body: str | None = None
    batch_size: int = 64
    limit: int | None = None
    segmentation: str | None = None
    parts: str | None = None
    male: str | None = None
    female: str | None = None
    joint_regressor: str | None = None
    fit: bool = False
    dataset: str | None = None
    split: str | None = None

    def chosen(self) -> Protocol:
        """The protocol, on the records that are asked for.

        Raises:
            UserError: it is unknown, or scores its own dataset only.
        """
        return find_protocol(self.protocol).of(self.dataset, self.split)

    def __post_init__(self) -> None:
        if bool(self.checkpoint) == bool(self.predictions):
            raise UserError(
                "give a model (--checkpoint runs/demo) or predictions (--predictions FILE.npz), "
                f"one of them. Received: {self.checkpoint!r} and {self.predictions!r}"
            )
        if self.fit and not self.checkpoint:
            raise UserError("--fit moves a model's bodies: it needs --checkpoint")


def choices(protocol: Protocol, num_samples: int, notes: Mapping[str, str]) -> dict[str, str]:
    """What is printed above the numbers: name -> text of each choice of a protocol, then notes."""
    lines = {
        "protocol": f"{protocol.name}: {protocol.title}",
        "samples": f"{num_samples} of {protocol.dataset}/{protocol.split}; {protocol.frames}",
        "crops": protocol.boxes,
        "joints": protocol.joints,
        "root": protocol.root,
        "averaging": protocol.averaging,
        "alignment": "PA: scale, rotation, translation by Procrustes, no reflection",
        "rotation": "predictions turned by the ray through the crop's centre",
        "constant": f"mean body and keypoints of {protocol.baseline_split}",
    }
    aligned = any(name.startswith("pa_") for name in protocol.measures)
    applies = {
        "alignment": aligned,
        "rotation": protocol.perspective,
        "constant": bool(protocol.baseline_split),
    }
    return {key: text for key, text in lines.items() if applies.get(key, True)} | dict(notes)


_H36M_SEQUENCE = re.compile(
    r"S(?P<subject>\d+)_(?P<action>[A-Za-z]+)_(?P<trial>\d)_cam(?P<camera>\d)"
)
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
_FRONTAL_CAMERA = "3"


def _h36m_parts(sequence: str) -> dict[str, str]:
    """`subject`, `action`, `trial` and `camera` of a name like S9_Directions_0_cam3.

    Raises:
        UserError: the name has another form.
    """
    match = _H36M_SEQUENCE.fullmatch(sequence)
    if match is None:
        raise UserError(
            "Human3.6M records must name their sequence as S9_Directions_0_cam3 (subject, action, "
            f"trial 0 or 1, camera 0 to 3) in meta/sequence. Received: {sequence!r}"
        )
    return match.groupdict()


def _h36m_action(sequence: str) -> str:
    action = _h36m_parts(sequence)["action"]
    return _H36M_SPELLINGS.get(action, action)


def _scene(sequence: str) -> str:
    if sequence not in _MPI_INF_3DHP_SCENES:
        raise UserError(
            "MPI-INF-3DHP's test records must name their sequence TS1 to TS6 in meta/sequence. "
            f"Received: {sequence!r}"
        )
    return _MPI_INF_3DHP_SCENES[sequence]


def _frontal(sequence: str) -> bool:
    return _h36m_parts(sequence)["camera"] == _FRONTAL_CAMERA


def _frontal_first_trial(sequence: str) -> bool:
    return _frontal(sequence) and _h36m_parts(sequence)["trial"] == "0"


DIVISIONS: dict[str, Callable[[str], str]] = {"action": _h36m_action, "scene": _scene}
"""Name of a division -> the group of a sequence. `activity` is the record's own."""

SELECTIONS: dict[str, Callable[[str], bool]] = {
    "": lambda sequence: True,
    "camera 3": _frontal,
    "camera 3, first trial": _frontal_first_trial,
}
"""Which sequences a protocol scores."""


def group_labels(division: str, sequences: np.ndarray, activities: np.ndarray) -> np.ndarray:
    """The group of every sample, (N,) str."""
    if division == "activity":
        return activities
    return _by_sequence(DIVISIONS[division], sequences)


def select_sequences(selection: str, sequences: np.ndarray) -> np.ndarray:
    """Which samples a protocol scores, (N,) bool, by the sequences (N,) that they belong to."""
    return _by_sequence(SELECTIONS[selection], sequences).astype(bool)


def sorted_groups(groups: Iterable[str]) -> list[str]:
    """Human3.6M's actions as the paper's table has them; all else by name."""
    place = {action: index for index, action in enumerate(H36M_ACTIONS)}
    return sorted(groups, key=lambda group: (place.get(group, len(place)), group))


def _by_sequence(function: Callable, sequences: np.ndarray) -> np.ndarray:
    names, inverse = np.unique(sequences, return_inverse=True)
    return np.array([function(str(name)) for name in names])[inverse]
