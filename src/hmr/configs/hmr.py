"""The paper's model and recipe (Kanazawa et al., CVPR 2018).

Command:  python -m src.main --config hmr
Needs:    models/smpl_neutral.npz (make smpl SMPL=...), models/neutral_smpl_mean_params.h5, and the
          records of every dataset under `data.train` and `data.mocap` (make tfrecords ...). Leave
          a dataset out with --config.data.train.h36m=0.
Cost:     the paper reports about 5 days on one GTX 1080 Ti.
Expected: Human3.6M P1 MPJPE 87.97 mm, P2 PA-MPJPE 56.8 mm (the paper's figures).
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
    """Every field of a training; `python -m src.main --config=... --config.x.y=...` overrides."""
    return ConfigDict(
        {
            "seed": 0,
            # Of encoder and regressor: "float32" or "mixed_bfloat16". Body and losses are float32.
            "precision": "float32",
            # "none": one device; "mirrored": all of this machine; "multi_worker": see TF_CONFIG.
            "strategy": "none",
            "model": {
                "encoder": "resnet50_v2",
                "input_size": 224,
                "iterations": 3,
                "hidden_units": 1024,
                "dropout": 0.5,
                "discriminator_units": 1024,
                "body": "models/smpl_neutral.npz",
            },
            # Where Theta_0 comes from: the authors' .h5 file, or "mocap" for the records' mean.
            "mean_params": "models/neutral_smpl_mean_params.h5",
            # Model folder to start from; a converted training goes on where it stopped.
            "initial_model": "",
            # Encoder weights to start from, such as converted ImageNet weights.
            "initial_encoder": "",
            "data": {
                "root": "data/tfrecords",
                # Dataset: how often each of its records is seen, relative to the others'.
                "train": {
                    "lsp": 1.0,
                    "lsp_ext": 1.0,
                    "mpii": 1.0,
                    "coco": 1.0,
                    "h36m": 1.0,
                    "mpi_inf_3dhp": 1.0,
                },
                "mocap": {"mocap_cmu": 1.0, "mocap_h36m_mosh": 1.0, "mocap_posePrior": 1.0},
                # Part of each batch that carries 3D labels, where both kinds of datasets are given.
                "share_3d": 0.5,
                "shuffle_buffer": 2000,
                # Part of all records that may be unreadable; those are left out and named.
                "max_bad_share": 0.001,
                # Address of a tf.data service that prepares batches elsewhere: grpc://host:5000.
                "service": "",
                "augmentation": {
                    "shift_px": 20,
                    "scale_min": 0.8,
                    "scale_max": 1.23,
                    "flip_probability": 0.5,
                },
            },
            "loss": {"keypoints2d": 60.0, "joints3d": 60.0, "smpl": 60.0, "adversarial": 1.0},
            "optimizer": {
                "encoder_learning_rate": 1e-5,
                "discriminator_learning_rate": 1e-4,
                # "constant", or "cosine": to zero over the training, after a linear warm-up.
                "schedule": "constant",
                "warmup_steps": 0,
            },
            "train": {
                "batch_size": 64,
                "epochs": 55.0,
                # What batch norm's moving variance is fed: "biased", as TensorFlow 1.3 did, or
                # "corrected" by N / (N - 1), as TF-Slim does since.
                "batch_norm_variance": "biased",
                "checkpoint_every_steps": 1000,
                "checkpoints_kept": 3,
                "log_every_steps": 50,
            },
            "validation": {
                # Scored while training: a dataset of data.root, "" for none, and its split.
                "dataset": "mpi_inf_3dhp",
                "split": "val",
                "every_steps": 5000,
                # How many records, from the first; 0 for all.
                "limit": 2000,
                # The lowest is kept in best/: mpjpe_mm, pa_mpjpe_mm or keypoint_error_px.
                "best_by": "pa_mpjpe_mm",
                # How many of the records are drawn for TensorBoard.
                "pictures": 4,
            },
        }
    )
