"""The site of `make docs`: the pages as they are, and an API reference from the docstrings."""

import re
import sys
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

project, author = "HMR in TensorFlow 2", "the HMR in TensorFlow 2 authors"
html_title = project
extensions = [
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
]
root_doc = "README"
include_patterns = ["*.md", "docs/**", "models/README.md", "tests/golden/README.md"]
exclude_patterns = ["docs/api/*/modules.rst"]
suppress_warnings = ["ref.python"]  # a type's name that two modules have
html_theme, html_show_copyright, highlight_language = "furo", False, "none"
html_show_sourcelink = False

# The reference.
apidoc_modules = [
    {
        "path": str(ROOT / folder),
        "destination": f"docs/api/{Path(folder).name}",
        "separate_modules": True,
        "module_first": True,
    }
    for folder in ("src/hmr", "tfrecords_tools")
]
autodoc_member_order = "bysource"
autodoc_mock_imports = ["gradio", "gradio_image_annotation", "apache_beam", "cdflib", "pycocotools"]
default_role = "code"
napoleon_numpy_docstring, napoleon_use_ivar = False, True

# The pages. A link to a page or a heading that is not there ends the build.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600

PAGES = """

```{toctree}
:hidden:
:caption: %s

%s
```
"""
# The order is that of the table in docs/README.md.
GUIDES = re.findall(r"^\| \[([\w-]+)\.\w+\]", (ROOT / "docs/README.md").read_text(), re.MULTILINE)


def add_contents(app, docname, source):
    """Gives the first page the contents of the site, which its readers elsewhere need not see."""
    if docname == root_doc:
        guides = "\n".join(f"docs/{name}" for name in [*GUIDES, "README"])
        source[0] += PAGES % ("Pages", guides)
        source[0] += PAGES % (
            "Reference",
            "docs/api/hmr/hmr\ndocs/api/tfrecords_tools/tfrecords_tools",
        )
        source[0] += PAGES % (
            "Project",
            "models/README\ntests/golden/README\nCONTRIBUTING\nCHANGELOG",
        )


def as_plain_text(app, what, name, obj, options, lines):
    """Docstrings are plain text: tables and columns keep their lines, no character is markup."""
    text = []
    for is_blank, group in groupby(lines, key=lambda line: not line.strip()):
        paragraph = list(group)
        if not is_blank and _is_laid_out(paragraph, what == "module"):
            text += ["::", "", *(f"    {line}" for line in paragraph), ""]
        else:
            text += [_escaped(line) for line in paragraph]
    lines[:] = text


def _is_laid_out(paragraph, is_module):
    """Whether line breaks matter: tables anywhere, and what is indented outside of sections."""
    if paragraph[0].startswith("|"):
        return True
    is_list = paragraph[0].startswith(("* ", "- "))
    return is_module and not is_list and any(line.startswith(" ") for line in paragraph)


def _escaped(line):
    """The line with the characters that would mark up something, except in backticks."""
    bullet = "* " if line.startswith("* ") else ""
    parts = re.split(r"(`[^`]*`)", line.removeprefix(bullet))
    return bullet + "".join(
        part if part.startswith("`") else re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part)
        for part in parts
    )


def setup(app):
    """Registers the above."""
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", as_plain_text, priority=400)  # before napoleon
