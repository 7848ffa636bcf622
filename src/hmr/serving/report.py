"""The check of an export, which is run in a fresh process: differences, size, speed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hmr.errors import UserError
from hmr.files.foreign import read_text
from hmr.files.whole import write_text
from hmr.geometry.crop import CROP_SIZE
from hmr.serving import rerun
from hmr.settings import read_settings

# Version of the files that `write_report` writes; raised when a field's meaning changes.
REPORT_VERSION = 1
_MAX_BYTES = 1 << 20
# The signatures, see `hmr.serving.signatures`.
FROM_IMAGES, FROM_CROPS, FROM_PICTURES = "from_images", "from_crops", "from_pictures"
MAX_ABS_DIFF = 1e-4
_LINES_OF_ERROR = 5

Differences = dict[str, dict[str, float]]
# A signature, and its inputs by name.
Request = tuple[str, dict[str, np.ndarray]]
Outputs = dict[str, np.ndarray]
# One answered request: the signature, the Keras model's outputs, the export's.
Answer = tuple[str, Mapping[str, np.ndarray], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class ExportReport:
    """The result of an export and its check.

    Attributes:
        path: the SavedModel's folder, or the file.
        export_max_abs_diff: largest difference to the Keras model, over signatures and outputs.
        differences: signature -> output -> largest difference; pixels in units of half a crop.
        megabytes: size of folder or file, 10^6 bytes.
        milliseconds: median time of one crop in the fresh process, on this machine's CPU or GPU.
        warmup_requests: how many were written; 0 without tensorflow-serving-api.
        source: where the model comes from.
        signatures: of a SavedModel: signature -> inputs and outputs -> name -> meaning.
        inputs, outputs: of a file: name -> shape and meaning.
        version: of the file it was read from; files from before this field have version 1.
    """

    path: str
    export_max_abs_diff: float
    differences: Differences
    megabytes: float
    milliseconds: float
    warmup_requests: int = 0
    source: str = ""
    signatures: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    version: int = 1


def write_report(path: str | os.PathLike, report: ExportReport) -> None:
    """Writes a report as JSON, without the fields that this kind of export does not have."""
    content = {name: value for name, value in asdict(report).items() if value != {}}
    content["version"] = REPORT_VERSION
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_report(path: Path) -> ExportReport:
    """Reads what this or an earlier version of `write_report` wrote.

    Raises:
        UserError: it is not a report, or holds a field that this version does not know.
    """
    try:
        report = read_settings(ExportReport, json.loads(read_text(path, _MAX_BYTES)), str(path))
        is_newer = report.version > REPORT_VERSION
    except UserError:
        raise
    except Exception as error:  # whatever damage leads to
        raise UserError(
            f"{path} is not an export's report ({error}): run python -m src.export again."
        ) from error
    if is_newer:
        raise UserError(
            f"{path} has version {report.version}, expected at most {REPORT_VERSION}: it was "
            "written by a newer release. Update this one."
        )
    return report


def check_export(
    export: Path, requests: Sequence[Request], expected: Sequence[Outputs], limit: float
) -> ExportReport:
    """Runs an export in a fresh process and compares its outputs with the Keras model's.

    Args:
        export: the SavedModel's folder, or the file.
        requests: the requests that it answers.
        expected: the Keras model's outputs for each.
        limit: see `compare`.
    Raises:
        UserError: the export does not run, or an output differs by more than the limit.
    """
    received, milliseconds = _run_fresh(export, requests)
    signatures = [signature for signature, _ in requests]
    differences = compare(zip(signatures, expected, received, strict=True), limit)
    largest = max(value for outputs in differences.values() for value in outputs.values())
    return ExportReport(str(export), largest, differences, _size_megabytes(export), milliseconds)


def _run_fresh(export: Path, requests: Sequence[Request]) -> tuple[list[Outputs], float]:
    """The outputs of every request, and the median time of the last in milliseconds."""
    inputs: dict[str, Any] = {
        # NumPy cuts zero bytes off the end of "S" strings; JPEG and PNG files do not end in one.
        f"{index}/{signature}/{name}": array.astype("S") if array.dtype == object else array
        for index, (signature, arrays) in enumerate(requests)
        for name, array in arrays.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / rerun.INPUTS_FILE, **inputs)
        # -I keeps the user's own folders and variables out.
        command = [sys.executable, "-I", rerun.__file__, str(export), folder]
        finished = subprocess.run(command, capture_output=True, text=True)
        if finished.returncode:
            last_lines = " | ".join(finished.stderr.strip().splitlines()[-_LINES_OF_ERROR:])
            raise UserError(f"the export does not run in a process of its own: {last_lines}")
        outputs: list[Outputs] = [{} for _ in requests]
        with np.load(Path(folder) / rerun.OUTPUTS_FILE, allow_pickle=False) as stored:
            for key in stored.files:
                index, _, name = key.partition("/")
                if name:
                    outputs[int(index)][name] = stored[key]
            return outputs, float(stored["milliseconds"])


def compare(answers: Iterable[Answer], limit: float) -> Differences:
    """Signature -> output -> largest difference; an output that is not finite counts as nan.

    Args:
        answers: of all requests.
        limit: largest difference of outputs up to 1, about which a trained model's are; for larger
            outputs it grows with the largest value, as float32's rounding does.
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


def _size_megabytes(path: Path) -> float:
    """Size of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def _unit(output: str) -> float:
    """Pixels are compared as `keypoints2d` is: in halves of a crop."""
    return CROP_SIZE / 2 if output.endswith("_px") else 1.0
