"""Converters from the raw datasets of the paper to TFRecords."""

import sys
from pathlib import Path

# A checkout runs its own code, whatever other copy of hmr is installed.
_SOURCE = Path(__file__).parents[1] / "src"
if (_SOURCE / "hmr").is_dir():
    sys.path.insert(0, str(_SOURCE))

if sys.argv[:1] == ["-m"]:  # Python imports this before the verb's own module
    from hmr.errors import end_without_package

    sys.excepthook = end_without_package
