"""Goes on from people_free with the demo's plain people among the others.

Command:  make demo-real (makes the data first), or python -m src.main --config people_free_mixed
Needs:    runs/people_free_first, and data/people_free_mixed: the people with SMPL labels of
          data/people_free (3dpw), and plain ones with 3D joints (mpi_inf_3dhp).
Cost:     3,762 steps of 32 pictures, 48 minutes on two cores that much other work shared.
Measured: on 12 people in photographs 11.4 px in a crop of 224 px; docs/results.md has the rest.
"""

from ml_collections import ConfigDict

from hmr.configs.people_free import get_config as people_free_config


def get_config() -> ConfigDict:
    """people_free's fields with other people, and a lower rate for fewer steps."""
    config = people_free_config()
    config.initial_encoder = ""
    config.initial_model = "runs/people_free_first/model"
    config.data.root = "data/people_free_mixed"
    config.optimizer.encoder_learning_rate = 5e-4
    config.train.epochs = 5.0
    config.validation.every_steps = 1250
    return config
