"""HMR, "End-to-end Recovery of Human Shape and Pose" (Kanazawa et al., CVPR 2018), in Keras 3."""
