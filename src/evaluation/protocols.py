"""Evaluation protocols by name: one row each, and nothing about them decided elsewhere.

Numbers of this field differ by protocol more than by method, so every choice is a field here, and
`describe` prints them all above the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from src.errors import UserError


@dataclass(frozen=True)
class Protocol:
    """What is measured, on which samples, and how it is averaged.

    Attributes:
        name: what `--protocol` takes.
        title: one line for people.
        dataset, split: the records that are read.
        measures: keys of `src.evaluation.scoring.MEASURES`, in the order of the table.
        joints: which joints the 3D measures count.
        root: key of `src.evaluation.metrics.ROOTS` that MPJPE centres on.
        boxes: what the crops are cut around.
        frames: which frames are scored.
        averaging: how the samples become one number.
        baseline_split: split of the same dataset that the constant answers come from; "" for none.
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


_BODY_MEASURES = ("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_px")

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
        measures=(*_BODY_MEASURES, "pck150", "auc150", "pa_pck150", "pa_auc150"),
        frames="those the converter kept: a joint moved 200 mm since the last one",
        baseline_split="train",
    ),
    Protocol(
        name="keypoints2d",
        title="2D keypoints of the LSP test images",
        dataset="lsp",
        split="test",
        measures=("pck2d_005", "pck2d_010", "keypoint_error_px"),
        joints="the visible ones of cocoplus' 19",
        root="none",
        averaging="every visible keypoint counts alike",
    ),
)
PROTOCOLS: dict[str, Protocol] = {row.name: row for row in _ROWS}


def find_protocol(name: str) -> Protocol:
    """The protocol of a name.

    Raises:
        UserError: with the known names.
    """
    if name not in PROTOCOLS:
        raise UserError(
            f"unknown protocol. Expected one of {', '.join(PROTOCOLS)}. Received: {name!r}"
        )
    return PROTOCOLS[name]


def describe(protocol: Protocol, num_samples: int) -> str:
    """Every choice of a protocol, one a line, to stand above its numbers."""
    lines = {
        "protocol": f"{protocol.name}: {protocol.title}",
        "samples": f"{num_samples} of {protocol.dataset}/{protocol.split}; {protocol.frames}",
        "crops": protocol.boxes,
        "joints": protocol.joints,
        "root": protocol.root,
        "averaging": protocol.averaging,
    }
    if protocol.baseline_split:
        lines["constant"] = f"mean body and keypoints of {protocol.baseline_split}"
    return "\n".join(f"{key:<10} {text}" for key, text in lines.items())
