"""`crossmodal eval` and `crossmodal compare`: a model on a published benchmark, two models on the
same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lib.cli.options import Options, corpus_named, protocol_options, split_of
from lib.cli.output import print_rows, progress_bar, say
from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import DamagedFileError
from lib.core.writing import sha256_of

if TYPE_CHECKING:
    from lib.datasets.captioned import CaptionedMedia
    from lib.datasets.registry import Corpus
    from lib.studies.published import Result


def evaluate(
    name: Annotated[str, typer.Argument(help="A benchmark; `crossmodal data list` shows them.")],
    root: Annotated[Path, typer.Option("--root", help="The folder that holds it.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="An architecture of open_clip, scenes, or icons; a label beside --embeddings."
        ),
    ] = None,
    pretrained: Annotated[
        str | None, typer.Option(help="A tag of open_clip, or a checkpoint.")
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            help=(
                "Your own rows instead: .npz with image, image_ids, text, text_ids (or video,"
                " audio)."
            )
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="The one that papers report, if none is given.")
    ] = None,
    captions: Annotated[
        str | None, typer.Option(help='Which texts, for example "first 5".')
    ] = None,
    option: Options = None,
    folds: Annotated[
        int | None, typer.Option(min=1, help="Mean of so many folds; 5 is the papers' COCO 1K.")
    ] = None,
    first_fold: Annotated[
        bool, typer.Option("--first-fold", help="Only the first fold: another number.")
    ] = False,
    judgements: Annotated[
        str, typer.Option(help="original, or for COCO cxc or eccv.")
    ] = "original",
    inference: Annotated[
        str, typer.Option(help="inductive, querybank (needs a bank) or transductive.")
    ] = "inductive",
    bank_split: Annotated[
        str | None, typer.Option(help="The split whose queries are the bank.")
    ] = None,
    beta: Annotated[
        float, typer.Option(help="Inverse temperature of querybank and transductive.")
    ] = 20.0,
    prompt: Annotated[str, typer.Option(help='Around every text: "a photo of {}".')] = "",
    precision: Annotated[str, typer.Option(help="fp32, bf16, or fp16 on a GPU.")] = "fp32",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    batch_size: Annotated[int, typer.Option(help="Inputs of a forward pass.")] = 64,
    cache: Annotated[
        Path | None, typer.Option(help="Where embeddings are kept; data/cache by default.")
    ] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Evaluate what there is; the result says so.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="The result, a JSON file; named after model and corpus.")
    ] = None,
) -> None:
    """Evaluates a model on a benchmark in both directions, beside the numbers that were published
    of it.
    """
    if model is None and embeddings is None:
        raise RetrievalInputError("give --model (with --pretrained), or --embeddings FILE.npz")
    if out is not None:
        check_choice(out.suffix.lower(), (".json",), "the suffix of --out")
    if (inference == "querybank") != (bank_split is not None) and embeddings is None:
        raise RetrievalInputError("--inference querybank and --bank-split go together")
    from lib.studies.published import evaluate_rows
    from lib.studies.published.embeddings_file import read_embeddings

    known = corpus_named(name)
    given = [] if captions is None else [f"captions={captions}"]
    options = protocol_options(known, [*given, *(option or [])])
    corpus = _load(known, root, split, options, allow_partial)
    say(corpus.describe())
    how = {
        "folds": folds,
        "first_fold": first_fold,
        "judgements": judgements,
        "inference": inference,
        "beta": beta,
    }
    if embeddings is not None:
        media, texts, banks = read_embeddings(embeddings, corpus)
        labels = {"model": model or embeddings.name, "tag": pretrained or ""}
        identity = labels | {
            "prompt": prompt,
            "precision": precision,
            "embeddings": sha256_of(embeddings),
        }
        result = evaluate_rows(media, texts, corpus, banks=banks or None, identity=identity, **how)
    else:
        settings = {
            "precision": precision,
            "device": device,
            "prompt": prompt,
            "batch_size": batch_size,
        }
        bank = (
            None if bank_split is None else _load(known, root, bank_split, options, allow_partial)
        )
        result = _encoded(corpus, bank, model, pretrained, settings, cache, allow_partial, how)
    _show(result)
    path = result.save(out or Path(_file_name(result)))
    say(f"written to {path}")


def compare(
    a: Annotated[
        Path, typer.Argument(help="Result of the first system, as `crossmodal eval` writes it.")
    ],
    b: Annotated[Path, typer.Argument(help="Result of the second, on the same queries.")],
    allow: Annotated[
        list[str] | None, typer.Option(help="A protocol column that may differ: prompt.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="The differences as a PNG.")] = None,
) -> None:
    """Compares two results query by query: differences with intervals, paired tests, Holm's
    correction.
    """
    if plot is not None:
        check_choice(plot.suffix.lower(), (".png",), "the suffix of --plot")
    from lib import plots
    from lib.studies.published import Result, text_tables
    from lib.studies.published import compare_results as rows_of

    first, second = Result.load(a), Result.load(b)
    rows = rows_of(first, second, allow=allow or [])
    say(f"A: {first.name or a.name}; B: {second.name or b.name}; {first.protocol.title}")
    print_rows(
        text_tables.format_comparison(rows),
        "percent and points; intervals and p by cluster, McNemar by query",
    )
    if plot is not None:
        names = (first.name, second.name) if first.name != second.name else (a.name, b.name)
        title = f"{first.protocol.benchmark} {first.protocol.split}"
        plots.save(plots.paired_differences(rows, names=names, title=title), plot)
        say(f"written to {plot}")


def _load(
    corpus: Corpus, root: Path, split: str | None, options: dict, allow_partial: bool
) -> CaptionedMedia:
    return corpus.load(root, split_of(corpus, split), allow_partial=allow_partial, **options)


def _encoded(
    corpus,
    bank,
    model: str,
    pretrained: str | None,
    settings: dict,
    cache,
    allow_partial: bool,
    how: dict,
) -> Result:
    from lib.datasets.captioned import CaptionedMedia
    from lib.models.encoder import load_encoder
    from lib.studies.published import evaluate_corpus

    if not isinstance(corpus, CaptionedMedia):
        raise RetrievalInputError(
            f"no model here encodes sound; evaluate {corpus.name} with --embeddings FILE.npz"
        )
    encoder = load_encoder(model, pretrained, **settings)
    for note in encoder.notes:
        say(note)

    def evaluated(corpus, bank) -> Result:
        n = sum(len(of.media) + len(of.texts) for of in (corpus, bank) if of is not None)
        with progress_bar() as bar:
            row = bar.add_task("embeddings", total=n)
            return evaluate_corpus(
                encoder,
                corpus,
                bank=bank,
                folder=cache,
                progress=lambda done: bar.advance(row, done),
                **how,
            )

    try:
        result = evaluated(corpus, bank)
    except ValueError as error:
        if isinstance(error, DamagedFileError) and not allow_partial:
            raise DamagedFileError(
                f"{error}. `crossmodal data check --decode` lists all damaged files,"
                " --allow-partial leaves them out"
            ) from error
        if not allow_partial:
            raise
        before, (corpus, bank) = (corpus, bank), (_decodable(corpus), bank and _decodable(bank))
        if (corpus, bank) == before:  # nothing is damaged, so the error is about something else
            raise
        say(corpus.describe())
        result = evaluated(corpus, bank)
    if cut := encoder.count_truncated(corpus.texts):
        say(
            f"{cut:,} of {len(corpus.texts):,} texts are longer than the model reads: their ends"
            " were cut"
        )
    return result


def _decodable(corpus: CaptionedMedia) -> CaptionedMedia:
    """The corpus without the items whose media are damaged, each of which is named."""
    from lib.datasets.media.files import find_damaged

    with progress_bar() as bar:
        row = bar.add_task("looking for damaged media", total=len(corpus.media))
        damaged = find_damaged(corpus.media, lambda done: bar.advance(row, done))
    for reason in damaged.values():
        say(f"left out: {reason}")
    return corpus.without_items(list(damaged)) if damaged else corpus


def _show(result: Result) -> None:
    from lib.studies.published import text_tables

    rows = text_tables.format_result(result)
    if not any(row["published"] for row in rows):
        rows = [
            {k: row[k] for k in ("direction", "metric", "value", "95% interval", "chance")}
            for row in rows
        ]
        say("no published numbers of this model on this benchmark are in the table")
    print_rows(rows, f"{result.name}: percent; median and mean rank in ranks; intervals by item")
    for line in text_tables.result_notes(result):
        say(line)


def _file_name(result: Result) -> str:
    words = f"{result.protocol.benchmark} {result.protocol.split} {result.name}"
    return re.sub(r"[^A-Za-z0-9.]+", "-", words).strip("-.") + ".json"
