"""The authors' own files: TF1 checkpoints, ImageNet weights, SMPL pickles."""
