"""The paper's section 4.3 scaled down, (c): without paired 3D labels and without discriminators.

Command:  make ablation (all three), or python -m src.main --config ablation_no_prior
          --workdir runs/ablation/no_prior
Needs:    as `ablation_paired.py`; cost and result likewise.
"""

from ml_collections import ConfigDict

from hmr.configs.ablation_unpaired import get_config as unpaired_config


def get_config() -> ConfigDict:
    """2D keypoints alone: any body that projects onto them is as good as another."""
    config = unpaired_config()
    config.loss.adversarial = 0.0
    return config
