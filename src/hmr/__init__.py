"""HMR, "End-to-end Recovery of Human Shape and Pose" (Kanazawa et al., CVPR 2018), in Keras 3."""

from __future__ import annotations

from hmr import interruption

interruption.watch_start()  # what follows takes time

from typing import Any  # noqa: E402

from hmr.loading import prepare  # noqa: E402

prepare()  # before TensorFlow is imported

__all__ = ["Predictor"]


def __getattr__(name: str) -> Any:
    # Keras and TensorFlow take seconds to import: whoever asks for the Predictor pays for them.
    if name == "Predictor":
        from hmr.prediction.predictor import Predictor

        return Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
