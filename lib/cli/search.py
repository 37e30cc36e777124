"""`crossmodal search`: search icons and emoji by words, by a picture or by a sketch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from rich.markup import escape
from rich.table import Table
from typer import Argument, Option

from lib.cli.collection_search import CollectionRequest, search_collection
from lib.cli.output import console, say, shown
from lib.core.checks import RetrievalInputError, check_choice

if TYPE_CHECKING:
    from lib.search.pictures import PictureHit, PictureRetriever

PER_CONCEPT = 2  # pictures of one concept that are shown
COLUMNS, INCHES, PIXELS, POINTS = 6, 1.9, 180, 16  # of the contact sheet, a picture and its name
ON_SHEET = 48  # pictures, eight rows


def search(
    query: Annotated[str | None, Argument(help='Words in quotes, such as "alarm clock".')] = None,
    image: Annotated[Path | None, Option(help="Search by a picture of a symbol instead.")] = None,
    sketch: Annotated[
        Path | None,
        Option(
            help="Search by a sketch, alone or with words: .svg, .json or .ndjson of QuickDraw"
            " (FILE.ndjson:12 is its 12th line), or a picture of lines."
        ),
    ] = None,
    k: Annotated[int, Option("-k", help="Number of pictures.")] = 12,
    sources: Annotated[
        list[str] | None, Option("--in", help="icons or emoji; both by default.")
    ] = None,
    unseen: Annotated[
        bool, Option("--unseen", help="Search only concepts that training never saw.")
    ] = False,
    every: Annotated[
        bool, Option("--all", help=f"Show more than {PER_CONCEPT} pictures of one concept.")
    ] = False,
    out: Annotated[Path, Option(help="PNG file of the contact sheet.")] = Path("hits.png"),
    collection: Annotated[
        str | None,
        Option(help="Folder of your own pictures that `index` made, lancedb:... or milvus:..."),
    ] = None,
    like: Annotated[
        list[int] | None, Option(help="With --collection: id of a picture to find more like it.")
    ] = None,
    without: Annotated[
        list[str] | None, Option(help="With --collection: words that hits should not resemble.")
    ] = None,
    where: Annotated[
        str, Option(help="With --collection: a condition, such as 'year >= 2020'.")
    ] = "",
    page: Annotated[int, Option(help="With --collection: number of the page, from 1.")] = 1,
    rerank: Annotated[
        str | None,
        Option(
            help="With --collection: maxsim or cross-encoder orders the best pictures again, where"
            " its model has such a second stage (icons and scenes)."
        ),
    ] = None,
    candidates: Annotated[
        int | None, Option(help="With --rerank: pictures that are ordered again; 100 by default.")
    ] = None,
    export: Annotated[
        list[Path] | None,
        Option(help="With --collection: .json, .csv, or a new folder for copies of the pictures."),
    ] = None,
) -> None:
    """Search icons and emoji, or your own pictures, by words, by a picture or by a sketch.

    Prints a table and writes a contact sheet.
    """
    check_choice(out.suffix.lower(), (".png",), "the suffix of --out")
    for option, given in (("--image", image), ("--sketch", sketch)):
        if given is not None and given.exists() and out.exists() and given.samefile(out):
            raise RetrievalInputError(
                f"--out must be another file than the picture of {option}, got {out} for both: the"
                " contact sheet would replace the picture. Give another name with --out"
            )
    if collection is not None:
        refuse({"--in": sources, "--unseen": unseen}, "are for icons and emoji, not --collection")
        if rerank is None:
            refuse({"--candidates": candidates is not None}, "needs --rerank")
        from lib.search.collection.reranking import CANDIDATES

        request = CollectionRequest(
            query or "", image, sketch, tuple(like or ()), tuple(without or ()), where, k, page,
            not every, rerank, CANDIDATES if candidates is None else candidates,
        )  # fmt: skip
        return search_collection(collection, request, out, export or [])
    own = {"--like": like, "--without": without, "--where": where, "--page": page != 1}
    own |= {"--rerank": rerank, "--candidates": candidates is not None, "--export": export}
    refuse(own, "need --collection")
    alone = query is None and sketch is None
    if alone == (image is None):
        raise RetrievalInputError(
            "give words, or --sketch FILE with or without words, or --image FILE alone"
        )
    from lib.datasets.picture_gallery import UNSEEN
    from lib.datasets.pictures import GALLERIES

    chosen = [part.strip() for text in sources or GALLERIES for part in text.split(",")]
    for part in chosen:
        check_choice(part, GALLERIES, "--in")
    from lib.datasets.strokes import read_sketch
    from lib.search import picture_retriever, read_picture

    picture = None if image is None else read_picture(image)
    drawing = None if sketch is None else read_sketch(sketch)
    retriever = picture_retriever(chosen, UNSEEN if unseen else None)
    per_concept = None if every else PER_CONCEPT
    if drawing is not None:
        hits = retriever.by_sketch(drawing, k, text=query or "", per_concept=per_concept)
        query = ", ".join(part for part in (query, str(sketch)) if part)
        asked = shown(query)
    elif picture is None:
        hits = retriever.by_text(query, k, per_concept=per_concept)
        asked = shown(query)
        for line in (*retriever.doubts_about(query), retriever.missed_name(query, hits)):
            if line:
                say(shown(line, 400))
    else:
        query = str(image)
        hits, asked = retriever.by_image(picture, k, per_concept=per_concept), shown(query)
    print_hits(hits, asked)
    # The font of figures has no emoji.
    write_sheet(retriever, hits, shown(retriever.gallery.spell_emoji(query)), out)


def refuse(options: dict[str, object], why: str) -> None:
    """Refuse options that do not fit the others."""
    given = [name for name, value in options.items() if value]
    if given:
        raise RetrievalInputError(f"{', '.join(given)} {why}")


def print_hits(hits: list["PictureHit"], asked: str) -> None:
    """Print hits as a table, and how many of them the model was trained on."""
    table = Table("rank", "cosine", "name", "from", "split", title=escape(asked))
    for hit in hits:
        cells = f"{hit.score:.3f}", escape(hit.label), hit.family, hit.split
        table.add_row(str(hit.rank), *cells)
    console.print(table)
    n_trained = sum(hit.split == "train" for hit in hits)
    line = f"The model was trained on {n_trained} of these {len(hits)} pictures"
    say(f"{line}; --unseen leaves them out." if n_trained else f"{line}.")


def write_sheet(
    retriever: "PictureRetriever", hits: list["PictureHit"], asked: str, out: Path
) -> None:
    """Draw the first hits on one sheet, and name the artists who ask for it."""
    from lib.datasets.picture_gallery import EMOJI_NOTICE
    from lib.plots import contact_sheet, save

    hits = hits[:ON_SHEET]
    drawn = retriever.gallery.pixels([hit.position for hit in hits], PIXELS)
    notice = EMOJI_NOTICE if any(hit.source == "emoji" for hit in hits) else None
    layout = {"columns": COLUMNS, "size": INCHES, "font_size": POINTS}
    names = [hit.label for hit in hits]
    save(contact_sheet(drawn, names, title=asked, note=notice, **layout), out)
    say(f"contact sheet: {out}" + (f" ({notice})" if notice else ""))
