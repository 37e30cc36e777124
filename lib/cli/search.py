"""`crossmodal search`: search icons by words or by a drawing."""

from pathlib import Path
from typing import Annotated

from rich.markup import escape
from rich.table import Table
from typer import Argument, Option

from lib.cli.output import console, say
from lib.core.checks import RetrievalInputError, check_choice


def search(
    query: Annotated[str | None, Argument(help='Words in quotes, such as "alarm clock".')] = None,
    image: Annotated[Path | None, Option(help="Search by a drawing instead of words.")] = None,
    k: Annotated[int, Option("-k", help="Number of icons.")] = 12,
    out: Annotated[Path, Option(help="PNG file of the contact sheet.")] = Path("hits.png"),
) -> None:
    """Search icons by words or by a drawing; print a table and write a contact sheet."""
    if (query is None) == (image is None):
        raise RetrievalInputError("give either words or --image FILE")
    check_choice(out.suffix.lower(), (".png",), "the suffix of --out")
    from lib.datasets import icons
    from lib.plots import contact_sheet, save
    from lib.search import icon_retriever, read_drawing

    drawing = None if image is None else read_drawing(image)
    retriever, corpus = icon_retriever(), icons.load_icons()
    hits = retriever.by_text(query, k) if drawing is None else retriever.by_image(drawing, k)
    table = Table("rank", "cosine", "name", "family", "split", title=escape(query or str(image)))
    for hit in hits:
        family, split = corpus.families[hit.position], str(corpus.splits[hit.position])
        table.add_row(str(hit.rank), f"{hit.score:.3f}", hit.label, family, split)
    console.print(table)
    drawings = [255 - corpus.images[hit.position] for hit in hits]  # ink dark, as on paper
    save(contact_sheet(drawings, [hit.label for hit in hits]), out)
    say(f"contact sheet: {out}")
