"""Measurements that put several runs side by side."""
