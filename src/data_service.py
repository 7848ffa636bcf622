"""`python -m src.data_service`: the command `hmr data-service` of a checkout."""

from hmr.cli.__main__ import run

if __name__ == "__main__":
    run("data-service", "python -m src.data_service")
