"""`python -m src.predict`: the command `hmr predict` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("predict", "python -m src.predict")
