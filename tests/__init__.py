"""The tests; a package, so that its helpers are found before other packages of this name."""

import hmr  # noqa: F401 - from its first lines on, Ctrl-C ends a verb in one line
