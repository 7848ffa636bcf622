"""`python -m src.convert_smpl`: the command `hmr convert-smpl` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("convert-smpl", "python -m src.convert_smpl")
