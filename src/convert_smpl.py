"""`python -m src.convert_smpl`: the command `hmr convert-smpl` of a checkout."""

from hmr.cli.convert_smpl import main
from hmr.errors import run_verb

if __name__ == "__main__":
    run_verb(main, "python -m src.convert_smpl")
