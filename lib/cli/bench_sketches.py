"""`crossmodal bench hand`, `sketches` and `layouts`: how people draw, what sketches find."""

from pathlib import Path
from typing import Annotated

from typer import Option

from lib.cli.output import print_rows, say


def bench_hand(
    omniglot: Annotated[
        Path | None,
        Option(help="omniglot.npz with stroke-3 arrays, or the variable CROSSMODAL_OMNIGLOT."),
    ] = None,
    show: Annotated[bool, Option("--show", help="Only print the committed tables.")] = False,
) -> None:
    """Fit a hand to Omniglot, test how human it is, and write its tables (ten minutes)."""
    from lib.studies.hand import results

    if not show:
        results.write_committed(omniglot, say)
    print_rows(results.format_hand(), "the fitted hand, lengths as shares of a drawing's size")
    print_rows(results.format_tests(), "generated against human pairs, unseen characters")
    say(results.sentence_of_tests())


def bench_sketches(
    show: Annotated[bool, Option("--show", help="Only print the committed tables.")] = False,
) -> None:
    """Measure sketches to pictures, icons and pages; write the tables (ten minutes)."""
    from lib.studies.sketches import results

    if not show:
        results.write_committed(say)
    for task, condition in results.shown_tasks():
        print_rows(results.format_results(task, condition), f"{task}, {condition}")
    print_rows(results.format_ablation(), "terms of the hand, R@1 among all pictures")
    print_rows(results.format_leak(), "the leak: a head trained by concept, or by drawing")
    for task in results.word_tasks():
        print_rows(results.format_words(task), f"sketch and one word, {task}")
    for line in results.sentences_of_results():
        say(line)


def bench_layouts(
    pages: Annotated[
        Path | None,
        Option(help="A folder of pages as PNG or JPEG: measure on these, write nothing."),
    ] = None,
    show: Annotated[bool, Option("--show", help="Only print the committed table.")] = False,
) -> None:
    """Find pages by rough layouts, by descriptors and a network, and write the table (minutes)."""
    import pandas as pd

    from lib.studies import page_layouts

    if pages is not None:
        table = pd.DataFrame(page_layouts.folder_rows(pages))
        title = f"rough layouts find {table['pages'][0]:,} pages, percent"
        print_rows(page_layouts.format_results(table), title)
        return
    if not show:
        page_layouts.write_committed(say)
    print_rows(page_layouts.format_results(), "rough layouts find pages, test split, percent")
