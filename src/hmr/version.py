"""The version of the project, stated here alone; setup.py reads it."""

VERSION = "0.2.0"
