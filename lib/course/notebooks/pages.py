"""HTML pages without network: MathML formulas, described pictures in the file, no scripts."""

import html
import itertools
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import nbformat
from jinja2 import DictLoader, Environment, pass_context
from latex2mathml.converter import convert
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from lib.core.writing import atomic_path
from lib.report import METRICS_MIME, compare_payloads, environment_line

# nbconvert's page without its scripts; with alternative texts, which it does not read from the
# metadata; the source of a folded cell behind a click; and links to the other pages.
PAGE = """
{%- extends 'index.html.j2' -%}
{%- block html_head_js -%}{%- endblock html_head_js -%}
{%- block html_head_js_mathjax -%}{%- endblock html_head_js_mathjax -%}
{%- block html_head_js_mermaidjs -%}{%- endblock html_head_js_mermaidjs -%}
{%- block html_head_css -%}
<style>
main { max-width: 1100px; margin: 0 auto; }
/* 70 digits are as wide as 80 letters of a text. */
.jp-RenderedMarkdown :is(p, ul, ol, blockquote) { max-width: 70ch; }
.jp-RenderedHTML { overflow-x: auto; }
details.folded summary, nav.course { font-family: var(--jp-content-font-family); }
details.folded summary { padding-left: 70px; font-size: 13px; }
nav.course { max-width: 56em; margin: 1em 70px; font-size: 14px; line-height: 1.6; }
nav.course .steps { display: flex; justify-content: space-between; gap: 2em; }
nav.course ul { columns: 2; list-style: none; padding-left: 1.2em; margin: 0.3em 0; }
nav.course li.deeper { padding-left: 1.5em; }
</style>
{%- endblock html_head_css -%}
{%- block input_group -%}
{%- if cell.metadata.get("jupyter", {}).get("source_hidden") -%}
<details class="folded"><summary>Show the code</summary>
{{ super() }}
</details>
{%- else -%}
{{ super() }}
{%- endif -%}
{%- endblock input_group -%}
{%- block data_png scoped -%}
<div class="jp-RenderedImage jp-OutputArea-output">
<img alt="{{ output | get_metadata('alt', 'image/png') | escape_html }}"
 src="data:image/png;base64,{{ output.data['image/png'] | escape_html }}">
</div>
{%- endblock data_png -%}
"""
STEPS = """
{%- set stems = pages | list -%}
{%- set at = stems.index(stem) -%}
<p class="steps">
<span>{% if at > 0 %}<a rel="prev" href="{{ stems[at - 1] }}.html">
\u2190 {{ pages[stems[at - 1]] }}</a>{% endif %}</span>
<span>{% if at + 1 < stems | length %}<a rel="next" href="{{ stems[at + 1] }}.html">
{{ pages[stems[at + 1]] }} \u2192</a>{% endif %}</span>
</p>
"""
TOP = f"""<nav class="course" aria-label="Course">{STEPS}
<details><summary>The course</summary><ul>
{{% for name, title in pages.items() -%}}
<li>{{% if name == stem %}}<b aria-current="page">{{{{ title }}}}</b>
{{%- else %}}<a href="{{{{ name }}}}.html">{{{{ title }}}}</a>{{% endif %}}</li>
{{% endfor -%}}
</ul></details>
<details open><summary>On this page</summary><ul>
{{% for level, name, text in headings -%}}
<li{{% if level > 2 %}} class="deeper"{{% endif %}}>
<a href="#{{{{ name }}}}">{{{{ text }}}}</a></li>
{{% endfor -%}}
</ul></details></nav>
"""
BOTTOM = f"""<nav class="course" aria-label="Next page">{STEPS}</nav>
"""
REPORT = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Quality report</title>
<style>
:root { color-scheme: light dark; }
body { font: 1.1rem/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-top: 2px solid currentColor; padding-top: 0.6rem; }
.agrees::before { content: "\\2713  "; } .differs::before { content: "\\2717  "; }
.differs { font-weight: bold; } pre { white-space: pre-wrap; } caption { max-width: 60rem; }
nav td, nav th { padding: 0.2rem 1rem 0.2rem 0; text-align: left; }
nav td.seconds { text-align: right; }
</style></head><body>
<h1>Cross-modal retrieval, measured: quality report</h1>
<p>Every quality table of the notebooks, computed here ({{ environment }}) and compared with the
numbers stored in the notebooks, within each table's tolerance.</p>
<nav><table><thead><tr><th scope="col">Notebook</th><th scope="col">Time</th>
<th scope="col">Outcome</th></tr></thead><tbody>
{% for section in sections -%}
<tr><td><a href="#{{ section.stem }}">{{ section.title }}</a></td>
<td class="seconds">{{ section.seconds }} s</td><td>{{ section.outcome }}</td></tr>
{% endfor -%}
</tbody></table></nav>
{% for section in sections -%}
<section id="{{ section.stem }}"><h2>{{ section.title }}</h2>
<p><a href="{{ section.stem }}.html">the notebook</a></p>
{% if section.error -%}
<p class="differs">failed</p><pre>{{ section.error }}</pre>
{% endif -%}
{% for data, kind, differences in section.tables -%}
{% set verdict = "differs" if differences else "agrees" -%}
{% if kind == "quality" -%}
{{ data["text/html"] | safe }}
<p class="{{ verdict }}">{{ verdict }}
{%- if differences %} from {% else %} with {% endif %}the stored numbers</p>
{% else -%}
<p class="{{ verdict }}">{{ data["text/plain"] }}</p>
{% endif -%}
{% if differences %}<pre>{{ differences | join("\n") }}</pre>{% endif -%}
{% endfor -%}
</section>
{% endfor -%}
</body></html>
"""
NO_SENTENCE = "A figure; the text around it says what it shows."
UNCONVERTED = "formula"  # class of a formula that is shown as its source
# An environment that the converter does not know, and the one it knows that reads the same.
ENVIRONMENTS = {"aligned": "align*", "gathered": "align*", "equation": "align*"}


class _Renderer(IPythonRenderer):
    """Markdown to HTML with formulas as MathML; it lists the headings below the title."""

    def __init__(self, headings: list | None = None, **options) -> None:
        super().__init__(**options)
        self.headings = [] if headings is None else headings

    def heading(self, text: str, level: int, **attributes) -> str:
        plain = html.unescape(re.sub(r"<[^>]+>", "", text)).strip()
        name = quote(plain.replace(" ", "-"), safe="?/:@!$&'()*+,;=")  # as JupyterLab names it
        if level in (2, 3):
            self.headings.append((level, name, plain))
        # nbconvert's own headings lose formulas: their MathML gets a prefix.
        link = f'<a class="anchor-link" href="#{html.escape(name)}">\u00b6</a>'
        return f'<h{level} id="{html.escape(name)}">{text}{link}</h{level}>\n'

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(f"\\begin{{{name}}}{body}\\end{{{name}}}", "block")


class OfflineExporter(HTMLExporter):
    """nbconvert's HTML exporter without anything from the network."""

    def __init__(self, **options) -> None:
        options.setdefault("extra_loaders", [DictLoader({"offline.html.j2": PAGE})])
        super().__init__(template_file="offline.html.j2", embed_images=True, **options)
        self.headings: list[tuple[int, str, str]] = []  # (level, id, text) of the last page

    @pass_context
    def markdown2html(self, context, source):
        cell = context.get("cell", {})
        renderer = _Renderer(
            self.headings,
            escape=False,
            attachments=cell.get("attachments", {}),
            embed_images=self.embed_images,
            path=context.get("resources", {}).get("metadata", {}).get("path", ""),
            anchor_link_text=self.anchor_link_text,
            exclude_anchor_links=self.exclude_anchor_links,
        )
        return MarkdownWithMath(renderer=renderer).render(source)


def mathml(formula: str, display: str) -> str:
    """Convert a LaTeX formula to MathML; if that fails, to a code element with its source."""
    source = re.sub(
        r"\\(begin|end)\{(\w+)\}", lambda m: f"\\{m[1]}{{{ENVIRONMENTS.get(m[2], m[2])}}}", formula
    )
    try:
        converted = convert(source.strip(), display=display)
        ElementTree.fromstring(converted)
    except Exception:  # the converter raises many types; a formula must not cost the page
        converted = "\\"
    if "\\" in converted:  # the converter leaves an unknown command as it is
        return f'<code class="{UNCONVERTED}">{html.escape(formula)}</code>'
    return converted


def markdown_html(markdown: str) -> str:
    """Convert markdown to HTML with formulas as MathML, as on the pages of the notebooks."""
    return MarkdownWithMath(renderer=_Renderer(escape=False)).render(markdown)


def unconverted_formulas(markdown: str) -> list[str]:
    """List the formulas of a markdown cell that would be shown as their source."""
    page = markdown_html(markdown)
    sources = re.findall(rf'<code class="{UNCONVERTED}">(.*?)</code>', page, flags=re.DOTALL)
    return [html.unescape(source) for source in sources]


def write_page(execution, path: Path, pages: Mapping[str, str]) -> Path:
    """Write an executed notebook as one HTML file that leads to the other pages.

    Args:
        execution: of the notebook.
        path: of the page.
        pages: title of each page of the course by its stem, in order.
    """
    stem = execution.path.stem
    notebook = nbformat.from_dict(execution.fresh)
    notebook.metadata["title"] = title_of(notebook, stem)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, pages)
    describe_figures(notebook)
    resources = {"metadata": {"name": stem, "path": str(execution.path.parent)}}
    exporter = OfflineExporter()
    page, _ = exporter.from_notebook_node(notebook, resources)
    contents = {"stem": stem, "pages": pages, "headings": exporter.headings}
    jinja = Environment(autoescape=True)
    page = page.replace("<main>", "<main>" + jinja.from_string(TOP).render(contents), 1)
    before, end, after = page.rpartition("</main>")
    page = before + jinja.from_string(BOTTOM).render(contents) + end + after
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def write_report(executions, path: Path) -> Path:
    """Write the quality tables of all notebooks on one page, compared with the stored ones."""
    template = Environment(autoescape=True).from_string(REPORT)
    sections = [_section(execution) for execution in executions]
    page = template.render(environment=environment_line(), sections=sections)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def title_of(notebook, default: str) -> str:
    """Find the first heading of a notebook."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (match := re.match(r"#\s+(.+)", cell.source.lstrip())):
            return match[1].strip()
    return default


def payload_outputs(cell) -> list[dict]:
    """Select the outputs of a cell that carry checked numbers."""
    return [o for o in cell.get("outputs", []) if METRICS_MIME in o.get("data", {})]


def _section(execution) -> dict:
    tables = list(_compared_tables(execution))
    n_agree = sum(not differences for _, _, differences in tables)
    outcome = f"{n_agree} of {len(tables)} tables and sentences agree"
    error = execution.error and re.sub(r"\x1b\[[0-9;]*m", "", execution.error)  # no colours
    return {
        "stem": execution.path.stem,
        "title": title_of(execution.fresh, execution.path.stem),
        "seconds": f"{execution.seconds:.0f}",
        "outcome": f"failed; {outcome}" if error else outcome,
        "error": error,
        "tables": tables,
    }


def _compared_tables(execution) -> Iterator[tuple[dict, str, list[str]]]:
    """Compare each fresh payload with the stored one: output data, its kind, and differences."""
    for old_cell, new_cell in zip(execution.stored.cells, execution.fresh.cells, strict=True):
        stored = payload_outputs(old_cell)
        for place, output in enumerate(payload_outputs(new_cell)):
            data, differences = output["data"], ["nothing is stored to compare with"]
            if place < len(stored):
                old = stored[place]["data"][METRICS_MIME]
                differences = compare_payloads(old, data[METRICS_MIME])
            yield data, data[METRICS_MIME]["kind"], differences


def describe_figures(notebook) -> None:
    """Give each picture the sentence of its own or the next code cell as alternative text."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, following in itertools.pairwise([*code, None]):
        near = payload_outputs(cell) + (payload_outputs(following) if following else [])
        sentences = [
            o["data"]["text/plain"] for o in near if o["data"][METRICS_MIME]["kind"] == "sentence"
        ]
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.metadata["image/png"] = {"alt": sentences[0] if sentences else NO_SENTENCE}


def _linked(source: str, pages: Collection[str]) -> str:
    """Point links to notebooks and labs at their pages, which lie side by side."""

    def link(match: re.Match) -> str:
        return f"]({match[1]}.html{match[2] or ''})" if match[1] in pages else match[0]

    return re.sub(r"\]\((?:\./|\.\./|labs/)?([\w-]+)\.ipynb(#[^)]*)?\)", link, source)
