"""`python -m src.doctor`: the command `hmr doctor` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("doctor", "python -m src.doctor")
