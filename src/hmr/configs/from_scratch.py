"""The paper's training scaled down to minutes: a narrow encoder that begins with random weights.

Command:  python -m src.main --config from_scratch
Needs:    data/standin, the converted stand-in datasets (make demo makes them).
Cost:     4,439 steps of 32 pictures, 3.5 to 7.3 minutes on two cores.
Measured: on people and poses never seen, MPJPE 116.1 mm and PA-MPJPE 72.4 mm; the best constant
          answers come to 207.8 mm and 98.2 mm.
"""

from ml_collections import ConfigDict

from hmr.configs.hmr import get_config as paper_config


def get_config() -> ConfigDict:
    """The paper's fields with a narrow encoder, small images and a faster schedule."""
    config = paper_config()
    config.model.encoder = "resnet14_v2_narrow"
    config.model.input_size = 96
    config.model.hidden_units = 512
    config.model.dropout = 0.0
    config.model.discriminator_units = 256
    config.model.body = "models/standin_body.npz"
    config.mean_params = "mocap"
    config.initial_encoder = ""
    config.data.root = "data/standin"
    config.data.train = ConfigDict({"lsp": 1.0, "coco": 1.0, "mpi_inf_3dhp": 1.0})
    config.data.mocap = ConfigDict({"mocap_cmu": 1.0, "mocap_posePrior": 1.0})
    # In so few minutes a network learns most from 3D labels, and from people in the crop's middle.
    config.data.share_3d = 0.8
    config.data.augmentation = ConfigDict(
        {"shift_px": 5, "scale_min": 0.95, "scale_max": 1.06, "flip_probability": 0.5}
    )
    config.loss.joints3d = 300.0
    config.loss.adversarial = 0.05
    config.optimizer.encoder_learning_rate = 2e-3
    config.optimizer.discriminator_learning_rate = 1e-4
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup_steps = 100
    config.train.batch_size = 32
    config.train.epochs = 19.0
    config.train.checkpoint_every_steps = 1000
    config.train.log_every_steps = 20
    config.validation.every_steps = 2500
    config.validation.limit = 200
    return config
