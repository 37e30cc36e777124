"""Settings of Sphinx for the book; `lib.course.book.build_book` writes what it reads."""

from docutils import nodes

from lib.course.notebooks.pages import mathml

project = "Cross-modal retrieval, measured"
html_title = project
author = "The authors of the course"
extensions = ["myst_nb"]
language = "en"
master_doc = "index"
templates_path = []

# Stored outputs are shown; nothing is executed.
nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
nb_output_stderr = "warn"
nb_ipywidgets_js = {}  # the default loads scripts from the network

myst_enable_extensions = ["dollarmath", "amsmath", "attrs_block", "attrs_inline"]
myst_dmath_double_inline = True
myst_heading_anchors = 3
myst_update_mathjax = False
html_math_renderer = "mathml"

# A build with one warning fails. Suppressed:
suppress_warnings = [
    # A page of a lab or of the data may begin a part with a heading below the second level.
    "myst.header",
    # Sphinx has no lexer for some names behind ```; such a block is shown without colours.
    "misc.highlighting_failure",
]

html_theme = "sphinx_book_theme"
html_context = {"default_mode": "auto"}  # dark or light, as the system says
html_static_path = ["static"]
html_css_files = ["book.css"]
html_js_files = ["book.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
html_last_updated_fmt = None
# The texts under the hits of a search would be fetched, which a browser refuses for a page that was
# opened as a file.
html_show_search_summary = False
html_permalinks_icon = "#"
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "use_issues_button": False,
    "use_edit_page_button": False,
    "use_repository_button": False,
    "home_page_in_toc": False,
    "navigation_with_keys": False,
    "navbar_persistent": [],  # the search stands in the sidebar
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def setup(app):
    """Write formulas as MathML, which browsers show without a script."""
    app.add_html_math_renderer("mathml", (_inline_formula, None), (_formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline_formula(translator, node):
    formula = mathml(node.astext(), "inline")
    translator.body.append(f'<span class="inline-formula">{formula}</span>')
    raise nodes.SkipNode


def _formula(translator, node):
    translator.body.append(f'<div class="formula">{mathml(node.astext(), "block")}</div>\n')
    raise nodes.SkipNode
