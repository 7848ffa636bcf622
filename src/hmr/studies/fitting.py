"""Searches the weights of `hmr.fitting.fit` on the stand-in validation split.

Command:  python -m hmr.studies.fitting --checkpoint models/demo_standin --data data/standin
Needs:    data/standin and a trained model.
Result:   a table, which docs/results.md holds: errors of the network alone and after fits with
          other weights, to the true keypoints and to those with 5 px noise of which a fifth is
          missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hmr.data.shards import find_shards
from hmr.errors import VerbParser, run_verb
from hmr.evaluation.protocols import PROTOCOLS
from hmr.geometry.crop import CROP_SIZE

if TYPE_CHECKING:
    from hmr.evaluation.samples import Prediction, Truth
    from hmr.fitting.fit import FitSettings

NOISE_PX, MISSING = 5.0, 0.2
# Around the weights that are set, each of these is changed alone; the root's follows the joints'.
_ROOT_PER_POSE = 3.0
_TRIED: dict[str, tuple[Any, ...]] = {
    "pose": (16.0, 26.0, 38.0, 64.0),
    "root": (31.0, 186.0),
    "beta": (1.0, 10.0),
    "adversarial": (0.3, 3.0, 10.0, 30.0),
    "noise_px": (0.25, 1.0),
    "outlier_px": (20.0, 60.0),
}


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m hmr.studies.fitting`."""
    parser = VerbParser(prog="python -m hmr.studies.fitting", description=__doc__)
    parser.add_argument("--checkpoint", default="models/demo_standin", help="model folder")
    parser.add_argument("--data", default="data/standin", help="folder of the records")
    parser.add_argument("--protocol", default="stand_in", help="whose records are fitted")
    parser.add_argument("--default", action="store_true", help="only the weights that are set")
    parser.add_argument("--only", choices=_TRIED, help="the one weight that is changed")
    options = parser.parse_args(arguments)

    # Keras takes seconds to import: what the flags get wrong comes first.
    from hmr.evaluation.samples import moved_onto_keypoints, predict_split
    from hmr.fitting.fit import FitSettings, Fitter
    from hmr.network.checkpoint import load_model

    protocol = PROTOCOLS[options.protocol]
    model = load_model(options.checkpoint, with_discriminator=True)
    paths = find_shards(options.data, protocol.dataset, protocol.split)
    network, truth = predict_split(model, paths, 64, selection=protocol.selection)
    noisy = _disturbed(truth, np.random.default_rng(0))
    columns = [*_TRIED, "MPJPE mm", "PA-MPJPE mm", "noisy", "noisy PA"]
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    print(f"| network alone | | | | | | {_errors(network, truth)} | {_errors(network, truth)} |")
    for weights in [FitSettings()] if options.default else _candidates(FitSettings(), options.only):
        fitter = Fitter(model.smpl, weights, model.discriminator)
        fits = (moved_onto_keypoints(fitter, network, to) for to in (truth, noisy))
        errors = " | ".join(_errors(fitted, truth) for fitted in fits)
        tried = " | ".join(f"{getattr(weights, name):g}" for name in _TRIED)
        print(f"| {tried} | {errors} |", flush=True)
    return 0


def _candidates(start: FitSettings, only: str | None) -> Iterator[FitSettings]:
    yield start
    for name in [only] if only else _TRIED:
        for value in _TRIED[name]:
            tried = replace(start, **{name: value})
            yield replace(tried, root=_ROOT_PER_POSE * value) if name == "pose" else tried


def _disturbed(truth: Truth, rng: np.random.Generator) -> Truth:
    """The labels with noise on each coordinate, and a part of the keypoints missing."""
    noise = rng.normal(0, NOISE_PX * 2 / CROP_SIZE, truth.keypoints2d.shape)
    kept = rng.random(truth.visibility.shape) >= MISSING
    return replace(truth, keypoints2d=truth.keypoints2d + noise, visibility=truth.visibility & kept)


def _errors(prediction: Prediction, truth: Truth) -> str:
    from hmr.evaluation.scoring import score

    numbers = score(PROTOCOLS["stand_in"], prediction, truth).summary()
    return f"{numbers['mpjpe_mm']:.1f} | {numbers['pa_mpjpe_mm']:.1f}"


if __name__ == "__main__":
    run_verb(main, "python -m hmr.studies.fitting")
