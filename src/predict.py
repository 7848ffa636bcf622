"""`python -m src.predict`: the command `hmr predict` of a checkout."""

from hmr.cli.predict import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.predict")
