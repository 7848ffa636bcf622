"""The paper's section 4.3 scaled down, (a): with paired 3D labels and with discriminators.

Command:  make ablation (all three), or python -m src.main --config ablation_paired
          --workdir runs/ablation/paired
Needs:    data/standin, the converted stand-in datasets (make demo makes them).
Cost:     7,010 steps of 32 pictures, 9 to 15 minutes on two cores.
Measured: MPJPE 120.3 mm, PA-MPJPE 75.9 mm, 2D error 5.7 px; all three in docs/results.md.
"""

from ml_collections import ConfigDict

from hmr.configs.from_scratch import get_config as from_scratch_config


def get_config() -> ConfigDict:
    """Model and data of `from_scratch`, with discriminators that learn fast enough to be a prior.

    In a training of minutes, discriminators at the paper's learning rate of 1e-4 never catch up
    with the encoder, and at weight 1 they pull at the encoder before they have learned anything.
    The weight of the 3D joints is the one that the figures above were measured with.
    """
    config = from_scratch_config()
    config.loss.joints3d = 1000.0
    config.loss.adversarial = 0.2
    config.optimizer.encoder_learning_rate = 5e-4
    config.optimizer.discriminator_learning_rate = 1e-3
    config.train.epochs = 30.0
    return config
