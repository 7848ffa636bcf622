"""The paper's section 4.3 scaled down, (b): without paired 3D labels, with discriminators.

Command:  make ablation (all three), or python -m src.main --config ablation_unpaired
          --workdir runs/ablation/unpaired
Needs:    as `ablation_paired.py`; cost and result likewise.
"""

from ml_collections import ConfigDict

from hmr.configs.ablation_paired import get_config as paired_config


def get_config() -> ConfigDict:
    """The same pictures, and of their labels only the 2D keypoints."""
    config = paired_config()
    config.loss.joints3d = 0.0
    config.loss.smpl = 0.0
    return config
