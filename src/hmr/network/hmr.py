"""The HMR model: image to body and camera, and one training step of it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hmr.body.model_file import NUM_JOINTS, BodyModel
from hmr.body.rotations import rodrigues
from hmr.body.smpl import SMPL
from hmr.geometry.projection import project
from hmr.network.discriminator import Discriminator
from hmr.network.encoders import split_encoder
from hmr.network.regressor import BETA, CAMERA, POSE, Regressor
from hmr.tensor import Tensor

PARTS = ("encoder", "regressor", "smpl", "discriminator")


@keras.saving.register_keras_serializable("hmr")
class HMR(keras.Model):
    """End-to-end recovery of human shape and pose (Kanazawa et al. 2018, figure 2).

    `model(images)` takes images (B, S, S, 3), RGB in [-1, 1], and returns one dictionary, which
    losses, metrics, pictures and export read:

    | key | shape | meaning |
    |---|---|---|
    | features | (B, F) | phi, the encoder's output |
    | theta | (B, T, 85) | every iteration's [camera 3, pose 72, shape 10] |
    | camera | (B, 3) | weak perspective [s, tx, ty] of the last iteration |
    | pose | (B, 72) | axis-angles, radians, root first, last iteration |
    | beta | (B, 10) | SMPL shape, last iteration |
    | rotations | (B, 24, 3, 3) | rotation matrices of `pose` |
    | smpl_joints | (B, 24, 3) | SMPL's joints, metres, camera's axes (y down) |
    | joints3d | (B, 19, 3) | cocoplus keypoints, metres, camera's axes (y down) |
    | keypoints2d | (B, 19, 2) | projected `joints3d`, crop normalised to [-1, 1], y down |
    | vertices | (B, 6890, 3) | metres, camera's axes; only with `vertices=True` |

    Args:
        encoder: images to features (B, F).
        regressor: features to theta (B, T, 85).
        smpl: the body layer.
        discriminator: the adversarial prior; None in a model that is not trained.

    `model.save("x.keras")` stores everything except the body, of which it stores the path, and the
    optimisers and criterion, which must be given to `compile` again after loading.
    `hmr.network.checkpoint.save_model` writes the folder that every command reads.
    """

    def __init__(
        self,
        encoder: keras.Model,
        regressor: Regressor,
        smpl: SMPL,
        discriminator: Discriminator | None = None,
        **kwargs: Any,
    ) -> None:
        # Encoder and regressor have their own precision; everything computed from Theta is float32.
        super().__init__(name=kwargs.pop("name", "hmr"), dtype="float32", **kwargs)
        self.encoder = encoder
        self.regressor = regressor
        self.smpl = smpl
        self.discriminator = discriminator
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """The serialised parts, from which Keras saves and copies the model."""
        parts = {name: getattr(self, name) for name in PARTS}
        return {name: keras.saving.serialize_keras_object(part) for name, part in parts.items()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HMR:
        """Builds the parts and the model, with fresh weights."""
        return cls(*(keras.saving.deserialize_keras_object(config[name]) for name in PARTS))

    def get_compile_config(self) -> None:
        """None, so that loading a model does not compile it."""

    @property
    def input_size(self) -> int:
        """Side S of the square input, pixels."""
        return self.encoder.input_shape[1]

    @property
    def body(self) -> BodyModel:
        """The body's arrays."""
        return self.smpl.body

    def call(
        self, images: Tensor, training: bool = False, vertices: bool = False
    ) -> dict[str, Tensor]:
        """Images to the dictionary of outputs, as the class describes."""
        features = self.encoder(images, training=training)  # (B, F)
        return self.regress(features, training, vertices)

    def regress(
        self, features: Tensor, training: bool = False, vertices: bool = False
    ) -> dict[str, Tensor]:
        """The encoder's features (B, F) to the dictionary of outputs."""
        theta = self.regressor(features, training=training)  # (B, T, 85)
        bodies = bodies_of(theta[:, -1], self.smpl, vertices)
        return {"features": ops.cast(features, "float32"), "theta": theta, **bodies}

    def compile(
        self,
        encoder_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        criterion: Any,
        **kwargs: Any,
    ) -> None:
        """Prepares training.

        Args:
            encoder_optimizer: for encoder, regressor and mean theta; in the paper Adam, rate 1e-5.
            discriminator_optimizer: in the paper Adam, rate 1e-4.
            criterion: `hmr.training.losses.Criterion` or any object with its three methods.
            **kwargs: arguments of `keras.Model.compile`, such as `jit_compile`.
        """
        kwargs.setdefault("jit_compile", False)
        super().compile(optimizer=encoder_optimizer, **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        self.criterion = criterion
        encoder_optimizer.build(self.encoder_variables)
        discriminator_optimizer.build(self.discriminator_variables)

    @property
    def encoder_optimizer(self) -> keras.optimizers.Optimizer:
        """The `optimizer` of Keras, which Keras's callbacks read and set."""
        return self.optimizer

    @property
    def encoder_variables(self) -> list:
        """The variables of the encoder's optimiser: encoder, regressor and mean theta."""
        return self.encoder.trainable_variables + self.regressor.trainable_variables

    @property
    def discriminator_variables(self) -> list:
        """The variables of the discriminators' optimiser."""
        return self._required_discriminator().trainable_variables

    def _required_discriminator(self) -> Discriminator:
        if self.discriminator is None:
            raise ValueError("this model has no discriminator: build it with_discriminator=True.")
        return self.discriminator

    def score_bodies(
        self, theta: Tensor, real_pose: Tensor, real_beta: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Discriminator outputs on real and on estimated bodies.

        Real and estimated bodies are scored in one batch, the real ones first.

        Args:
            theta: (B, T, 85) estimates of every iteration.
            real_pose: (N, 72) axis-angles of mocap.
            real_beta: (N, 10).
        Returns:
            scores (N, 25) of the real and (T*B, 25) of the estimated bodies.
        """
        estimates = ops.reshape(ops.swapaxes(theta, 0, 1), (-1, theta.shape[-1]))  # (T*B, 85)
        pose = ops.concatenate([real_pose, estimates[:, POSE]], axis=0)  # (N + T*B, 72)
        beta = ops.concatenate([real_beta, estimates[:, BETA]], axis=0)  # (N + T*B, 10)
        rotations = rodrigues(ops.reshape(pose, (-1, NUM_JOINTS, 3)))  # (N + T*B, 24, 3, 3)
        scores = self._required_discriminator()(rotations[:, 1:], beta)  # (N + T*B, 25)
        num_real = ops.shape(real_pose)[0]
        return scores[:num_real], scores[num_real:]

    def compute_losses(
        self, batch: dict[str, Tensor], training: bool = True
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Both total losses and the scalars for the log, from one forward pass.

        Args:
            batch: see `hmr.data.pipeline.training_dataset`; or with what a frozen encoder said of
                the images instead of them, see `hmr.training.stored`.
        Returns:
            encoder loss (), discriminator loss (), dict of scalars for the log.
        """
        if "images" in batch:
            outputs = self(batch["images"], training=training)
        else:
            sees, learns = split_encoder(self.encoder)
            features = learns([batch[name] for name in sees.output], training=training)
            outputs = self.regress(features, training)
        real, fake = self.score_bodies(outputs["theta"], batch["real_pose"], batch["real_beta"])
        supervised = self.criterion.supervised(outputs, batch)
        encoder_loss, logs = self.criterion.encoder(supervised, fake)
        discriminator_loss, more_logs = self.criterion.discriminator(real, fake)
        return encoder_loss, discriminator_loss, {**logs, **more_logs}

    def train_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step of both optimisers, from gradients of the same forward pass (TensorFlow only).

        Both gradients are computed before either is applied, so neither sees the other's update.

        Returns:
            dict of scalars: those of the criterion, and the norms of the gradients. With several
            replicas, the values of the replicas sum to the value of the global batch; the summed
            norms are an upper bound of the norm.
        """
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            encoder_loss, discriminator_loss, logs = self.compute_losses(batch)
        encoder_gradients = tape.gradient(encoder_loss, self.encoder_variables)
        discriminator_gradients = tape.gradient(discriminator_loss, self.discriminator_variables)
        del tape
        self.encoder_optimizer.apply(encoder_gradients, self.encoder_variables)
        self.discriminator_optimizer.apply(discriminator_gradients, self.discriminator_variables)
        gradients = self.gradients_by_part(encoder_gradients, discriminator_gradients)
        return logs | {name: tf.linalg.global_norm(each) for name, each in gradients.items()}

    def gradients_by_part(
        self, encoder_gradients: list[Tensor], discriminator_gradients: list[Tensor]
    ) -> dict[str, list[Tensor]]:
        """Both losses' gradients by the names under which their norms are logged."""
        split = len(self.encoder.trainable_variables)
        parts = {
            "gradient_norm/encoder": encoder_gradients[:split],
            "gradient_norm/regressor": encoder_gradients[split:],
            "gradient_norm/discriminator": discriminator_gradients,
        }
        return {name: each for name, each in parts.items() if each}  # a frozen encoder has none

    def test_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses of a batch in inference mode."""
        return self.compute_losses(batch, training=False)[2]


def bodies_of(theta: Tensor, smpl: SMPL, vertices: bool = False) -> dict[str, Tensor]:
    """The outputs of `HMR` that follow from Theta (B, 85) alone: `camera` and all below it."""
    camera, pose, beta = theta[:, CAMERA], theta[:, POSE], theta[:, BETA]
    body = smpl(pose, beta) if vertices else smpl.keypoints(pose, beta)
    projected = project(body["joints3d"], camera)
    return {"camera": camera, "pose": pose, "beta": beta, "keypoints2d": projected, **body}
