"""Says what is installed, which files are found, and what to do next.

Works without TensorFlow too, and where loading it crashes: it is loaded in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from hmr.errors import EXIT_PARTLY, UserError, VerbParser, printable, to_install
from hmr.files.foreign import parsing, read_json
from hmr.files.shipped import find_shipped
from hmr.processor import describe as describe_processor

DISTRIBUTION = "hmr-tf2"
SUPPORTED_PYTHON = ((3, 11), (3, 13))
PROBE_SECONDS = 180
TENSORFLOW_PROBE = """
import json, tensorflow as tf, keras
devices = [tf.config.experimental.get_device_details(d).get("device_name", d.name)
           for d in tf.config.list_physical_devices("GPU")]
print(json.dumps({"tensorflow": tf.__version__, "keras": keras.__version__,
                  "backend": keras.backend.backend(), "gpus": devices}))
"""
# What a training's folder holds, and what that says about it.
RUN_MARKS = {"config.json": "started", "checkpoints": "can be resumed", "model": "finished"}
EPILOG = """\
examples:
  python -m src.doctor
  python -m src.doctor --data /mnt/tfrecords
  python -m src.doctor --batch runs/hmr/bad_batch_1230.npz

The exit code is 0 when the program can run here, 1 when something in the set-up is broken.
"""


@dataclass
class Report:
    """Lines to print, what is broken, and what to do next."""

    lines: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def section(self, title: str) -> None:
        self.lines.append(f"\n{title}" if self.lines else title)

    def row(self, name: str, value: object) -> None:
        self.lines.append(printable(f"  {name:<28} {value}"))


def report_machine(report: Report) -> None:
    """Python, operating system, cores."""
    version = sys.version_info[:2]
    report.section("Machine")
    report.row("Python", f"{platform.python_version()} at {sys.executable}")
    report.row("system", f"{platform.platform()}, {os.cpu_count()} cores")
    oldest, newest = SUPPORTED_PYTHON
    if not oldest <= version <= newest:
        report.broken.append(
            f"Python {oldest[0]}.{oldest[1]} to {newest[0]}.{newest[1]} is needed, this is "
            f"{version[0]}.{version[1]}. With one of them: {to_install()}"
        )


def report_packages(report: Report) -> None:
    """Installed version of everything that `setup.py` names, by extra."""
    report.section("Packages")
    try:
        requirements = list(map(_parse_requirement, metadata.requires(DISTRIBUTION) or []))
    except ImportError:  # of the project, or of what every installation of it brings
        report.broken.append(f"The project is not installed in this Python: {to_install()}")
        report.row(DISTRIBUTION, "not installed")
        return
    # A package that is needed may be one of an extra as well: it has one row.
    bounds = {name: wanted for name, wanted, _ in reversed(requirements)}
    for name in dict.fromkeys(name for name, _, _ in requirements):
        extras = [extra for other, _, extra in requirements if other == name]
        group = "needed" if "" in extras else f"extra [{', '.join(extras)}]"
        installed = _installed_version(name)
        report.row(name, f"{installed or 'not installed':<16} {bounds[name]:<10} {group}")
        if not installed and "" in extras:
            report.broken.append(f"{name} is missing: {to_install()}")


def _parse_requirement(line: str) -> tuple[str, str, str]:
    """Name, version bound and extra of a line such as `x>=1; extra == "dev"`."""
    from packaging.requirements import Requirement

    wanted = Requirement(line)
    extra = re.search(r'extra == "([\w-]+)"', str(wanted.marker))
    return wanted.name, str(wanted.specifier), extra[1] if extra else ""


def _installed_version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def report_tensorflow(report: Report) -> None:
    """Whether TensorFlow loads, its version and devices."""
    report.section("TensorFlow")
    found, problem = probe_tensorflow()
    if found is None:
        report.row("loads", f"no: {problem}")
        report.broken.append(f"TensorFlow cannot be loaded ({problem}): {to_install()}")
        return
    report.row("loads", f"yes, {found['tensorflow']}")
    report.row("Keras", f"{found['keras']}, backend {found['backend']}")
    report.row("GPUs", ", ".join(found["gpus"]) or "none")
    report.row("processor", describe_processor())
    if not found["gpus"] and Path("/proc/driver/nvidia/version").exists():
        report.advice.append(
            f"An NVIDIA driver is here but TensorFlow sees no GPU: {to_install('gpu')}"
        )


def probe_tensorflow(command: tuple[str, ...] = ()) -> tuple[dict | None, str]:
    """Loads TensorFlow in a process of its own, so that a crash there is reported as a problem.

    Args:
        command: another command to run, which prints the same JSON as its last line.
    Returns:
        what the command printed (None if TensorFlow cannot be loaded), and the problem in one line.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        done = subprocess.run(
            command or (sys.executable, "-c", TENSORFLOW_PROBE),
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer in {PROBE_SECONDS} s"
    if done.returncode < 0:
        return None, f"killed by signal {-done.returncode}; old processors without AVX do this"
    if done.returncode:
        return None, (done.stderr.strip().splitlines() or ["no message"])[-1]
    return json.loads(done.stdout.strip().splitlines()[-1]), ""


def report_models(report: Report, models: Path) -> bool:
    """Body files and model folders; True if the user's SMPL body is there."""
    report.section(f"Body models and weights in {models}")
    for name, made_by in {
        "smpl_neutral.npz": "hmr convert-smpl /path/to/file.pkl",
        "standin_body.npz": "made when it is needed",
        "neutral_smpl_mean_params.h5": "optional; in the authors' models.tar.gz",
    }.items():
        path = models / name
        report.row(name, _describe_body(path) if path.is_file() else f"not there ({made_by})")
    finder = find_shipped("models/finder/movenet_multipose.npz")
    missing = "not there, predict needs boxes (git checkout models/finder)"
    report.row("finder/", f"finds people; {finder.parent}" if finder.is_file() else missing)
    folders = {path.parent for path in models.glob("*/model.json")}
    shipped = find_shipped("models").glob("*/model.json")
    folders |= {path.parent for path in shipped if not (models / path.parent.name).exists()}
    for folder in sorted(folders):
        report.row(f"{folder.name}/", f"model; {folder}")
    return (models / "smpl_neutral.npz").is_file()


def _describe_body(path: Path) -> str:
    size = f"{path.stat().st_size / 1e6:.1f} MB"
    if path.suffix != ".npz":
        return size
    try:
        from hmr.files.safe_npz import load_npz

        return f"{size}, {load_npz(path).get('source', 'no source named')}"
    except ImportError as error:
        return f"{size}, not looked into: {error}"
    except UserError as error:
        return f"unreadable: {error}"


def report_records(report: Report, root: Path) -> int:
    """Converted datasets below `root`; returns how many there are."""
    report.section(f"Records in {root}")
    count = 0
    for path in sorted(root.glob("*/*_manifest.json")):
        count += 1
        name = f"{path.parent.name} {path.name.removesuffix('_manifest.json')}"
        report.row(name, _describe_manifest(path))
    for path in sorted(root.glob("*/.*_in_progress")):
        report.row(path.parent.name, "unfinished: run the same conversion again, it goes on")
    if not count:
        report.row("none", "python -m tfrecords_tools --lsp /path --coco /path ...")
    return count


def _describe_manifest(path: Path) -> str:
    try:
        with parsing(path, "manifest", "Delete it and convert again."):
            manifest = read_json(path)
            return f"{manifest['examples']:,} records in {len(manifest['shards'])} shards"
    except UserError as error:
        return f"unreadable manifest: {error}"


def report_runs(report: Report, runs: Path) -> None:
    """Trainings below `runs`."""
    report.section(f"Trainings in {runs}")
    folders = sorted({path.parent for path in runs.glob("*/*") if path.name in RUN_MARKS})
    for folder in folders:
        states = (state for name, state in RUN_MARKS.items() if (folder / name).exists())
        report.row(folder.name, ", ".join(states))
    if not folders:
        report.row("none", "hmr train --config demo")


def next_steps(report: Report, has_smpl: bool, num_records: int) -> list[str]:
    """What to do now, most urgent first."""
    if report.broken:
        return report.broken
    steps = list(report.advice)
    if not has_smpl:
        steps.append("Try everything without licensed files: make demo (in a checkout)")
        steps.append("Bring your SMPL file in: hmr convert-smpl /path (models/README.md)")
    if not num_records:
        steps.append("Convert datasets: python -m tfrecords_tools --lsp /path (docs/datasets.md)")
    if has_smpl and num_records:
        steps.append("Train: hmr train --config hmr (docs/training.md)")
    return steps


def diagnose_batch(path: Path) -> list[str]:
    """Range and non-finite entries of every array of a saved batch, one line each."""
    import numpy as np

    from hmr.files.safe_npz import load_npz

    lines = []
    for name, value in load_npz(path).items():
        if value.dtype.kind not in "fiu" or not value.size:
            continue
        finite = np.isfinite(value)
        span = f"{value[finite].min():.4g} to {value[finite].max():.4g}" if finite.any() else "-"
        bad = sorted(set(np.argwhere(~finite)[:, 0].tolist())) if value.ndim else []
        note = f"; not finite in samples {bad}" if bad else ""
        lines.append(f"  {name:<28} {value.dtype} {value.shape}, {span}{note}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(description=__doc__, epilog=EPILOG)
    parser.add_argument("--models", type=Path, default=Path("models"), help="default: models")
    parser.add_argument("--data", type=Path, default=Path("data/tfrecords"), help="records' root")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="default: runs")
    parser.add_argument("--batch", type=Path, help="look into a batch saved by a stopped training")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    if options.batch:
        print("\n".join(diagnose_batch(options.batch)))
        return 0
    report = Report()
    report_machine(report)
    report_packages(report)
    report_tensorflow(report)
    has_smpl = report_models(report, options.models)
    num_records = report_records(report, options.data)
    report_runs(report, options.runs)
    report.section("Next")
    report.lines.extend(f"  {step}" for step in next_steps(report, has_smpl, num_records))
    print("\n".join(report.lines))
    return EXIT_PARTLY if report.broken else 0
