"""Experiments as ml_collections files: each docstring gives the command, the cost and the result."""
