"""Bodies moved onto keypoints by minimising the paper's own losses at test time."""
