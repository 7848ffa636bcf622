"""`python -m src.convert_checkpoint`: the command `hmr convert-checkpoint` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("convert-checkpoint", "python -m src.convert_checkpoint")
