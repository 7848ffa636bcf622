"""A tiny training with SGD in a process of its own: python -m tests.helpers.devices_run STRATEGY
WORKDIR RECORDS BODY STEPS RATE BATCH [TF_CONFIG]. "mirrored" sees two devices.
"""

import os
import sys
from pathlib import Path

from ml_collections import ConfigDict

from hmr.errors import run_verb


def main(
    strategy: str,
    workdir: str,
    records: str,
    body: str,
    steps: str,
    rate: str,
    batch_size: str,
    cluster: str = "",
) -> None:
    """Trains, and leaves a training's files in `workdir`."""
    if cluster:
        os.environ["TF_CONFIG"] = cluster
    import keras
    import tensorflow as tf

    from hmr.training import recipe
    from hmr.training.devices import lost_workers_named
    from hmr.training.recipe import run

    if strategy == "mirrored":
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * 2
        )
    # Adam's first steps are the gradients' signs alone: SGD shows a factor.
    recipe.build_adam = lambda *_: keras.optimizers.SGD(float(rate))
    with lost_workers_named():  # as the verb does
        run(make_config(strategy, records, body, int(steps), int(batch_size)), Path(workdir))


def make_config(strategy: str, records: str, body: str, steps: int, batch_size: int) -> ConfigDict:
    """The configuration from_scratch, made tiny."""
    from hmr.configs.from_scratch import get_config
    from tests.helpers.tiny_encoder import register_tiny_encoder

    config = get_config()
    config.strategy = strategy
    config.model.encoder = register_tiny_encoder()
    config.model.input_size = 32
    config.model.hidden_units = 32
    config.model.discriminator_units = 16
    config.model.body = body
    config.data.root = records
    config.data.train = {"lsp": 1.0, "mpi_inf_3dhp": 1.0}
    config.data.mocap = {"mocap_cmu": 1.0}
    config.data.shuffle_buffer = 16
    # The parts of a batch hold different numbers of 3D labels.
    config.data.share_3d = 0.375
    config.train.batch_size = batch_size
    config.train.epochs = steps * batch_size / 48
    config.train.log_every_steps = 1
    config.train.checkpoint_every_steps = 10
    config.validation.dataset = ""
    return config


if __name__ == "__main__":
    run_verb(lambda: main(*sys.argv[1:]))
