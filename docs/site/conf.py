"""Settings of Sphinx for the site. `tools/website.py` lays out the sources beside it and runs it.

Sphinx with myst-nb and sphinx-book-theme, not Quarto: both are plain Python packages that pip
installs and that read our docstrings too; Quarto is a program of its own, and would need a second
tool for the API pages. Nothing here asks another server for anything: MathJax lies in _static, the
theme brings its icons, and images with an address elsewhere are turned into links beforehand.
"""

import json
from pathlib import Path

SETTINGS = json.loads(Path(__file__).with_name("site.json").read_text(encoding="utf-8"))
REPOSITORY = f"https://github.com/{SETTINGS['slug']}"

project = html_title = "Hourglass networks and heat maps"
author, language = "The hglib authors", "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_static"]
default_role = "code"  # `x` in a docstring is code, as in Markdown
suppress_warnings = ["myst.header", "myst.xref_missing", "misc.highlighting_failure"]

nb_execution_mode = "off"  # the outputs are those that were committed
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# site: is a path in the built site, such as that of the explorer, which is no source of Sphinx.
myst_url_schemes = {"http": None, "https": None, "mailto": None, "site": "{{path}}"}
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_favicon = "_static/icon.svg"
html_copy_source = True  # the notebooks, for the download button
html_show_sourcelink = False
mathjax_path = "mathjax/tex-svg.js"  # one file, no fonts
html_theme_options = {
    "repository_url": REPOSITORY,
    "repository_branch": SETTINGS["ref"],
    "path_to_docs": "",
    "use_download_button": True,
    "use_fullscreen_button": False,
    "use_repository_button": True,
    "launch_buttons": {"colab_url": "https://colab.research.google.com"},
    "show_navbar_depth": 1,
    "show_toc_level": 2,
}
