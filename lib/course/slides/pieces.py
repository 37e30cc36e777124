"""Turn the directives of a slide into HTML made of stored outputs."""

import base64
import html
import re
from collections.abc import Callable

from nbconvert.filters import Highlight2HTML

from lib.core.checks import RetrievalInputError
from lib.course.notebooks.pages import markdown_html
from lib.course.slides.deck import DIRECTIVE, Directive, directives
from lib.course.slides.stored import StoredNotebook, chosen_parts
from lib.report import escaped

CODE_LINES = 10
PRINTED_LINES = 8
TABLE_ROWS = 6
TABLE_COLUMNS = 5
PROSE = 32  # characters; a longer cell wraps
LARGEST = 1.35  # how much a figure may grow; more shows its pixels
SIDE = "side"  # option of a figure that stands beside the text instead of below it


def slide_html(markdown: str, notebook: StoredNotebook) -> str:
    """Convert the markdown of a slide, or of its notes, to HTML with its directives filled."""
    asked = list(directives(markdown))
    pieces = [_piece(directive, notebook) for directive in asked]
    places = iter(range(len(pieces)))

    def mark(match: re.Match) -> str:
        place = next(places)
        tag = "div" if asked[place].name in BLOCKS else "span"
        return f'<{tag} data-piece="{place}"></{tag}>'

    page = markdown_html(DIRECTIVE.sub(mark, markdown))
    if not any(SIDE in directive.options for directive in asked):
        return re.sub(r'<(div|span) data-piece="(\d+)"></\1>', lambda m: pieces[int(m[2])], page)
    beside = [SIDE in directive.options for directive in asked]

    def fill(match: re.Match) -> str:
        return "" if beside[int(match[2])] else pieces[int(match[2])]

    text = re.sub(r'<(div|span) data-piece="(\d+)"></\1>', fill, page)
    figures = "".join(piece for piece, aside in zip(pieces, beside) if aside)
    return f'<div class="columns"><div class="text">{text}</div>{figures}</div>'


def _piece(directive: Directive, notebook: StoredNotebook) -> str:
    """Fill one directive."""
    makers = BLOCKS | INLINE
    if directive.name not in makers:
        raise RetrievalInputError(
            f"{directive.source}: unknown directive; known are {', '.join(sorted(makers))}"
        )
    make, known = makers[directive.name]
    unknown = set(directive.options) - set(known)
    if unknown:
        raise RetrievalInputError(
            f"{directive.source}: unknown option {min(unknown)!r};"
            f" known are {', '.join(known) or 'none'}"
        )
    return make(directive, notebook)


def _number(directive: Directive) -> int:
    text = directive.options.get("n", "1")
    if not text.isdigit():
        raise RetrievalInputError(f"{directive.source}: `n` must be a whole number, got {text!r}")
    return int(text)


def _figure(directive: Directive, notebook: StoredNotebook) -> str:
    crop = directive.options.get("crop", "")
    figure = notebook.figure(directive.argument, _number(directive), crop)
    data = base64.b64encode(figure.png).decode("ascii")
    style = f"max-width:{LARGEST * figure.width:.0f}px"
    size = f'width="{figure.width}" height="{figure.height}"'
    source = f'src="data:image/png;base64,{data}"'
    alt = html.escape(figure.sentence)
    return f'<figure style="{style}"><img alt="{alt}" {size} {source}></figure>'


def _sentence(directive: Directive, notebook: StoredNotebook) -> str:
    return escaped(notebook.sentence(directive.argument))


def _value(directive: Directive, notebook: StoredNotebook) -> str:
    cell_id, _, key = directive.argument.partition(" ")
    return html.escape(notebook.value(cell_id, key.strip()))


def _entry(directive: Directive, notebook: StoredNotebook) -> str:
    missing = {"row", "column"} - set(directive.options)
    if missing:
        raise RetrievalInputError(f"{directive.source}: needs the option {min(missing)!r}")
    row, column = directive.options["row"], directive.options["column"]
    return html.escape(notebook.entry(directive.argument, row, column, _number(directive)))


def _table(directive: Directive, notebook: StoredNotebook) -> str:
    table = notebook.table(directive.argument, _number(directive))
    places = list(range(len(table.columns)))
    if wanted := directive.options.get("columns"):
        names = [name.strip() for name in wanted.split(";")]
        places = [notebook.column(directive.argument, table, name) for name in names]
    wanted = directive.options.get("rows")
    rows = chosen_parts(table.rows, wanted, "rows") if wanted else table.rows
    if len(rows) > TABLE_ROWS or len(places) > TABLE_COLUMNS:
        raise RetrievalInputError(
            f"{directive.source}: {len(rows)} rows and {len(places)} columns; a slide takes"
            f" {TABLE_ROWS} and {TABLE_COLUMNS}. Choose with `rows: 1-3` and `columns: a; b`"
        )
    head = _line("th", [table.columns[place] for place in places])
    body = "".join(_line("td", [row[place] for place in places]) for row in rows)
    title = f'<p class="title">{escaped(table.title)}</p>' if table.title else ""
    grid = f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
    return f'<div class="table">{title}{grid}</div>'


def _line(tag: str, cells: list[str]) -> str:
    """Write a row; a cell wraps if it is prose."""
    kinds = (' class="prose"' if len(cell) > PROSE else "" for cell in cells)
    tags = (f"<{tag}{kind}>{escaped(cell)}</{tag}>" for kind, cell in zip(kinds, cells))
    return f"<tr>{''.join(tags)}</tr>"


def _code(directive: Directive, notebook: StoredNotebook) -> str:
    source = notebook.code(directive.argument, directive.options.get("lines", ""))
    _check_length(directive, source, CODE_LINES)
    return Highlight2HTML(pygments_lexer="python")(re.sub(r"\n{3,}", "\n\n", source))


def _printed(directive: Directive, notebook: StoredNotebook) -> str:
    text = notebook.printed(directive.argument, directive.options.get("lines", ""))
    _check_length(directive, text, PRINTED_LINES)
    return f'<pre class="printed">{html.escape(text)}</pre>'


def _check_length(directive: Directive, text: str, most: int) -> None:
    n_lines = text.count("\n") + 1
    if n_lines > most:
        raise RetrievalInputError(
            f"{directive.source}: {n_lines} lines; a slide takes {most}. Choose with `lines: 1-5`"
        )


def _question(directive: Directive, notebook: StoredNotebook) -> str:
    question, *options = _prediction(directive, notebook).question.split("\n")
    listed = "".join(f"<li>{escaped(option.strip()[3:])}</li>" for option in options)
    return f'<div class="question"><p>{escaped(question)}</p><ol type="a">{listed}</ol></div>'


def _answer(directive: Directive, notebook: StoredNotebook) -> str:
    text = re.sub(r"\n +", " ", _prediction(directive, notebook).answer)
    lines = "".join(f"<p>{escaped(line)}</p>" for line in text.split("\n"))
    return f'<div class="answer">{lines}</div>'


def _prediction(directive: Directive, notebook: StoredNotebook):
    known = notebook.predictions()
    if directive.argument not in known:
        raise RetrievalInputError(
            f"{directive.source}: {notebook.path.name} asks for {', '.join(known) or 'nothing'}"
        )
    return known[directive.argument]


Maker = Callable[[Directive, StoredNotebook], str]
# Name of a directive: what makes its HTML, and its options.
BLOCKS: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "figure": (_figure, ("n", "crop", SIDE)),
    "table": (_table, ("n", "columns", "rows")),
    "code": (_code, ("lines",)),
    "printed": (_printed, ("lines",)),
    "question": (_question, ()),
    "answer": (_answer, ()),
}
INLINE: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "sentence": (_sentence, ()),
    "value": (_value, ()),
    "entry": (_entry, ("n", "row", "column")),
}
