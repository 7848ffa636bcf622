"""Metrics, named protocols and the reports made from them."""
