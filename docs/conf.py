"""Sphinx's settings: `make docs` builds the site into docs/_build."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "lerax"
version = release = re.findall(r'__version__ = "(.+)"', (HERE.parent / "lerax/__init__.py").read_text())[0]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "from_code"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"lerax {release}"
html_show_copyright = html_show_sphinx = html_copy_source = False

myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
maximum_signature_line_length = 120
default_role = "code"  # docstrings put code between single backquotes

nitpicky = True
nitpick_ignore_regex = [
    ("py:.*", r"(?!lerax\.).*"),  # other projects' names are not looked up: nothing is fetched
    ("py:.*", r"lerax\..*(State|Item|Learner|Callback|Networks|Module)T|lerax\.callback\.run_log\.RunLog"),
    ("py:.*", r"lerax\.policy\.base_policy\.P|lerax\.tree\.Packing|lerax\.network\.encoder\.Filters"),
    ("py:.*", r"lerax\.report\.blocks\.Report"),
    ("py:.*", r"lerax\.hosted\.(faults\.Fault|sessions\.Sessions|instances\.Kind)"),
    ("py:.*", r"lerax\.algorithm\.(off_policy\.(dqn\.QNetworks|buffer\.Row)|on_policy\.pqn\.QBatch)"),
]
