"""From pictures to bodies: who is in them, the network, and the files that come out."""

DEFAULT_MODEL = "models/people_free"
DEFAULT_BATCH = 16
