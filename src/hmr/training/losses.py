"""The losses of the paper (section 3) with the reductions of the original's TF1 code.

All functions are pure, in `keras.ops`, and return float32 scalars. A term without any supervised
element is 0 with zero gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from keras import ops

from hmr.body.joints import LEFT_HIP, LSP14, RIGHT_HIP
from hmr.body.rotations import rodrigues
from hmr.network.discriminator import OUTPUTS
from hmr.settings import LossWeights
from hmr.tensor import Tensor

Outputs = dict[str, Tensor]
Batch = dict[str, Tensor]


def keypoint_loss(
    predicted: Tensor, target: Tensor, visibility: Tensor, count: Tensor | None = None
) -> Tensor:
    """Mean absolute error over the coordinates of visible keypoints (paper equation 1).

    Args:
        predicted, target: (B, K, 2) normalised coordinates.
        visibility: (B, K) weights. The sum of weighted errors is divided by twice the number of
            weights that are not zero, as TF1's `absolute_difference` does.
        count: number of those weights in the global batch, where the inputs are a part of one.
    """
    errors = ops.sum(ops.abs(predicted - target), axis=-1) * visibility
    count = _count(visibility) if count is None else count
    return ops.sum(errors) / ops.maximum(2.0 * count, 1.0)


def weighted_squared_loss(
    predicted: Tensor, target: Tensor, weights: Tensor, count: Tensor | None = None
) -> Tensor:
    """0.5 * mean squared error over the rows with a non-zero weight.

    Args:
        predicted, target: (B, D).
        weights: (B,), usually 0 or 1.
        count: number of weights in the global batch that are not zero, where the inputs are a
            part of one.
    """
    errors = ops.sum(ops.square(predicted - target), axis=-1) * weights
    elements = (_count(weights) if count is None else count) * predicted.shape[-1]
    return 0.5 * ops.sum(errors) / ops.maximum(elements, 1.0)


def centre_on_hips(joints3d: Tensor) -> Tensor:
    """Joints (B, 14, 3) relative to the mid-point of both hips."""
    middle = 0.5 * (joints3d[:, RIGHT_HIP] + joints3d[:, LEFT_HIP])
    return joints3d - middle[:, None]


def joints3d_loss(
    predicted: Tensor, target: Tensor, weights: Tensor, count: Tensor | None = None
) -> Tensor:
    """Squared error of (B, 14, 3) joints in metres, both sides centred on the hips."""
    size = len(LSP14) * 3
    difference = ops.reshape(centre_on_hips(predicted) - centre_on_hips(target), (-1, size))
    return weighted_squared_loss(difference, ops.zeros_like(difference), weights, count)


def smpl_parameter_loss(
    rotations: Tensor,
    beta: Tensor,
    target_rotations: Tensor,
    target_beta: Tensor,
    weights: Tensor,
    count: Tensor | None = None,
) -> Tensor:
    """Squared error of 24 rotation matrices (root included) and 10 shape parameters."""

    def flatten(matrices: Tensor, betas: Tensor) -> Tensor:
        return ops.concatenate([ops.reshape(matrices, (-1, 24 * 9)), betas], axis=1)

    predicted, target = flatten(rotations, beta), flatten(target_rotations, target_beta)
    return weighted_squared_loss(predicted, target, weights, count)


def adversarial_encoder_loss(fake_scores: Tensor) -> Tensor:
    """sum_i (D_i(E) - 1)^2, mean over the (N, 25) estimates (paper equation 2)."""
    return ops.mean(ops.sum(ops.square(fake_scores - 1.0), axis=1))


def adversarial_discriminator_losses(
    real_scores: Tensor, fake_scores: Tensor
) -> tuple[Tensor, Tensor]:
    """sum_i (D_i(real) - 1)^2 and sum_i D_i(fake)^2, batch means (paper equation 3)."""
    real = ops.mean(ops.sum(ops.square(real_scores - 1.0), axis=1))
    return real, ops.mean(ops.sum(ops.square(fake_scores), axis=1))


@dataclass(frozen=True)
class SupervisedLoss:
    """A loss that compares the last iteration's outputs with labels.

    Attributes:
        weights: batch -> (B,) or (B, K), not zero where a sample or a keypoint is supervised.
        loss: outputs of `HMR`, batch, and how many weights of the global batch are not zero -> the
            scalar loss.
    """

    weights: Callable[[Batch], Tensor]
    loss: Callable[[Outputs, Batch, Tensor], Tensor]


def _keypoints2d(outputs: Outputs, batch: Batch, count: Tensor) -> Tensor:
    return keypoint_loss(outputs["keypoints2d"], batch["keypoints2d"], batch["visibility"], count)


def _joints3d(outputs: Outputs, batch: Batch, count: Tensor) -> Tensor:
    lsp14 = outputs["joints3d"][:, : len(LSP14)]  # (B, 14, 3), the first of cocoplus
    return joints3d_loss(lsp14, batch["joints3d_lsp_m"], batch["has_joints3d"], count)


def _smpl(outputs: Outputs, batch: Batch, count: Tensor) -> Tensor:
    target_rotations = rodrigues(ops.reshape(batch["pose"], (-1, 24, 3)))  # (B, 24, 3, 3)
    return smpl_parameter_loss(
        outputs["rotations"],
        outputs["beta"],
        target_rotations,
        batch["beta"],
        batch["has_smpl"],
        count,
    )


# Name, as in `LossWeights` and in the log -> loss. A new loss is a row here and a weight there.
SUPERVISED = {
    "keypoints2d": SupervisedLoss(lambda batch: batch["visibility"], _keypoints2d),
    "joints3d": SupervisedLoss(lambda batch: batch["has_joints3d"], _joints3d),
    "smpl": SupervisedLoss(lambda batch: batch["has_smpl"], _smpl),
}


def _of_this_replica(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class Criterion:
    """Weighs the losses.

    Attributes:
        weights: of each loss.
        replicas: how many share a global batch. Losses and log entries are then a replica's parts,
            which sum up to the global batch's.
        total: all-reduce, the sum of a tensor over the replicas.
    """

    weights: LossWeights = field(default_factory=LossWeights)
    replicas: int = 1
    total: Callable[[Tensor], Tensor] = _of_this_replica

    def supervised(self, outputs: Outputs, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Raw supervised losses of the last iteration and how many samples stand behind each.

        Args:
            outputs: of `HMR`.
            batch: keypoints2d (B, 19, 2), visibility (B, 19), joints3d_lsp_m (B, 14, 3),
                has_joints3d (B,), pose (B, 72), beta (B, 10), has_smpl (B,).
        Returns:
            dict name -> (loss, number of supervised keypoints or samples).
        """
        counts = [_count(row.weights(batch)) for row in SUPERVISED.values()]
        totals = ops.unstack(self.total(ops.stack(counts)))
        return {
            name: (row.loss(outputs, batch, total), count)
            for (name, row), count, total in zip(SUPERVISED.items(), counts, totals, strict=True)
        }

    def encoder(
        self, supervised: dict[str, tuple], fake_scores: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The encoder's total loss and its log entries."""
        raw = {name: loss for name, (loss, _) in supervised.items()}
        raw["adversarial"] = adversarial_encoder_loss(fake_scores) / self.replicas
        weighted = {name: getattr(self.weights, name) * loss for name, loss in raw.items()}
        total = sum(weighted.values())
        logs = {f"loss/{name}": loss for name, loss in raw.items()}
        logs |= {f"weighted/{name}": loss for name, loss in weighted.items()}
        logs |= {f"supervised/{name}": count for name, (_, count) in supervised.items()}
        return total, logs | {"loss": total}

    def discriminator(
        self, real_scores: Tensor, fake_scores: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminators' total loss and its log entries."""
        losses = adversarial_discriminator_losses(real_scores, fake_scores)
        real, fake = (loss / self.replicas for loss in losses)
        total = self.weights.adversarial * (real + fake)
        logs = {
            "discriminator/loss": total,
            "discriminator/real_loss": real,
            "discriminator/fake_loss": fake,
            "discriminator/real_score": ops.mean(real_scores) / self.replicas,
            "discriminator/fake_score": ops.mean(fake_scores) / self.replicas,
        }
        for name, scores in (("real", real_scores), ("fake", fake_scores)):
            by_output = ops.unstack(ops.mean(scores, axis=0) / self.replicas)
            logs |= {f"{name}_score/{key}": mean for key, mean in zip(OUTPUTS, by_output)}
        return total, logs


def _count(weights: Tensor) -> Tensor:
    return ops.sum(ops.cast(ops.not_equal(weights, 0), "float32"))
