"""`crossmodal data list` and `data rows`: what there is, and what a user's file must hold."""

from __future__ import annotations

import csv
from itertools import groupby
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lib.cli.options import Options, corpus_named, given_path, protocol_options, split_of
from lib.cli.output import counted_noun, say, sizes_text
from lib.core.checks import check_choice
from lib.core.reading import MissingFileError
from lib.core.writing import atomic_path

Name = Annotated[str, Argument(help="A corpus; `crossmodal data list` shows them.")]


def list_(
    name: Annotated[
        str | None, Argument(help="One corpus, for its splits, options and files.")
    ] = None,
) -> None:
    """List the benchmarks by family; with a name, show splits, options and files of one.

    A line says: query -> what is searched, and the numbers that papers report.
    """
    from lib.datasets.overview import OVERVIEWS
    from lib.datasets.registry import CORPORA, FAMILIES, FORMS

    if name is not None:
        _show_one(name)
        return
    known = sorted((CORPORA | FORMS).values(), key=lambda corpus: FAMILIES.index(corpus.family))
    for family, corpora in groupby(known, key=lambda corpus: corpus.family):
        say(f"{family}:")
        for corpus in corpora:
            one = OVERVIEWS[corpus.name]
            say(f"  {corpus.name:<13}  {one.task:<42}  {one.reported}")
    say("")
    say("`crossmodal data list NAME` shows splits, options, files; more: data/README.md")


def _show_one(name: str) -> None:
    """Print the facts on one corpus, and the commands that come next."""
    from lib.datasets.download.sources import choose_files, load_sources
    from lib.datasets.overview import OVERVIEWS
    from lib.studies.published.paper_numbers import published_numbers

    corpus, one = corpus_named(name), OVERVIEWS[name]
    source = load_sources()[name]
    sizes = [file.size for file in choose_files(source, corpus.splits[0])]
    steps = [f"{counted_noun(len(source.by_hand), 'step')} by hand"] if source.by_hand else []
    download = [sizes_text(sizes)] if sizes else []
    say(f"{name} ({corpus.family}): {one.task}")
    say(f"  papers report  {one.reported}")
    say(f"  --split        {_with_default(corpus.splits)}")
    for key, values in corpus.options.items():
        known = f"{values[0]} to {values[-1]}" if isinstance(values, range) else None
        say(f"  --option       {key}={known or _with_default(values)}")
    say(f"  files          {', '.join((*download, *steps)) or 'nothing to download'}")
    say(f"  datasheet      data/README.md, section {name}")
    say("")
    has_numbers = any(row.dataset == name for row in published_numbers())
    others = [("those of papers", f"data numbers {name}")] if has_numbers else []
    for purpose, command in (
        ("a generated stand-in", f"data fixture {name} DIR"),
        ("terms, addresses, steps", f"data download {name} --root DIR"),
        ("is all there?", f"data check {name} --root DIR"),
        ("ids for your embeddings", f"data rows {name} --root DIR --out rows.csv"),
        ("your numbers", f"eval {name} --root DIR --model mine --embeddings FILE.npz"),
        *others,
    ):
        say(f"  {purpose:<25}crossmodal {command}")


def _with_default(values: tuple) -> str:
    """List the values of an option; the first is the default."""
    first, *others = map(str, values)
    return ", ".join((f"{first} (default)" if others else first, *others))


def needed_rows_file(
    name: Name,
    root: Annotated[Path, Option("--root", parser=given_path, help="Folder of the corpus.")],
    out: Annotated[Path, Option(help="CSV file: array, id, text, file, start, end.")],
    split: Annotated[
        str | None, Option(help="Split; by default the one that papers report.")
    ] = None,
    option: Options = None,
) -> None:
    """Write the ids that `eval --embeddings` needs, with the text or the file of each.

    The media need not be there. Encode each row; then np.savez the arrays of the first column
    and their ids, in any order: image, image_ids, text, text_ids.
    """
    from lib.studies.published.row_list import COLUMNS, needed_rows

    check_choice(out.suffix.lower(), (".csv",), "the suffix of --out")
    corpus = corpus_named(name)
    options = protocol_options(corpus, option)
    if not root.is_dir():
        raise MissingFileError(
            f"{root} is not a folder; `crossmodal data download {name} --root {root}` shows how to"
            " fill it"
        )
    split = split_of(corpus, split)
    loaded = corpus.load(root, split, allow_partial=True, need_media=False, **options)
    needed = list(needed_rows(loaded))
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(needed)
    say(loaded.describe())
    for array, group in groupby(needed, key=lambda row: row["array"]):
        members = list(group)
        say(f"{array}: (n, d) float, {array}_ids: {len(members):,} ids such as"
            f" {members[0]['id']!r}")  # fmt: skip
    if any(not row["text"] and not row["file"] for row in needed):
        say("rows without text and file are pictures inside Parquet files; find them by their id")
    if hasattr(loaded, "templates"):
        say("text: one row a class, the mean of the unit vectors of its name in all templates")
    say(f"written to {out}")
