"""The paper's model and recipe (Kanazawa et al., CVPR 2018).

Command:  python -m src.main --config hmr
Needs:    models/smpl_neutral.npz (make smpl SMPL=...), models/neutral_smpl_mean_params.h5,
          models/imagenet/encoder.weights.h5 (python -m src.convert_checkpoint --input
          resnet_v2_50.ckpt, or --input keras), and the records of every dataset under `data.train`
          and `data.mocap` (make tfrecords ...). --config.data.train.h36m=0 leaves a dataset out.
Cost:     the paper reports about 5 days on one GTX 1080 Ti.
Expected: Human3.6M P1 MPJPE 87.97 mm, P2 PA-MPJPE 56.8 mm (the paper's figures).
"""

from dataclasses import asdict

from ml_collections import ConfigDict

from hmr.settings import Experiment


def get_config() -> ConfigDict:
    """Every field of a training; `hmr.settings` says what each means.

    `python -m src.main --config=... --config.x.y=...` overrides a field.
    """
    return ConfigDict(asdict(Experiment()))
