"""`crossmodal data`: list, check and download published benchmarks; write miniatures; filter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from typer import Argument, Option

from lib.cli.data_list import list_, needed_rows_file
from lib.cli.data_numbers import published_rows
from lib.cli.options import Options, corpus_named, given_path, protocol_options, split_of
from lib.cli.output import bytes_text, console, counted, print_rows, progress_bar, say
from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.core.writing import atomic_path, make_folder
from lib.datasets.completeness import Count

if TYPE_CHECKING:
    from rich.progress import Progress

    from lib.datasets.download.sources import RemoteFile
    from lib.datasets.media.files import MediaFiles

data = typer.Typer(
    no_args_is_help=True, help="List, check and download published benchmarks; filter metadata."
)

SHOWN = 10  # missing files on the terminal; --missing writes all
Name = Annotated[str, Argument(help="A corpus; `crossmodal data list` shows them.")]
Root = Annotated[Path, Option("--root", parser=given_path, help="Folder of the corpus.")]
Split = Annotated[str | None, Option(help="Split; by default the one that papers report.")]


data.command("list")(list_)
data.command("rows")(needed_rows_file)
data.command("numbers")(published_rows)


@data.command()
def check(
    name: Name,
    root: Root,
    split: Split = None,
    option: Options = None,
    missing: Annotated[
        Path | None, Option(help="Write the names of all missing media to this file.")
    ] = None,
    decode: Annotated[
        bool, Option("--decode", help="Decode every file, and list the damaged ones.")
    ] = False,
) -> None:
    """Compare a folder with the published counts; exit code 1 where something is missing.

    Only --decode finds damaged files.
    """
    corpus = corpus_named(name)
    split = split_of(corpus, split)
    options = protocol_options(corpus, option)
    _check_root(root, name)
    loaded = corpus.load(root, split, allow_partial=True, need_media=False, **options)
    counts, absent = [*loaded.counts], [*loaded.missing]
    media, present = _media_present(loaded)
    if media is not None:
        counts.append(Count(f"files of {media.kind}", int(present.sum()), len(media)))
        absent += [media.names[at] for at in np.flatnonzero(~present).tolist()]
    damaged = _find_damaged(loaded, present) if decode else {}
    table = []
    for count in counts:
        published = "" if count.published is None else f"{count.published:,}"
        state = "nobody has published it" if count.published is None else ""
        row = {"what": count.what, "found": f"{count.found:,}", "published": published}
        table.append(row | {"": state or ("ok" if count.ok else "differs")})
    print_rows(table, f"{loaded.name}, {split} split")
    if missing is not None:
        with atomic_path(missing) as temporary:
            temporary.write_text("".join(f"{file}\n" for file in absent), encoding="utf-8")
    if absent:
        empty = [name for name in absent[:SHOWN] if (root / name).is_file()]
        where = "--missing FILE writes all" if missing is None else f"all of them in {missing}"
        say(f"{len(absent):,} missing ({where}):")
        for file in absent[:SHOWN]:
            say(f"  {file}" + (" (the file is empty)" if file in empty else ""))
        if len(absent) > SHOWN:
            say(f"  ... and {len(absent) - SHOWN:,} more")
    if damaged:
        say(f"{len(damaged):,} damaged (`crossmodal eval --allow-partial` leaves them out):")
        for file, reason in damaged.items():
            say(f"  {file}: {reason}")
    if absent or damaged or not all(count.ok for count in counts):
        say("scores on this folder are not comparable with published ones: the gallery differs")
        raise typer.Exit(1)
    say("complete" if decode else "complete; --decode also looks for damaged files")


def _media_present(corpus) -> tuple[MediaFiles | None, np.ndarray | None]:
    """Return the files of a corpus and which exist; None where they lie in shards."""
    media = _sides(corpus)[0]
    return (media, media.present()) if hasattr(media, "present") else (None, None)


def _sides(corpus) -> list:
    """List the sides of a corpus that are files: of class folders the pictures, not the names."""
    if hasattr(corpus, "pictures"):
        return [corpus.pictures]
    if hasattr(corpus, "media"):
        return [getattr(corpus.media, "pictures", corpus.media)]  # of pictures with texts
    return [corpus.clips, corpus.sounds]


def _find_damaged(corpus, present: np.ndarray | None) -> dict[str, str]:
    """Decode the media of a corpus that exist; return unreadable files, and the reasons."""
    from lib.datasets.media.files import find_damaged

    sides = _sides(corpus)
    if present is not None:
        sides = [media.take(np.flatnonzero(present)) for media in sides]
    damaged: dict[str, str] = {}
    with progress_bar() as bar:
        row = bar.add_task("decoding", total=sum(map(len, sides)))
        for media in sides:
            names = getattr(media, "names", corpus.item_ids)
            reasons = find_damaged(media, lambda done: bar.advance(row, done))
            damaged |= {
                names[at]: reason for at, reason in reasons.items() if names[at] not in damaged
            }
    return damaged


@data.command()
def fixture(
    name: Name,
    folder: Annotated[
        Path,
        Argument(parser=given_path, help="Target: a new or empty folder, or an older miniature."),
    ],
) -> None:
    """Write a miniature: a small generated corpus in the format of a published one."""
    from lib.datasets.completeness import MINIATURE

    corpus = corpus_named(name)
    in_use = folder.is_file() or (folder.is_dir() and any(folder.iterdir()))
    if in_use and not (folder / MINIATURE).is_file():
        raise RetrievalInputError(
            f"{folder} is not empty and holds no {MINIATURE}; a miniature replaces its folder. Name"
            " a new one"
        )
    corpus.write_miniature(folder)
    splits = json.loads((folder / MINIATURE).read_text(encoding="utf-8"))["splits"]
    table = [
        {"split": split, "counts": "; ".join(map(_count_text, counts.items())) or "not counted"}
        for split, counts in splits.items()
    ]
    print_rows(table, f"{name} (miniature)")
    say(f"written to {folder}")


@data.command()
def download(
    name: Name,
    root: Root,
    split: Split = None,
    file: Annotated[
        list[str] | None,
        Option(help="Download only this file, also an extra one; repeat for more."),
    ] = None,
    accept_terms: Annotated[
        bool, Option("--accept-terms", help="Accept the terms that were shown.")
    ] = False,
) -> None:
    """Show terms, files and manual steps; download with --accept-terms (can be resumed)."""
    from lib.datasets.download.sources import choose_files, load_sources

    corpus = corpus_named(name)
    split = split_of(corpus, split)
    source = load_sources()[name]
    chosen = choose_files(source, split, tuple(file or ()))
    say(f"terms: {source.terms}")
    for remote in chosen:
        say(f"file: {_file_text(remote)}")
    others = [remote.file for remote in source.files if remote not in chosen]
    if others:
        say(f"not needed here, available with --file: {', '.join(others)}")
    if chosen and not accept_terms:
        _say_steps(source.by_hand, name, root)
        raise RetrievalInputError(
            "nothing was downloaded yet: read the terms above, then run this again with"
            " --accept-terms"
        )
    if chosen:
        _download(chosen, root)
    _say_steps(source.by_hand, name, root)


def _download(files: tuple[RemoteFile, ...], root: Path) -> None:
    from lib.datasets.download.downloads import obtain
    from lib.datasets.download.sources import missing_space

    make_folder(root)
    absent = tuple(file for file in files if not (root / file.file).exists())
    short = missing_space(absent, shutil.disk_usage(root).free)
    if short:
        raise RetrievalInputError(
            f"{root} needs {bytes_text(short)} more on its disk; nothing was downloaded"
        )
    for file in files:
        with _bytes_bar() as bar:
            lines = obtain(file, root, progress=counted(bar, file.file))
        for line in lines:
            say(line)


@data.command("filter")
def filter_(
    metadata: Annotated[
        Path, Argument(help="A Parquet file of LAION's metadata, or a folder of them.")
    ],
    out: Annotated[
        Path, Argument(help="A .parquet file for all columns, or a .txt file for one URL a line.")
    ],
    min_similarity: Annotated[
        float | None, Option(help="Smallest CLIP cosine of picture and text, -1 to 1.")
    ] = None,
    min_side: Annotated[int | None, Option(help="Smallest width and height, in pixels.")] = None,
    min_pixels: Annotated[int | None, Option(help="Smallest width x height.")] = None,
    max_aspect: Annotated[
        float | None, Option(help="Largest ratio of the longer to the shorter side.")
    ] = None,
    nsfw: Annotated[
        list[str] | None, Option(help="Allowed tag: UNLIKELY, UNSURE or NSFW; repeat for more.")
    ] = None,
    max_punsafe: Annotated[
        float | None, Option(help="Largest probability of an unsafe picture, 0 to 1.")
    ] = None,
    max_pwatermark: Annotated[
        float | None, Option(help="Largest probability of a watermark, 0 to 1.")
    ] = None,
    language: Annotated[
        list[str] | None, Option(help="Allowed language, such as en; repeat for more.")
    ] = None,
) -> None:
    """Write the rows of LAION's metadata that pass all filters, and count the removed ones.

    Rows without a text are always removed. A row without a value fails its filter.
    """
    from lib.datasets.laion.metadata import Filters, write_filtered

    filters = Filters(
        min_side=min_side,
        min_pixels=min_pixels,
        max_aspect=max_aspect,
        nsfw=tuple(nsfw) if nsfw else None,
        max_punsafe=max_punsafe,
        max_pwatermark=max_pwatermark,
        min_similarity=min_similarity,
        languages=tuple(language) if language else None,
    )
    with progress_bar() as bar:
        report = write_filtered(metadata, out, filters, progress=counted(bar, "filtering rows"))
    print_rows(report.table_rows(), "rows kept by each filter")
    say(f"{report.n_kept:,} of {report.n_read:,} rows written to {out}")


def _check_root(root: Path, name: str) -> None:
    if not root.is_dir():
        raise MissingFileError(
            f"{root} is not a folder; `crossmodal data download {name} --root {root}` shows how to"
            f" fill it, `crossmodal data fixture {name} {root}` writes a miniature"
        )


def _say_steps(steps: tuple[str, ...], name: str, root: Path) -> None:
    """Print the manual steps, numbered, and the check that ends them."""
    last = f"Check the folder: crossmodal data check {name} --root {root}"
    for number, step in enumerate((*steps, last), start=1):
        say(f"{number}. {step.replace('{root}', str(root))}")


def _file_text(file: RemoteFile) -> str:
    checksum = f"SHA-256 {file.sha256[:12]}..." if file.sha256 else "no published checksum"
    size = "size unknown" if file.size is None else bytes_text(file.size)
    return f"{file.file}, {size}, {checksum}, from {file.url} (see {file.seen_in})"


def _count_text(count: tuple[str, int]) -> str:
    """Format a count: "1 video", "20 captions, en"."""
    what, number = count
    noun, comma, rest = what.partition(",")
    if number == 1:
        noun = f"{noun[:-3]}y" if noun.endswith("ies") else noun.removesuffix("s")
    return f"{number:,} {noun}{comma}{rest}"


def _bytes_bar() -> Progress:
    from rich import progress

    columns = progress.TextColumn("{task.description}"), progress.BarColumn()
    rates = progress.DownloadColumn(), progress.TransferSpeedColumn()
    times = progress.TimeRemainingColumn()
    return progress.Progress(*columns, *rates, times, console=console)
