"""`python -m src.web`: the command `hmr web` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("web", "python -m src.web")
