"""One training step of `HMR` under Keras's JAX backend: `HMR.train_step` without TensorFlow.

JAX differentiates and compiles functions without side effects. So a step takes everything that
changes, the `TrainingArrays`, and returns it anew:

    model.compile(keras.optimizers.Adam(1e-5), keras.optimizers.Adam(1e-4), Criterion())
    step, arrays = jax.jit(training_step(model), donate_argnums=0), training_arrays(model)
    for batch in batches:
        arrays, logs = step(arrays, batch)
    set_arrays(model, arrays)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import keras

from hmr.network.hmr import HMR
from hmr.tensor import Tensor


class TrainingArrays(NamedTuple):
    """Everything that a step changes: the values of a model's and its optimisers' variables.

    Attributes:
        encoder: of `HMR.encoder_variables`.
        discriminator: of `HMR.discriminator_variables`.
        other: of the variables without gradients: moving averages of batch norms, random states.
        encoder_adam, discriminator_adam: of the optimisers.
    """

    encoder: list[Tensor]
    discriminator: list[Tensor]
    other: list[Tensor]
    encoder_adam: list[Tensor]
    discriminator_adam: list[Tensor]


def _variables(model: HMR) -> TrainingArrays:
    return TrainingArrays(
        model.encoder_variables,
        model.discriminator_variables,
        model.non_trainable_variables,
        model.encoder_optimizer.variables,
        model.discriminator_optimizer.variables,
    )


def training_arrays(model: HMR) -> TrainingArrays:
    """The values that a compiled model holds now."""
    # Steps may overwrite the arrays that they are given, so they are given copies.
    return jax.tree.map(lambda variable: jnp.array(variable.value), _variables(model))


def set_arrays(model: HMR, arrays: TrainingArrays) -> None:
    """Gives the values of a training to the model and its optimisers."""
    jax.tree.map(lambda variable, value: variable.assign(value), _variables(model), arrays)


def training_step(
    model: HMR,
) -> Callable[[TrainingArrays, dict[str, Tensor]], tuple[TrainingArrays, dict[str, Tensor]]]:
    """The step of a compiled model: (arrays, batch) -> (arrays, scalars), to be compiled by JAX.

    As in `HMR.train_step`, both gradients come from one forward pass and from the weights before
    the step, and the scalars are those of the criterion and the norms of the gradients.
    """
    variables = _variables(model)

    def losses(encoder: list, discriminator: list, other: list, batch: dict) -> tuple:
        values = zip(
            [*variables.encoder, *variables.discriminator, *variables.other],
            [*encoder, *discriminator, *other],
            strict=True,
        )
        with keras.StatelessScope(state_mapping=list(values)) as scope:
            encoder_loss, discriminator_loss, logs = model.compute_losses(batch)
        changed = [scope.get_current_value(variable) for variable in variables.other]
        return (encoder_loss, discriminator_loss), (logs, changed)

    def step(arrays: TrainingArrays, batch: dict) -> tuple[TrainingArrays, dict[str, Tensor]]:
        def of_weights(encoder: list, discriminator: list) -> tuple:
            return losses(encoder, discriminator, arrays.other, batch)

        both: tuple[Tensor, Tensor]
        aside: tuple[dict[str, Tensor], list[Tensor]]
        both, gradients_of, aside = jax.vjp(
            of_weights, arrays.encoder, arrays.discriminator, has_aux=True
        )
        logs, other = aside
        one, zero = jnp.ones_like(both[0]), jnp.zeros_like(both[1])
        encoder_gradients, _ = gradients_of((one, zero))
        _, discriminator_gradients = gradients_of((zero, one))
        encoder, encoder_adam = model.encoder_optimizer.stateless_apply(
            arrays.encoder_adam, encoder_gradients, arrays.encoder
        )
        discriminator, discriminator_adam = model.discriminator_optimizer.stateless_apply(
            arrays.discriminator_adam, discriminator_gradients, arrays.discriminator
        )
        gradients = model.gradients_by_part(encoder_gradients, discriminator_gradients)
        norms = {name: _norm(each) for name, each in gradients.items()}
        after = TrainingArrays(encoder, discriminator, other, encoder_adam, discriminator_adam)
        return after, logs | norms

    return step


def _norm(gradients: list[Tensor]) -> Tensor:
    return jnp.sqrt(sum(jnp.sum(jnp.square(each)) for each in gradients))
