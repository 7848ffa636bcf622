"""`python -m src.export`: the command `hmr export` of a checkout."""

from hmr.cli.export import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.export")
