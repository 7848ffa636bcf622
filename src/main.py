"""`python -m src.main --config ...`: the command `hmr train` of a checkout."""

from hmr.cli.train import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.main")
