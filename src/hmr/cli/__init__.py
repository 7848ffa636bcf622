"""The verbs, one file each: flags in, one call down, exit code out."""

import argparse


def verb_parser(about: str | None, epilog: str) -> argparse.ArgumentParser:
    """A verb's parser, to which it adds its flags; both texts are shown as they are written."""
    kept = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=about, epilog=epilog, formatter_class=kept)
