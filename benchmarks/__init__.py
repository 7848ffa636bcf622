"""Side-by-side measurements of this machine: `python -m benchmarks`, or `make bench`."""
