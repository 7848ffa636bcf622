"""Licence-free stand-in datasets: rendered people in the raw official layouts of the real ones."""
