"""`python -m src.evaluate`: the command `hmr evaluate` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("evaluate", "python -m src.evaluate")
