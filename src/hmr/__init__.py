"""HMR, "End-to-end Recovery of Human Shape and Pose" (Kanazawa et al., CVPR 2018), in Keras 3."""

import os

# TensorFlow's start-up lines hide ours; set the variable to 0 to see them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
