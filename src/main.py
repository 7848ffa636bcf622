"""`python -m src.main --config ...`: the command `hmr train` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("train", "python -m src.main")
