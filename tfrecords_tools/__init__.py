"""Converters from the raw datasets of the paper to TFRecords."""

import os
import sys

# A checkout runs its own code, whatever other copy of hmr is installed.
_SOURCE = os.path.join(os.path.dirname(__file__), "..", "src")
if os.path.isdir(os.path.join(_SOURCE, "hmr")):
    sys.path.insert(0, os.path.normpath(_SOURCE))

if sys.argv[:1] == ["-m"]:  # Python imports this before the verb's own module
    from hmr.errors import end_without_package

    sys.excepthook = end_without_package
