"""The training loop, its callbacks and its checkpoints."""

from hmr.processor import choose_switches

choose_switches()  # before TensorFlow is imported, which reads them at its start
