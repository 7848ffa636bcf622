"""Side-by-side measurements of this machine: `python -m benchmarks`, or `make bench`."""

import hmr  # noqa: F401 - from its first lines on, Ctrl-C ends a verb in one line
