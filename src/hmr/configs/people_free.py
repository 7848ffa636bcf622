"""The paper's training on made people, with an encoder that has seen photographs.

An adapter and the regressor learn beside MoveNet, which stays as it is: what it says of a picture
is computed once and stored.

Command:  make demo-real (makes the data first), or python -m src.main --config people_free
Needs:    data/people_free, made people with SMPL labels (3dpw), and plain ones (mpi_inf_3dhp) and
          loud ones with 3D joints; models/people_free, from which the encoder is taken; 13 GB of
          disk for what it said.
Cost:     24 minutes for what it says of 2.6 passes, then 38,043 steps of 64 pictures,
          44 minutes, on two cores.
Measured: docs/results.md, "Photographs".
"""

from ml_collections import ConfigDict

from hmr.configs.demo import get_config as demo_config


def get_config() -> ConfigDict:
    """The demo's fields with MoveNet Thunder as it is, and SMPL labels, which made people have."""
    config = demo_config()
    config.model.encoder = "movenet_thunder_adapter"
    config.model.input_size = 256
    config.model.hidden_units = 704
    config.initial_encoder = "models/people_free"
    config.data.root = "data/people_free"
    config.data.train = ConfigDict({"3dpw": 1.0, "mpi_inf_3dhp": 1.4, "loud": 1.0})
    config.data.augmentation = ConfigDict(
        {"shift_px": 20, "scale_min": 0.8, "scale_max": 1.23, "flip_probability": 0.5}
    )
    config.optimizer.encoder_learning_rate = 1e-3
    config.train.stored_epochs = 2.6
    config.train.epochs = 50.0
    config.train.checkpoint_every_steps = 1000
    config.validation.dataset = "3dpw"
    config.validation.every_steps = 5000
    config.validation.limit = 300
    return config
