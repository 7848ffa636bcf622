"""The ways in for a checkout: `python -m src.main --config ...`; the package itself is `hmr`."""

import sys
from pathlib import Path

# A checkout runs its own code, whatever other copy of hmr is installed.
sys.path.insert(0, str(Path(__file__).parent))
