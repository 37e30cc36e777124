"""HTML that needs no network: formulas as MathML, pictures inside the file and described, no
scripts.
"""

import html
import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator
from pathlib import Path

import nbformat
from jinja2 import DictLoader, pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from lib.core.writing import atomic_path
from lib.report import METRICS_MIME, compare_payloads, environment_line

# nbconvert's page without its scripts, and with alternative texts, which it does not read from the
# metadata.
TEMPLATE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}{%- endblock html_head_js -%}
{%- block html_head_js_mathjax -%}{%- endblock html_head_js_mathjax -%}
{%- block html_head_js_mermaidjs -%}{%- endblock html_head_js_mermaidjs -%}
{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img alt="{{ output | get_metadata('alt', 'image/png') | escape_html }}"
 src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}">
</div>
{%- endblock data_png -%}
"""
NO_SENTENCE = "A figure; the text around it says what it shows."
UNCONVERTED = "formula"  # class of a formula that is shown as its source
# An environment that the converter does not know, and the one it knows that reads the same.
ENVIRONMENTS = {"aligned": "align*", "gathered": "align*", "equation": "align*"}

STYLE = """
:root { color-scheme: light dark; }
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-top: 2px solid currentColor; padding-top: 0.6rem; }
.agrees::before { content: "\\2713  "; } .differs::before { content: "\\2717  "; }
.differs { font-weight: bold; } pre { white-space: pre-wrap; } caption { max-width: 60rem; }
nav td, nav th { padding: 0.2rem 1rem 0.2rem 0; text-align: left; } nav td.seconds { text-align: right; }
"""


class _Renderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML."""

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


class OfflineExporter(HTMLExporter):
    """nbconvert's HTML exporter without anything from the network."""

    def __init__(self, **options) -> None:
        options.setdefault("extra_loaders", [DictLoader({"offline.html.j2": TEMPLATE})])
        super().__init__(template_file="offline.html.j2", embed_images=True, **options)

    @pass_context
    def markdown2html(self, context, source):
        cell = context.get("cell", {})
        renderer = _Renderer(
            escape=False,
            attachments=cell.get("attachments", {}),
            embed_images=self.embed_images,
            path=context.get("resources", {}).get("metadata", {}).get("path", ""),
            anchor_link_text=self.anchor_link_text,
            exclude_anchor_links=self.exclude_anchor_links,
        )
        return MarkdownWithMath(renderer=renderer).render(source)


def mathml(formula: str, display: str) -> str:
    """A LaTeX formula as MathML; one that cannot be converted stays readable as its source."""
    source = re.sub(
        r"\\(begin|end)\{(\w+)\}", lambda m: f"\\{m[1]}{{{ENVIRONMENTS.get(m[2], m[2])}}}", formula
    )
    try:
        converted = convert(source.strip(), display=display)
        ElementTree.fromstring(converted)
    except Exception:  # the converter raises many types; a formula must not cost the page
        converted = "\\"
    # A command that the converter does not know comes out as it went in.
    return (
        f'<code class="{UNCONVERTED}">{html.escape(formula)}</code>'
        if "\\" in converted
        else converted
    )


def unconverted_formulas(markdown: str) -> list[str]:
    """The formulas of a markdown cell that would be shown as their source."""
    page = MarkdownWithMath(renderer=_Renderer(escape=False)).render(markdown)
    found = re.findall(rf'<code class="{UNCONVERTED}">(.*?)</code>', page, flags=re.DOTALL)
    return [html.unescape(formula) for formula in found]


def write_page(run, path: Path, pages: Collection[str]) -> Path:
    """Writes a notebook as one HTML file.

    Args:
        run: the execution.
        path: of the page.
        pages: stems of the notebooks that have a page; links to them lead there.
    """
    notebook = nbformat.from_dict(run.fresh)
    notebook.metadata["title"] = title_of(notebook, run.path.stem)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, pages)
    _describe_figures(notebook)
    resources = {"metadata": {"name": run.path.stem, "path": str(run.path.parent)}}
    page, _ = OfflineExporter().from_notebook_node(notebook, resources)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def write_report(runs, path: Path) -> Path:
    """Writes the quality tables of all notebooks on one page, each with a word on whether it is as
    stored.
    """
    sections = "".join(_section(run) for run in runs)
    rows = "".join(
        "<tr><td><a"
        f' href="#{run.path.stem}">{html.escape(title_of(run.fresh, run.path.stem))}</a></td><td'
        f' class="seconds">{run.seconds:.0f} s</td><td>{_outcome(run)}</td></tr>'
        for run in runs
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Quality report</title><style>{STYLE}</style></head><body>"
        "<h1>Cross-modal retrieval, measured: quality report</h1>"
        "<p>Every quality table of the notebooks, computed here"
        f" ({html.escape(environment_line())}) and "
        "compared with the numbers stored in the notebooks, within each table's tolerance.</p>"
        '<nav><table><thead><tr><th scope="col">Notebook</th><th scope="col">Time</th>'
        f'<th scope="col">Outcome</th></tr></thead><tbody>{rows}</tbody></table></nav>'
        f"{sections}</body></html>\n"
    )
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def title_of(notebook, default: str) -> str:
    """The first heading of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (match := re.match(r"#\s+(.+)", cell.source.lstrip())):
            return match[1].strip()
    return default


def payload_outputs(cell) -> list[dict]:
    """The outputs of a cell that carry checked numbers."""
    return [o for o in cell.get("outputs", []) if METRICS_MIME in o.get("data", {})]


def _section(run) -> str:
    stem = run.path.stem
    parts = [
        f'<section id="{stem}"><h2>{html.escape(title_of(run.fresh, stem))}</h2>'
        f'<p><a href="{stem}.html">the notebook</a></p>'
    ]
    if run.error:
        parts.append(
            f'<p class="differs">failed</p><pre>{html.escape(_without_colours(run.error))}</pre>'
        )
    for output, differences in _judged(run):
        verdict = "differs" if differences else "agrees"
        if output["data"][METRICS_MIME]["kind"] == "quality":
            parts.append(output["data"]["text/html"])
            parts.append(
                f'<p class="{verdict}">{verdict}{" from" if differences else " with"} the stored'
                " numbers</p>"
            )
        else:
            parts.append(f'<p class="{verdict}">{html.escape(output["data"]["text/plain"])}</p>')
        if differences:
            parts.append(f"<pre>{html.escape(chr(10).join(differences))}</pre>")
    return "".join([*parts, "</section>"])


def _outcome(run) -> str:
    judged = [not differences for _, differences in _judged(run)]
    agree = f"{sum(judged)} of {len(judged)} tables and sentences agree"
    return f"failed; {agree}" if run.error else agree


def _judged(run) -> Iterator[tuple[dict, list[str]]]:
    """Each fresh payload output of a notebook, with its differences from the stored one."""
    for old_cell, new_cell in zip(run.stored.cells, run.fresh.cells, strict=True):
        stored = payload_outputs(old_cell)
        for place, output in enumerate(payload_outputs(new_cell)):
            if place < len(stored):
                old, new = stored[place]["data"][METRICS_MIME], output["data"][METRICS_MIME]
                yield output, compare_payloads(old, new)
            else:
                yield output, ["nothing is stored to compare with"]


def _describe_figures(notebook) -> None:
    """Gives each picture the sentence that stands under it, in its own or the next code cell."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, following in itertools.pairwise([*code, None]):
        near = payload_outputs(cell) + (payload_outputs(following) if following else [])
        said = [
            o["data"]["text/plain"] for o in near if o["data"][METRICS_MIME]["kind"] == "sentence"
        ]
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": said[0] if said else NO_SENTENCE}


def _linked(source: str, pages: Collection[str]) -> str:
    """Links to notebooks lead to their pages, where there is one."""

    def link(match: re.Match) -> str:
        return f"]({match[1]}.html{match[2] or ''})" if match[1] in pages else match[0]

    return re.sub(r"\]\((?:\./)?([\w-]+)\.ipynb(#[^)]*)?\)", link, source)


def _without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
