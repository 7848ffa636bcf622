"""Pixel counts of segmentations, and the pooled measures made of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class PixelCounts:
    """How N samples' pixels compare. All counts of a sample are 0 where it does not count.

    Attributes:
        foreground: (N, 2, 2) pixels by annotation and prediction.
        parts: (N, 7, 7) the same of the parts, ignored pixels left out.
        parts_right: (N,) pixels with the right part, ignored ones taken for background.
        pixels: (N,) all pixels of the annotation.
        notes: what the reader of the numbers has to know.
    """

    foreground: np.ndarray
    parts: np.ndarray
    parts_right: np.ndarray
    pixels: np.ndarray
    notes: tuple[str, ...] = field(default=())

    def take(self, chosen: np.ndarray) -> PixelCounts:
        """The chosen samples, by mask or indices."""
        return PixelCounts(
            self.foreground[chosen],
            self.parts[chosen],
            self.parts_right[chosen],
            self.pixels[chosen],
            self.notes,
        )


@dataclass(frozen=True)
class PooledF1:
    """Mean F1 over classes, background included, of pixels pooled over samples; in percent.

    F1 of a class is 2 TP / (2 TP + FP + FN). A class that is neither annotated nor predicted is
    left out of the mean.

    Attributes:
        confusions: (N, C, C) pixels by annotation and prediction.
    """

    confusions: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """(N,) of each sample alone; NaN where it does not count."""
        return f1_percent(self.confusions)

    @property
    def weights(self) -> np.ndarray:
        """(N,) 1 where the sample counts, else 0."""
        return (self.confusions.sum(axis=(1, 2)) > 0).astype(np.float64)

    def mean(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """Of the chosen samples' pooled pixels; NaN if there are none."""
        return float(f1_percent(self.confusions[chosen].sum(axis=0)))

    def median(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """Median over the single samples that count."""
        return float(np.nanmedian(self.values[chosen]))


def f1_percent(confusions: np.ndarray) -> np.ndarray:
    """Mean over classes of F1, in percent, of confusion matrices (..., C, C)."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    either = confusions.sum(axis=-1) + confusions.sum(axis=-2)
    known = either > 0
    scores = np.divide(200.0 * right, either, out=np.zeros(either.shape), where=known)
    classes = known.sum(axis=-1)
    none = np.full(classes.shape, np.nan)
    return np.divide(scores.sum(axis=-1), classes, out=none, where=classes > 0)
