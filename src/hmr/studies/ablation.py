"""Compares three trainings as section 4.3 of the paper does: python -m hmr.studies.ablation

(a) with paired 3D labels, (b) without them, (c) without them and without discriminators. In (c)
2D keypoints fit as well and the bodies are "monsters". Reads what `make ablation` left in
runs/ablation/paired, unpaired and no_prior, prints the table, and writes ablation.json and
ablation.jpg: the same held-out people by all three.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from hmr.errors import UserError, VerbParser, run_verb
from hmr.files.foreign import read_json
from hmr.files.whole import write_text

RUNS = {
    "paired": "(a) paired 3D, discriminators",
    "unpaired": "(b) no paired 3D, discriminators",
    "no_prior": "(c) no paired 3D, none",
}
KEYS = ("mpjpe_mm", "pa_mpjpe_mm", "keypoint_error_px")
RESULT_FILE, PICTURE_FILE = "ablation.json", "ablation.jpg"
# (c) counts as good as (b) in 2D up to this factor.
_AS_GOOD = 1.05
PEOPLE = 8
_VIEWS = ("body", "from the left")


def _parser() -> argparse.ArgumentParser:
    parser = VerbParser(prog="python -m hmr.studies.ablation", description=__doc__)
    parser.add_argument(
        "--workdir", type=Path, default=Path("runs/ablation"), help="(runs/ablation)"
    )
    parser.add_argument("--data", default="data/standin", help="records (data/standin)")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the verb."""
    options = _parser().parse_args(arguments)
    results = read_results(options.workdir)
    claims = check_claims(results)
    content = {"runs": results, "claims": claims}
    write_text(options.workdir / RESULT_FILE, json.dumps(content, indent=2) + "\n")
    print(table(results))
    print()
    print("\n".join(f"{'yes' if holds else 'NO':<5}{claim}" for claim, holds in claims.items()))
    picture = options.workdir / PICTURE_FILE
    draw(options.workdir, options.data, picture)
    print(f"\nthe same people by all three: {picture}")
    return 0


def read_results(workdir: Path) -> dict[str, dict[str, float]]:
    """Run -> the keys of `KEYS` and of training.json, on people and poses never seen.

    Raises:
        UserError: a run has not been trained or evaluated.
    """
    wanted = (*KEYS, *(f"mean_body_{key}" for key in KEYS), "steps", "seconds")
    results = {}
    for run in RUNS:
        metrics = _read(workdir / run / "evaluation" / "metrics.json")["metrics"]
        numbers = _read(workdir / run / "training.json") | metrics
        results[run] = {key: numbers[key] for key in wanted}
    return results


def _read(path: Path) -> dict:
    if not path.is_file():
        raise UserError(f"{path} is missing: run the whole with make ablation.")
    return read_json(path)


def check_claims(results: dict[str, dict[str, float]]) -> dict[str, bool]:
    """Claim of the paper's section 4.3 -> whether the measured numbers agree with it."""
    paired, unpaired, no_prior = (results[run] for run in RUNS)

    def rises(key: str) -> bool:
        return paired[key] < unpaired[key] < no_prior[key]

    as_good = no_prior["keypoint_error_px"] <= _AS_GOOD * unpaired["keypoint_error_px"]
    return {
        "MPJPE: a < b < c": rises("mpjpe_mm"),
        "PA-MPJPE: a < b < c": rises("pa_mpjpe_mm"),
        "2D error: c is as good as b": as_good,
    }


def table(results: dict[str, dict[str, float]]) -> str:
    """The three runs and the best constant answers as text for the terminal."""
    columns = (*KEYS, "steps", "seconds")
    heads = ("MPJPE mm", "PA-MPJPE mm", "2D px of 224", "steps", "seconds")
    lines = [f"{'unseen people and poses':<36}" + "".join(f"{head:>14}" for head in heads)]
    for run, title in RUNS.items():
        cells = (f"{results[run][key]:>14.{1 if key in KEYS else 0}f}" for key in columns)
        lines.append(f"{title:<36}" + "".join(cells))
    constant = next(iter(results.values()))
    cells = (f"{constant[f'mean_body_{key}']:>14.1f}" for key in KEYS)
    return "\n".join([*lines, f"{'best constant answer':<36}" + "".join(cells)])


def draw(workdir: Path, data: str, path: Path) -> None:
    """Held-out people, evenly from the split: each run's body over the crop and from the side."""
    from hmr.evaluation.protocols import Evaluation
    from hmr.evaluation.run import evaluate
    from hmr.evaluation.sample_views import captioned
    from hmr.files.images import write_image

    columns: list[list[np.ndarray]] = []
    for run, title in RUNS.items():
        result = evaluate(Evaluation("stand_in", data, checkpoint=str(workdir / run)))
        chosen = np.linspace(0, len(result.truth) - 1, PEOPLE).astype(int).tolist()
        people = result.draw(chosen)
        if not columns:
            columns.append([captioned(person.views["labels"], "labels") for person in people])
        for view in _VIEWS:
            caption = f"{title[:3]} {view}"
            columns.append([captioned(person.views[view], caption) for person in people])
    rows = [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)]
    write_image(path, np.concatenate(rows, axis=0))


if __name__ == "__main__":
    run_verb(main)
