"""`crossmodal eval`: evaluate models on published benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from lib.cli.eval_model import check_encodable, check_model, evaluate_model, open_encoder
from lib.cli.options import (
    PROTOCOL,
    BatchSize,
    Device,
    Options,
    Precision,
    Pretrained,
    Prompt,
    corpus_named,
    given_path,
    protocol_options,
    split_of,
)
from lib.cli.output import say
from lib.cli.result_tables import show_result
from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import file_stem
from lib.core.writing import check_writable, sha256_of

if TYPE_CHECKING:
    from lib.datasets.captioned import CaptionedMedia
    from lib.datasets.registry import Corpus
    from lib.studies.published import Result

TEXT_OPTIONS = ("language", "sentences", "captions", "paragraph")  # they choose the texts
MANY, FILES = "Many models and benchmarks", "Files to write"  # groups of options in the help


def evaluate(
    name: Annotated[
        str | None, Argument(help="A benchmark; `crossmodal data list` shows them.")
    ] = None,
    root: Annotated[
        Path | None,
        Option(
            "--root",
            parser=given_path,
            help="Folder of the benchmark; with --corpora, of one folder for each.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        Option(
            help="An architecture of open_clip, scenes, or icons; clap for sound; a label for your"
            " own results."
        ),
    ] = None,
    pretrained: Pretrained = None,
    embeddings: Annotated[
        Path | None,
        Option(
            help="Use your rows, without any media: .npz with image, image_ids, text, text_ids (or"
            " video, audio; query, query_ids for composed queries). `crossmodal data rows` lists"
            " the ids. bank_text and the like are for --inference querybank."
        ),
    ] = None,
    trec_run: Annotated[
        Path | None, Option(help="Use your TREC run file, with the ids of the benchmark.")
    ] = None,
    direction: Annotated[
        str | None,
        Option(
            help="Direction of --trec-run, such as text_to_image; the ids usually tell.",
            rich_help_panel=PROTOCOL,
        ),
    ] = None,
    split: Annotated[
        str | None,
        Option(help="Split; by default the one that papers report.", rich_help_panel=PROTOCOL),
    ] = None,
    captions: Annotated[
        str | None,
        Option(
            help='The same as --option captions=..., such as "first 5".', rich_help_panel=PROTOCOL
        ),
    ] = None,
    option: Options = None,
    metrics: Annotated[
        str | None,
        Option(help='Metrics by name, such as "nDCG@10,R@1,MRR,MedR".', rich_help_panel=PROTOCOL),
    ] = None,
    folds: Annotated[
        int | None,
        Option(
            min=1,
            help="Report the mean of folds; 5 is the papers' COCO 1K.",
            rich_help_panel=PROTOCOL,
        ),
    ] = None,
    first_fold: Annotated[
        bool,
        Option(
            "--first-fold",
            help="Use only the first fold: another number.",
            rich_help_panel=PROTOCOL,
        ),
    ] = False,
    judgements: Annotated[
        str,
        Option(
            help="original; for COCO also cxc, eccv, eccv-published (divided as its authors do), or"
            " cxc-grades (with nDCG).",
            rich_help_panel=PROTOCOL,
        ),
    ] = "original",
    inference: Annotated[
        str,
        Option(
            help="inductive, querybank (needs --bank-split) or transductive.",
            rich_help_panel=PROTOCOL,
        ),
    ] = "inductive",
    bank_split: Annotated[
        str | None,
        Option(help="Split of the queries for the bank of querybank.", rich_help_panel=PROTOCOL),
    ] = None,
    beta: Annotated[
        float | None,
        Option(
            help="Inverse temperature of querybank, transductive (20).", rich_help_panel=PROTOCOL
        ),
    ] = None,
    text_gallery: Annotated[
        str,
        Option(
            help='What media rank: "every text", or "best of item" (each clip by the best of its'
            " sentences, CLIP4Clip on MSVD).",
            rich_help_panel=PROTOCOL,
        ),
    ] = "every text",
    prompt: Prompt = "",
    precision: Precision = "fp32",
    device: Device = "cpu",
    batch_size: BatchSize = 64,
    cache: Annotated[
        Path | None, Option(help="Folder of cached embeddings; data/cache by default.")
    ] = None,
    allow_partial: Annotated[
        bool,
        Option(
            "--allow-partial",
            help="Leave out missing media; the result says so.",
            rich_help_panel=PROTOCOL,
        ),
    ] = False,
    write_trec: Annotated[
        Path | None,
        Option(
            help="Write runs and judgements as TREC files to this folder.", rich_help_panel=FILES
        ),
    ] = None,
    write_submission: Annotated[
        Path | None,
        Option(
            help="Write the two files for the server of CIRR to this folder.", rich_help_panel=FILES
        ),
    ] = None,
    out: Annotated[
        Path | None,
        Option(
            help="JSON file of the result; with --models, the folder of all results.",
            rich_help_panel=FILES,
        ),
    ] = None,
    models: Annotated[
        str | None,
        Option(
            help="Many models, such as scenes,ViT-B-32:openai; mine=FOLDER for your rows in"
            " FOLDER/coco.npz and so on; or a file of them.",
            rich_help_panel=MANY,
        ),
    ] = None,
    corpora: Annotated[
        str | None,
        Option(
            help="Many benchmarks, such as coco,flickr30k:val,beir=DIR, or a file of them.",
            rich_help_panel=MANY,
        ),
    ] = None,
) -> None:
    """Evaluate a model on a benchmark, beside the published numbers of the model.

    Give --model, --embeddings or --trec-run.

    --models and --corpora evaluate every model on every benchmark; --option is then
    CORPUS.NAME=VALUE. A second call continues.
    """
    chosen = None if metrics is None else [metric.strip() for metric in metrics.split(",")]
    settings = {"precision": precision, "device": device, "prompt": prompt}
    settings["batch_size"] = batch_size
    if models is not None or corpora is not None:
        from lib.cli.eval_grid import evaluate_many

        excluded = {
            "a benchmark before the options": name, "--model": model, "--pretrained": pretrained,
            "--embeddings": embeddings, "--trec-run": trec_run, "--direction": direction,
            "--split": split, "--captions": captions, "--folds": folds,
            "--first-fold": first_fold, "--bank-split": bank_split, "--write-trec": write_trec,
            "--judgements": judgements != "original", "--inference": inference != "inductive",
            "--text-gallery": text_gallery != "every text", "--beta": beta is not None,
            "--write-submission": write_submission,
        }  # fmt: skip
        _check_grid(models, corpora, [flag for flag, value in excluded.items() if value])
        evaluate_many(
            models, corpora, root=root, out=out, option=option, metrics=chosen,
            settings=settings, cache=cache, allow_partial=allow_partial,
        )  # fmt: skip
        return
    if name is None or root is None:
        raise RetrievalInputError(
            "give a benchmark and --root DIR, such as `crossmodal eval coco --root DIR`, or many"
            " with --models and --corpora"
        )
    if model is None and embeddings is None and trec_run is None:
        raise RetrievalInputError(
            "give --model (with --pretrained), --embeddings FILE.npz, or --trec-run FILE"
        )
    if embeddings is not None and trec_run is not None:
        raise RetrievalInputError("give either --embeddings or --trec-run")
    if direction is not None and trec_run is None:
        raise RetrievalInputError(
            "--direction is of --trec-run; other results have both directions, leave it out"
        )
    if out is not None:
        check_choice(out.suffix.lower(), (".json",), "the suffix of --out")
    check_writable(out or Path("result.json"))  # before hours of encoding
    for folder in (write_trec, write_submission):
        if folder is not None:
            check_writable(folder / "files")
    if embeddings is not None and bank_split is not None:
        raise RetrievalInputError(
            "--bank-split is of --model; with --embeddings the file holds the bank, as bank_text"
        )
    if (inference == "querybank") != (bank_split is not None) and embeddings is None:
        raise RetrievalInputError("--inference querybank and --bank-split go together")
    if beta is not None and inference == "inductive":
        raise RetrievalInputError(
            "--beta is of --inference querybank and transductive; name one of them, or leave it out"
        )
    from lib.cli.eval_composed import check_options, evaluate_vectors
    from lib.datasets.composed import ComposedQueries
    from lib.studies.published import evaluate_ranking, evaluate_rows
    from lib.studies.published.embeddings_file import check_trec_ids, read_embeddings, read_run
    from lib.studies.published.evaluation import chosen_metrics
    from lib.studies.published.paper_numbers import beside_rows

    benchmark = corpus_named(name)
    captions_option = [] if captions is None else [f"captions={captions}"]
    options = protocol_options(benchmark, [*captions_option, *(option or [])])
    protocol = {"metrics": chosen, "judgements": judgements, "ratings_root": root}
    chosen_metrics(chosen)  # before the work: refuses unknown names
    options["need_media"] = embeddings is None and trec_run is None
    corpus = _load(benchmark, root, split, options, allow_partial)
    unsupported = {"--trec-run": trec_run, "--folds": folds, "--first-fold": first_fold}
    unsupported |= {"--bank-split": bank_split, "--write-trec": write_trec}
    unsupported |= {"--text-gallery": text_gallery != "every text"}
    unsupported |= {
        "--option query with --embeddings": embeddings is not None and "query" in options
    }
    unsupported |= {
        "--inference": inference != "inductive",
        "--judgements": judgements != "original",
    }
    check_options(corpus, write_submission, unsupported)
    composed = isinstance(corpus, ComposedQueries)
    identity = {"model": model or (embeddings or trec_run or root).name, "tag": pretrained or ""}
    identity |= {"prompt": prompt, "precision": precision}
    given = None
    if embeddings is not None:
        given = read_embeddings(embeddings, corpus, allow_partial=allow_partial)
        corpus = given.corpus
    if write_trec is not None:
        check_trec_ids(corpus)
    say(corpus.describe())
    if trec_run is not None:
        others = (write_trec, folds, first_fold, inference != "inductive")
        if any(others) or text_gallery != "every text":
            raise RetrievalInputError(
                "--trec-run excludes folds, --inference, --text-gallery and --write-trec; leave"
                " them out"
            )
        direction, run = read_run(trec_run, corpus, direction)
        n_absent = int((run[1][:, 0] < 0).sum())
        if n_absent:
            say(f"{n_absent:,} of {len(run[1]):,} queries are not in {trec_run}: nothing was found")
        identity["run"] = sha256_of(trec_run)
        result = evaluate_ranking(run, direction, corpus, identity=identity, **protocol)
    else:
        protocol |= {"folds": folds, "first_fold": first_fold, "inference": inference}
        protocol |= {"trec_folder": write_trec, "text_gallery": text_gallery}
        protocol |= {} if beta is None else {"beta": beta}
        if composed:
            protocol = {"metrics": chosen, "submission": write_submission}
        if given is not None:
            identity |= {"embeddings": sha256_of(embeddings), "notes": "; ".join(given.notes)}
            for note in (*given.notes, *_texts_notes(options, corpus)):
                say(note)
            banks = given.banks if inference == "querybank" else None
            if banks == {}:
                raise RetrievalInputError(
                    f"{embeddings} has no untested queries, which --inference querybank needs: add"
                    " rows named bank_text, or those of the other side"
                )
            if given.banks and banks is None:
                names = ", ".join(f"bank_{side}" for side in given.banks)
                say(f"not used: {names}, which --inference querybank needs")
            protocol |= {"identity": identity} | ({} if composed else {"banks": banks})
            evaluate_given = evaluate_vectors if composed else evaluate_rows
            result = evaluate_given(given.media, given.text, corpus, **protocol)
        else:
            bank = None
            if bank_split is not None:
                bank = _load(benchmark, root, bank_split, options, allow_partial)
            check_encodable(corpus)
            check_model(model, corpus)
            encoder = open_encoder(model, pretrained, settings)
            result = evaluate_model(encoder, corpus, bank, cache, allow_partial, protocol)
    if result is None:  # the targets are not published: only the submission was written
        return
    show_result(result)
    if write_trec is not None:
        say(f"TREC files written to {write_trec}")
    path = result.save(out or Path(_file_name(result)), published=beside_rows(result))
    say(f"written to {path}")


def _load(
    corpus: Corpus, root: Path, split: str | None, options: dict, allow_partial: bool
) -> CaptionedMedia:
    return corpus.load(root, split_of(corpus, split), allow_partial=allow_partial, **options)


def _texts_notes(options: Mapping[str, object], corpus) -> list[str]:
    """Say which texts the rows must be of, where the ids are the same for other texts."""
    chosen = {name: options[name] for name in TEXT_OPTIONS if name in options}
    return [
        f"the rows of text must be of {name}={value}: the ids of other texts can be the same, so"
        " this is not checked"
        for name, value in chosen.items()
        if f"#{value}" not in getattr(corpus, "text_ids", ("",))[0]  # an id that names its language
    ]


def _check_grid(models: str | None, corpora: str | None, excluded: list[str]) -> None:
    if models is None or corpora is None:
        raise RetrievalInputError("--models and --corpora go together: give both")
    if excluded:
        raise RetrievalInputError(
            f"--models and --corpora exclude {', '.join(excluded)}; leave it out, or evaluate one"
            " model on one benchmark"
            + ("; --models NAME=FOLDER takes rows" if "--embeddings" in excluded else "")
        )


def _file_name(result: Result) -> str:
    data = f"{result.protocol.benchmark} {result.protocol.split}"
    return f"{file_stem(data)}-{file_stem(result.name)}.json"
