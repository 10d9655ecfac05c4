"""
How the documentation is built: see ``make docs``.
"""

from __future__ import annotations

from importlib.metadata import version as installed


project = "switchgear"
author = "The switchgear authors"
copyright = "The switchgear authors"  # noqa: A001 -- Sphinx's word
version = release = installed("switchgear")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["_static"]

# Every reference must lead somewhere ...
nitpicky = True
nitpick_ignore_regex = [
    # ... but for types of annotations that are not ours: nothing is fetched
    # from other sites, so that the build works without a network.
    ("py:(class|obj|exc|data)", r"(?!switchgear\b).*"),
    # Base classes that are nobody's business.
    ("py:class", r"switchgear\._.*"),
]

html_theme = "furo"
html_title = f"switchgear {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

# The prompt is no part of what is copied, and neither is the output.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
