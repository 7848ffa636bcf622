"""`python -m src.convert_checkpoint`: the command `hmr convert-checkpoint` of a checkout."""

from hmr.cli.convert_checkpoint import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.convert_checkpoint")
