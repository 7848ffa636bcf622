"""The paper's training scaled down to two and a half minutes on two cores.

An adapter and the regressor learn beside MoveNet Lightning, which has seen photographs and stays as
it is: what it says of each picture is computed once and stored.

Command:  make demo (makes the data first), or python -m src.main --config demo
Needs:    data/standin, the converted stand-in datasets; 0.3 GB of disk for what the encoder said.
Cost:     52 seconds for what the encoder says, then 1,402 steps of 64 pictures, 79 seconds, on two
          cores.
Measured: on people and poses never seen, MPJPE 96.1 mm and PA-MPJPE 64.1 mm; the best constant
          answers come to 207.8 mm and 98.2 mm.
"""

from ml_collections import ConfigDict

from hmr.configs.from_scratch import get_config as from_scratch_config


def get_config() -> ConfigDict:
    """The fields of `from_scratch` with the smaller of the two MoveNets, frozen."""
    config = from_scratch_config()
    config.model.encoder = "movenet_lightning_adapter"
    config.model.input_size = 192
    config.initial_encoder = "models/encoders/movenet_lightning.weights.h5"
    config.freeze_encoder = True
    config.train.batch_size = 64
    config.train.stored_epochs = 1.0
    config.train.epochs = 12.0
    config.validation.every_steps = 701
    return config
