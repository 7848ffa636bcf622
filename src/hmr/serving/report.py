"""What an export came to: its differences to the Keras model, its size, its speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hmr.errors import UserError
from hmr.geometry.crop import CROP_SIZE

Differences = dict[str, dict[str, float]]
# One answered request: the signature, the Keras model's outputs, the export's.
Answer = tuple[str, Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class ExportReport:
    """What an export came to.

    Attributes:
        path: the SavedModel's folder, or the file.
        export_max_abs_diff: largest difference to the Keras model, over signatures and outputs.
        differences: signature -> output -> largest difference; of pixels in halves of a crop.
        megabytes: size of folder or file, 10^6 bytes.
        milliseconds: median time of one crop in the fresh process, on this machine's CPU or GPU.
        warmup_requests: how many were written; 0 without tensorflow-serving-api.
    """

    path: str
    export_max_abs_diff: float
    differences: Differences
    megabytes: float
    milliseconds: float
    warmup_requests: int = 0


def compare(answers: Iterable[Answer], limit: float) -> Differences:
    """Signature -> output -> largest difference; an output that is not finite counts as nan.

    Args:
        answers: of all requests.
        limit: for outputs of up to 1; of larger ones for each 1 of the largest value, since float32
            keeps a number of digits. A trained model's are about 1.
    Raises:
        UserError: an output differs by more than the limit, or is not finite.
    """
    largest: Differences = {}
    scales: Differences = {}
    for signature, expected, received in answers:
        outputs, sizes = largest.setdefault(signature, {}), scales.setdefault(signature, {})
        for name, values in expected.items():
            difference = np.abs(received[name] - values) / _unit(name)
            outputs[name] = float(np.max(difference, initial=outputs.get(name, 0.0)))
            size = np.abs(values) / _unit(name)
            sizes[name] = float(np.max(size, initial=sizes.get(name, 1.0)))
    differing = [
        f"{signature}/{name} by {value:.2g}"
        for signature, outputs in largest.items()
        for name, value in outputs.items()
        if not value <= limit * scales[signature][name]
    ]
    if differing:
        raise UserError(
            f"the export differs from the Keras model by more than {limit:g}: "
            f"{', '.join(differing)}. It was not kept. python -m src.doctor shows the versions to "
            "report."
        )
    return largest


def largest_of(differences: Differences) -> float:
    """The largest difference of all."""
    return max(value for outputs in differences.values() for value in outputs.values())


def size_megabytes(path: Path) -> float:
    """Of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def _unit(output: str) -> float:
    """Pixels are compared as `keypoints2d` is: in halves of a crop."""
    return CROP_SIZE / 2 if output.endswith("_px") else 1.0
