"""Experiments as ml_collections files; a docstring gives the command, the cost and the result."""
