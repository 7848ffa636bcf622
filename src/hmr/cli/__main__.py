"""The command `hmr`: one verb after another, each with its own --help."""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

from hmr.errors import EXIT_CODES, EXIT_USER_ERROR, run_verb
from hmr.version import VERSION

# Verb: its module in this package, and what it does.
VERBS = {
    "predict": ("predict", "bodies of the people in pictures and videos"),
    "train": ("train", "train a model: hmr train --config demo"),
    "evaluate": ("evaluate", "errors of a model, or of any method's predictions"),
    "export": ("export", "a SavedModel, TFLite or ONNX file for other programs"),
    "data-service": ("data_service", "batches for a training, prepared on other machines"),
    "web": ("web", "a local page: photo in, body out"),
    "doctor": ("doctor", "what is installed, what is found, and what to do next"),
    "convert-smpl": ("convert_smpl", "read a SMPL file as it was downloaded"),
    "convert-checkpoint": ("convert_checkpoint", "read a TF1 checkpoint of the authors'"),
}


def run(verb: str, command: str) -> NoReturn:
    """Imports a verb and runs it; a package that its import lacks is reported as its errors are.

    Args:
        verb: a key of `VERBS`.
        command: how it was called, for its usage line.
    """
    run_verb(lambda: importlib.import_module(f"hmr.cli.{VERBS[verb][0]}").main(), command)


def main() -> None:
    """Entry point of the command."""
    verb = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if verb in VERBS:
        del sys.argv[1]
        run(verb, f"hmr {verb}")
    known = "\n".join(f"  {name:<19} {what}" for name, (_, what) in VERBS.items())
    codes = "\n".join(f"  {code:<5} {meaning}" for code, meaning in EXIT_CODES.items())
    usage = f"usage: hmr VERB [--help] ...\n\n{known}\n\nexit codes:\n{codes}"
    if verb == "--version":
        print(f"hmr {VERSION}")
        sys.exit(0)
    if verb in ("-h", "--help"):
        print(usage)
        sys.exit(0)
    print(f"error: hmr has no verb {verb!r}.\n{usage}", file=sys.stderr)
    sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main()
