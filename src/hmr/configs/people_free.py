"""The paper's training on made people, with an encoder that has seen photographs.

Command:  make demo-real (makes the data first), or python -m src.main --config people_free
Needs:    data/people_free, as people_free_adapter does, and runs/people_free_adapter, whose encoder
          with its adapter stays as it is.
Cost:     23 minutes for the features of four passes, then 29,793 steps of 64 pictures,
          12 minutes, on two cores that other work shared.
Measured: docs/results.md, "Photographs".
"""

from ml_collections import ConfigDict

from hmr.configs.people_free_adapter import get_config as adapter_config


def get_config() -> ConfigDict:
    """A wider regressor, trained for long on the stored features."""
    config = adapter_config()
    config.initial_encoder = "runs/people_free_adapter"
    config.model.hidden_units = 768
    config.train.batch_size = 64
    config.train.stored_epochs = 4.0
    config.train.epochs = 65.0
    config.train.checkpoint_every_steps = 1000
    config.validation.every_steps = 5000
    return config
