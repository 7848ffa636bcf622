"""Section 4.3 in small, (a): with paired 3D labels and with discriminators.

Command:  make ablation (all three), or python -m src.main --config src/configs/ablation_paired.py
Needs:    data/standin, the converted stand-in datasets (make demo makes them).
"""

from ml_collections import ConfigDict

from src.configs.demo import get_config as demo_config


def get_config() -> ConfigDict:
    """The demo's fields with the paper's weight of the discriminators."""
    config = demo_config()
    config.loss.adversarial = 1.0
    config.train.epochs = 18.0
    return config
