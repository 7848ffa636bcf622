"""`python -m src.web`: the command `hmr web` of a checkout."""

from hmr.cli.web import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.web")
