"""The verbs, one file each: flags in, one call down, exit code out."""

import argparse


def verb_parser(about: str | None, epilog: str) -> argparse.ArgumentParser:
    """The parser that a verb adds its flags to; --help keeps the line breaks of both texts."""
    formatter = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=about, epilog=epilog, formatter_class=formatter)
