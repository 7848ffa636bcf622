"""`python -m src.evaluate`: the command `hmr evaluate` of a checkout."""

from hmr.cli.evaluate import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.evaluate")
