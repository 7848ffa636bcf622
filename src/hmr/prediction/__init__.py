"""What `python -m src.predict` does: runs over pictures, videos and raw crops."""
