"""`crossmodal search --collection`: search your own pictures, show and export what was found."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from lib.cli.output import console, say, shown
from lib.core.checks import RetrievalInputError, check_count

if TYPE_CHECKING:
    from lib.search.collection import Collection, Results

COLUMNS, INCHES, PIXELS = 6, 1.9, 180  # of the contact sheet, and of a picture on it
NAME = 28  # characters of a name under a picture


@dataclass(frozen=True)
class CollectionRequest:
    """The options of a search of a collection."""

    text: str
    image: Path | None
    sketch: Path | None
    like: tuple[int, ...]
    without: tuple[str, ...]
    where: str
    k: int
    page: int
    fold: bool
    rerank: str | None
    candidates: int

    @property
    def title(self) -> str:
        """Describe the query in words."""
        parts = [self.text, *(str(path) for path in (self.image, self.sketch) if path)]
        parts += [f"like {item}" for item in self.like]
        parts += [f"without {text}" for text in self.without]
        return shown(", ".join(part for part in parts if part)) + (
            f", page {self.page}" if self.page > 1 else ""
        )


def search_collection(
    address: str, request: CollectionRequest, out: Path, exports: list[Path]
) -> None:
    """Search a collection; print a table, write a contact sheet and the exports."""
    from lib.datasets.media.pictures import open_picture
    from lib.datasets.strokes import read_sketch
    from lib.search.collection import Collection, Query
    from lib.search.collection.exporting import LISTS, check_target, export
    from lib.search.stores import open_store

    check_count(request.page, "--page")
    for target in exports:
        check_target(target)
    collection = open_store(address)
    has_pictures = isinstance(collection, Collection)
    lists = [target for target in exports if target.suffix.lower() in LISTS]
    if not has_pictures and len(lists) < len(exports):
        raise RetrievalInputError(
            f"--export must be .json or .csv for {address}: a database holds no pictures"
        )
    if not collection.manifest.finished:
        say(
            "The last run of `crossmodal index` or `collection copy` was stopped:"
            f" {len(collection):,} pictures so far."
        )
    image = None if request.image is None else open_picture(request.image, mode="RGBA")
    sketch = None if request.sketch is None else read_sketch(request.sketch)
    query = Query(request.text, image, None, request.like, request.without, sketch=sketch)
    results = collection.search(
        query,
        request.k,
        offset=(request.page - 1) * request.k,
        where=request.where,
        fold=request.fold,
        rerank=request.rerank,
        candidates=request.candidates,
    )
    for doubt in results.doubts:
        say(shown(doubt, 400))
    if not results.hits:
        raise RetrievalInputError(
            f"no picture on page {request.page}"
            + (f" meets --where {request.where!r}" if request.where else "")
        )
    print_results(results, request.title)
    if has_pictures:
        _write_sheet(collection, results, request.title, out)
    for target in exports:
        say(f"exported: {export(collection, results.hits, target)}")


def print_results(results: "Results", title: str) -> None:
    """Print hits as a table, and what a score means."""
    second = ("second stage",) if results.second_stage else ()
    names = "rank", "id", *second, "cosine", "stands out", "picture", "copies"
    table = Table(*names, title=escape(title))
    for hit in results.hits:
        scores = f"{hit.score:.3f}", f"{hit.standing:+.1f}"
        if second:
            by_second = "" if hit.second_score is None else f"{hit.second_score:.3f}"
            scores = by_second, *scores
        copies = str(len(hit.copies) or "")
        table.add_row(str(hit.rank), str(hit.id), *scores, escape(shown(hit.name, 80)), copies)
    console.print(table)
    for sentence in results.second_stage:
        say(sentence)
    say(
        f"A picture of this collection has a cosine of {results.mean:.3f} on average;"
        f" stands out: in standard deviations ({results.deviation:.3f}) above it."
    )


def _write_sheet(collection: "Collection", results: "Results", title: str, out: Path) -> None:
    """Draw the thumbnails of the hits on one sheet."""
    import io

    import numpy as np
    from PIL import Image, ImageOps

    from lib.plots import contact_sheet, save

    squares = []
    for hit in results.hits:
        with Image.open(io.BytesIO(collection.thumbnail(hit.id))) as small:
            square = ImageOps.pad(small.convert("RGB"), (PIXELS, PIXELS), color="white")
        squares.append(np.asarray(square))
    names = [shown(hit.name, NAME) for hit in results.hits]
    sheet = contact_sheet(np.stack(squares), names, title=title, columns=COLUMNS, size=INCHES)
    save(sheet, out)
    say(f"contact sheet: {out}")
