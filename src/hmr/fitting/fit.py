"""Moves estimated bodies onto 2D keypoints: the paper's losses, minimised over Theta itself.

Fitting after regression is that of SMPLify (Bogo et al. 2016), started at the network's answer.
For each person it minimises over camera, pose and beta, with Adam:

    n log(1 + q / noise_px^2) + pose |R - R'|^2 + root |R_0 - R_0'|^2 + beta |beta - beta'|^2
        + adversarial sum (D(R, beta) - 1)^2

q is the mean squared distance of the projected keypoints (equation 1 of the paper) in pixels of the
crop, weighted by confidence and linear beyond `outlier_px`; n is the sum of the confidences; R are
rotation matrices, the accent marks the network's answer, and D are the 25 discriminators that it
was trained with, where they are known (the encoder's loss of section 3.3). The logarithm is the
likelihood of keypoints whose noise is not known: clean keypoints, which a body can meet, are met;
keypoints that contradict each other or the body count less. With a plain sum of squares, no single
weight of the prior suits both keypoints without noise and keypoints with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from keras import ops

from hmr.body.joints import COCOPLUS
from hmr.body.smpl import SMPL
from hmr.geometry.crop import CROP_SIZE
from hmr.geometry.projection import project
from hmr.network.discriminator import Discriminator
from hmr.network.regressor import BETA, MEAN_CAMERA, NUM_THETA, POSE
from hmr.tensor import Tensor

# Of Adam's two moving averages (Kingma and Ba 2015). Keras's keeps them in variables of one shape,
# made before the first step; here batches differ in size, and the whole loop is compiled.
_DECAY, _SQUARED_DECAY, _EPSILON = 0.9, 0.99, 1e-8
# People fill a good part of their crop. Below this scale the fit starts at that of Theta_0.
_SMALLEST_SCALE = 0.1


@dataclass(frozen=True)
class FitSettings:
    """Weights of the terms, see the module; chosen by `hmr.studies.fitting`.

    Attributes:
        pose: of the 23 joints' squared rotation differences.
        root: of the body's.
        beta: of squared shape differences.
        adversarial: of the discriminators' loss.
        noise_px: keypoints nearer than this, in pixels of the crop, count as met.
        outlier_px: distances grow linearly from here on (pseudo-Huber).
        steps: of Adam.
        learning_rate: of the first step; it falls to zero as a cosine.
    """

    pose: float = 31.0
    root: float = 93.0
    beta: float = 2.0
    adversarial: float = 0.0
    noise_px: float = 0.5
    outlier_px: float = 40.0
    steps: int = 120
    learning_rate: float = 0.04


class Fitter:
    """Fits people of one body model; compiled once, at the first call.

    Args:
        smpl: the body.
        settings: weights and steps.
        discriminator: of the model whose answers are fitted, if known.
    """

    def __init__(
        self,
        smpl: SMPL,
        settings: FitSettings | None = None,
        discriminator: Discriminator | None = None,
    ):
        self.smpl = smpl
        self._settings = settings or FitSettings()
        self._discriminator = discriminator if self._settings.adversarial else None
        shapes = ((None, NUM_THETA), (None, len(COCOPLUS), 2), (None, len(COCOPLUS)))
        self._compiled = tf.function(
            self._minimise, input_signature=[tf.TensorSpec(shape, tf.float32) for shape in shapes]
        )

    def fit(self, theta: np.ndarray, keypoints2d: np.ndarray, confidence: np.ndarray) -> np.ndarray:
        """Theta (B, 85) float32 on the keypoints; people without any keep theirs.

        Each person is fitted on their own: the others of the batch change nothing. The camera's
        scale comes out positive.

        Args:
            theta: (B, 85) the network's answers.
            keypoints2d: (B, 19, 2) cocoplus, crop normalised to [-1, 1], y down.
            confidence: (B, 19) weights from 0 to 1; what is 0 is not read.
        """
        counted = confidence > 0  # (B, 19)
        keypoints2d = np.where(counted[..., None], keypoints2d, 0)
        start, places, weights = (
            np.asarray(values, np.float32) for values in (theta, keypoints2d, confidence)
        )
        fitted = self._compiled(start, places, weights).numpy()
        return np.where(counted.any(axis=1, keepdims=True), fitted, start)

    def _minimise(self, theta: Tensor, keypoints2d: Tensor, confidence: Tensor) -> Tensor:
        settings = self._settings
        scale = ops.where(theta[:, :1] < _SMALLEST_SCALE, MEAN_CAMERA[0], theta[:, :1])
        first = ops.concatenate([ops.log(scale), theta[:, 1:]], axis=1)  # log s keeps s positive
        target = self._posed(first)

        def step(index: Tensor, free: Tensor, mean: Tensor, square: Tensor) -> tuple:
            with tf.GradientTape() as tape:
                tape.watch(free)
                loss = self._loss(free, first, target, keypoints2d, confidence)
            gradient = tape.gradient(loss, free)
            done = ops.cast(index, "float32")
            mean = _DECAY * mean + (1 - _DECAY) * gradient
            square = _SQUARED_DECAY * square + (1 - _SQUARED_DECAY) * ops.square(gradient)
            rate = settings.learning_rate * 0.5 * (1 + ops.cos(np.pi * done / settings.steps))
            straight = mean / (1 - _DECAY ** (done + 1))
            spread = ops.sqrt(square / (1 - _SQUARED_DECAY ** (done + 1)))
            return index + 1, free - rate * straight / (spread + _EPSILON), mean, square

        none = ops.zeros_like(first)
        state = (0, first, none, none)
        free = tf.while_loop(lambda index, *_: index < settings.steps, step, state)[1]
        return ops.concatenate([ops.exp(free[:, :1]), free[:, 1:]], axis=1)

    def _posed(self, free: Tensor) -> dict[str, Tensor]:
        return self.smpl.keypoints(free[:, POSE], free[:, BETA])

    def _loss(
        self,
        free: Tensor,
        first: Tensor,
        target: dict[str, Tensor],
        keypoints2d: Tensor,
        confidence: Tensor,
    ) -> Tensor:
        """The sum over all people, as the module describes it. `free` is Theta with log s."""
        settings = self._settings
        posed = self._posed(free)
        camera = ops.concatenate([ops.exp(free[:, :1]), free[:, 1:3]], axis=1)
        apart_px = CROP_SIZE / 2 * (project(posed["joints3d"], camera) - keypoints2d)
        squared = pseudo_huber(ops.sum(ops.square(apart_px), axis=-1), settings.outlier_px)
        count = ops.sum(confidence, axis=1)  # (B,)
        mean = ops.sum(confidence * squared, axis=1) / ops.maximum(count, 1e-6)
        turned = ops.square(posed["rotations"] - target["rotations"])
        turned = ops.sum(turned, axis=(2, 3))  # (B, 24)
        return (
            ops.sum(count * ops.log1p(mean / settings.noise_px**2))
            + settings.root * ops.sum(turned[:, 0])
            + settings.pose * ops.sum(turned[:, 1:])
            + settings.beta * ops.sum(ops.square(free[:, BETA] - first[:, BETA]))
            + settings.adversarial * self._implausibility(posed["rotations"], free[:, BETA])
        )

    def _implausibility(self, rotations: Tensor, beta: Tensor) -> Tensor | float:
        """The encoder's adversarial loss (section 3.3), summed over all people."""
        if self._discriminator is None:
            return 0.0
        return ops.sum(ops.square(self._discriminator(rotations[:, 1:], beta) - 1))


def reprojection_px(
    projected: np.ndarray, keypoints2d: np.ndarray, confidence: np.ndarray
) -> np.ndarray:
    """Mean distance (B,) of keypoints that count, pixels of the crop; NaN where none does.

    Args:
        projected: (B, 19, 2) of the bodies, crop normalised to [-1, 1].
        keypoints2d, confidence: as of `Fitter.fit`.
    """
    counted = confidence > 0
    apart = np.where(counted[..., None], projected - keypoints2d, 0)
    totals = CROP_SIZE / 2 * np.linalg.norm(apart, axis=-1).sum(axis=1)
    counts = counted.sum(axis=1)
    return np.divide(totals, counts, out=np.full(len(counts), np.nan), where=counts > 0)


def pseudo_huber(squared: Tensor, outlier: float) -> Tensor:
    """Squared distances d^2 that grow like 2 * outlier * d beyond `outlier`, elementwise."""
    return 2 * outlier**2 * (ops.sqrt(1 + squared / outlier**2) - 1)
