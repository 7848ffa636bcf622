"""`python -m src.export`: the command `hmr export` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("export", "python -m src.export")
