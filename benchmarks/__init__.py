"""Side-by-side measurements of this machine: `python -m benchmarks`, or `make bench`."""

# Ctrl-C ends a verb in one line from here on, and TensorFlow starts with a training's switches.
import hmr.training  # noqa: F401
