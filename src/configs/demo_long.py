"""The demo with more people and an hour of training on two cores.

Command:  make demo-long (makes the data first), or
          python -m src.main --config src/configs/demo_long.py
Needs:    data/standin_long, the converted stand-in datasets: 20,000 pictures with 3D joints, 3,000
          of LSP and 2,500 of COCO.
Cost:     about 31,000 steps of 32 pictures. Its result has not been measured yet.
"""

from ml_collections import ConfigDict

from src.configs.demo import get_config as demo_config


def get_config() -> ConfigDict:
    """The demo's fields with stronger augmentation, which a longer training can afford."""
    config = demo_config()
    config.data.root = "data/standin_long"
    config.data.augmentation = ConfigDict(
        {"shift_px": 10, "scale_min": 0.9, "scale_max": 1.12, "flip_probability": 0.5}
    )
    config.train.epochs = 43.0
    config.train.checkpoint_every_steps = 1000
    return config
