"""`from_scratch` with more people and an hour of training on two cores.

Command:  make demo-long (makes the data first), or
          python -m src.main --config demo_long
Needs:    data/standin_long, the converted stand-in datasets: 20,000 pictures with 3D joints, 3,000
          of LSP and 2,500 of COCO, things in front of people in 30 % of them.
Cost:     24,956 steps of 32 pictures, 66 minutes on two cores that other work shared.
Measured: on people and poses never seen, MPJPE 97.0 mm and PA-MPJPE 61.6 mm; the best constant
          answers come to 202.1 mm and 94.2 mm. models/demo_standin holds these weights.
"""

from ml_collections import ConfigDict

from hmr.configs.from_scratch import get_config as from_scratch_config


def get_config() -> ConfigDict:
    """The fields of `from_scratch` with stronger augmentation, which a longer training can afford.

    The weight of the 3D joints is the one that the figures above were measured with.
    """
    config = from_scratch_config()
    config.data.root = "data/standin_long"
    config.data.augmentation = ConfigDict(
        {"shift_px": 10, "scale_min": 0.9, "scale_max": 1.12, "flip_probability": 0.5}
    )
    config.loss.joints3d = 1000.0
    config.optimizer.encoder_learning_rate = 1e-3
    config.train.epochs = 36.0
    config.train.checkpoint_every_steps = 1000
    return config
