"""Converters from the raw datasets of the paper to TFRecords."""
