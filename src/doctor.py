"""`python -m src.doctor`: the command `hmr doctor` of a checkout."""

from hmr.cli.doctor import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.doctor")
