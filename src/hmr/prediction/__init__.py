"""From pictures to bodies: who is in them, the network, and the files that come out."""

DEFAULT_MODEL = "models/people_free"
DEFAULT_BATCH = 16
# Strength of the smoothing of a video's motion, see `hmr.motion.smooth`.
SMOOTHING = 0.5
