"""The ways in for a checkout: `python -m src.main --config ...`; the package itself is `hmr`."""

import os
import sys

# A checkout runs its own code, whatever other copy of hmr is installed.
sys.path.insert(0, os.path.dirname(__file__))

import hmr  # noqa: F401 - from its first lines on, Ctrl-C ends a verb in one line
