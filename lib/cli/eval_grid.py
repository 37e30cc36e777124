"""`crossmodal eval --models ... --corpora ...`: many models on many corpora in one call."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from typer import Exit

from lib.cli.options import corpus_named, protocol_options, split_of
from lib.cli.output import print_rows, say
from lib.core.checks import RetrievalInputError
from lib.core.paths import file_stem
from lib.core.reading import MissingFileError, reading
from lib.core.writing import check_writable

if TYPE_CHECKING:
    from lib.datasets.registry import Corpus
    from lib.studies.published.grid import GridCell

TABLE, FIGURE = "results.csv", "results.png"
_CORPUS = re.compile(
    r"(?P<name>[^:@=+]+)(?:[:@](?P<split>[^=+]*))?"
    r"(?P<options>(?:\+[^=+]+=[^=+]+)*)(?:=(?P<root>.+))?"
)


@dataclass(frozen=True)
class CorpusSpec:
    """Hold one corpus of `--corpora`: which, which split, in which folder, with which options."""

    corpus: Corpus
    split: str
    root: Path
    options: Mapping[str, object]

    @property
    def label(self) -> str:
        """Name corpus, split and options; of a form, the folder too."""
        from lib.datasets.registry import FORMS

        folder = f" {self.root.resolve().name}" if self.corpus.name in FORMS else ""
        options = "".join(f" {name}={value}" for name, value in self.options.items())
        return f"{self.corpus.name}{folder} {self.split}{options}"

    @property
    def rows_file(self) -> str:
        """Name the file of a user's rows: `msrvtt`, or with all that is not the default."""
        from lib.datasets.registry import FORMS

        usual = self.split == self.corpus.splits[0] and not self.options
        name = self.corpus.name if usual and self.corpus.name not in FORMS else self.label
        return file_stem(name)


def evaluate_many(
    models: str,
    corpora: str,
    *,
    root: Path | None,
    out: Path | None,
    option: Sequence[str] | None,
    metrics: Sequence[str] | None,
    settings: Mapping[str, object],
    cache: Path | None,
    allow_partial: bool,
) -> None:
    """Evaluate every model on every corpus; exit code 1 where a pair fails."""
    from lib.cli.eval_composed import check_options
    from lib.cli.eval_given import GivenFolder
    from lib.cli.eval_model import check_encodable, evaluate_model, open_encoder
    from lib.studies.published.evaluation import chosen_metrics
    from lib.studies.published.grid import FAILED, evaluate_grid

    chosen_metrics(metrics)  # before the work: refuses unknown names
    if out is None:
        raise RetrievalInputError("--models needs --out FOLDER, where each result is kept")
    if out.exists() and not out.is_dir():
        raise RetrievalInputError(f"--out must be a folder with --models, and {out} is a file")
    check_writable(out / TABLE)
    chosen = _models(models)
    specs = _corpora(corpora, root, option or [])

    files: dict[int, str] = {}  # of a user's rows, by loaded corpus
    encoded = any(not isinstance(model[1], Path) for model in chosen.values())

    def encoder_loader(name: str, pretrained: str | Path | None):
        def load():
            if isinstance(pretrained, Path):
                return GivenFolder(name, pretrained, lambda corpus: files[id(corpus)], settings)
            say(f"loading {name} {pretrained or ''}".rstrip())
            return open_encoder(name, pretrained, settings)

        return load

    def corpus_loader(spec: CorpusSpec):
        def load():
            loaded = spec.corpus.load(
                spec.root,
                spec.split,
                allow_partial=allow_partial,
                need_media=encoded,
                **spec.options,
            )
            check_options(loaded, None, {})  # composed queries without published targets
            files[id(loaded)] = spec.rows_file
            say(loaded.describe())
            return loaded

        return load

    def evaluate(encoder, corpus, **options):
        if isinstance(encoder, GivenFolder):
            return encoder.evaluate_on(corpus, allow_partial=allow_partial, **options)
        check_encodable(corpus)
        return evaluate_model(encoder, corpus, None, cache, allow_partial, options)

    cells: list[GridCell] = []
    for cell in evaluate_grid(
        {label: encoder_loader(*model) for label, model in chosen.items()},
        {label: corpus_loader(spec) for label, spec in specs.items()},
        out,
        options={} if metrics is None else {"metrics": list(metrics)},
        evaluate=evaluate,
        allow_partial=allow_partial,
    ):
        cells.append(cell)
        _say_cell(cell)
    _show_grid(cells, out)
    failed = [cell for cell in cells if cell.state == FAILED]
    if failed:
        say(f"{len(failed)} of {len(cells)} pairs failed:")
        for why in dict.fromkeys(cell.why for cell in failed):
            pairs = [f"{cell.model} on {cell.corpus}" for cell in failed if cell.why == why]
            say(f"  {', '.join(pairs)}: {why}")
        raise Exit(1)


def _say_cell(cell: GridCell) -> None:
    from lib.studies.published.grid import FAILED
    from lib.studies.published.grid_tables import format_main

    line = f"{cell.model} on {cell.corpus}: {cell.state}"
    if cell.why and cell.state != FAILED:
        line += f" ({cell.why})"
    say(line if cell.result is None else f"{line}: {format_main(cell)}")


def _show_grid(cells: list[GridCell], out: Path) -> None:
    """Print the table; write the CSV and the figure, also of other models in the folder."""
    from lib import plots
    from lib.studies.published.grid import other_results
    from lib.studies.published.grid_tables import PART, format_grid, main_rows, write_grid_csv

    others, notes = other_results(out, cells)
    for note in notes:
        say(note)
    shown = cells + others
    for table in format_grid(shown):
        print_rows(table, "percent (95% interval)")
    if any(cell.result is not None and not cell.result.protocol.is_complete for cell in shown):
        say(f"{PART}: not all published items were there; not comparable with published numbers")
    rows = main_rows(shown)
    if not rows:
        return
    say(f"written to {write_grid_csv(shown, out / TABLE)}: all metrics, one a row")
    models = list(dict.fromkeys(cell.model for cell in shown))
    plots.save(plots.model_scores(rows, models), out / FIGURE)
    say(f"written to {out / FIGURE}")


def _models(text: str) -> dict[str, tuple[str, str | Path | None]]:
    """Read `NAME`, `NAME:WEIGHTS` as `--model` and `--pretrained`, or `NAME=FOLDER`, by label."""
    from lib.cli.eval_given import split_given

    models: dict[str, tuple[str, str | Path | None]] = {}
    for part in _entries(text, "--models"):
        given = split_given(part)
        name, colon, pretrained = (piece.strip() for piece in part.partition(":"))
        if given is None and (not name or bool(colon) != bool(pretrained)):
            raise RetrievalInputError(
                "--models takes NAME or NAME:WEIGHTS, such as ViT-B-32:openai, or NAME=FOLDER for"
                f" your rows; got {part!r}"
            )
        label = given[0] if given else f"{name} {pretrained}".strip()
        if label in models:
            raise RetrievalInputError(f"--models has {label!r} twice, last as {part!r}")
        models[label] = given or (name, pretrained or None)
    return models


def _corpora(text: str, root: Path | None, option: Sequence[str]) -> dict[str, CorpusSpec]:
    """Read `NAME:SPLIT+OPTION=VALUE=DIR`, of which the name alone must be there, by label."""
    options = _options_by_corpus(option)
    specs: dict[str, CorpusSpec] = {}
    for part in _entries(text, "--corpora"):
        match = _CORPUS.fullmatch(part)
        if match is None or match["split"] == "":
            raise RetrievalInputError(
                f"--corpora takes NAME, NAME:SPLIT, NAME+OPTION=VALUE, NAME=DIR, or all of these in"
                f" that order; got {part!r}"
            )
        corpus = corpus_named(match["name"].strip())
        if match["root"] is None and root is None:
            raise RetrievalInputError(
                f"--corpora {part} needs a folder: {part}=DIR, or --root DIR that holds"
                f" {corpus.name}/ and others"
            )
        folder = Path(match["root"]) if match["root"] else root / corpus.name
        own = match["options"].split("+")[1:]  # "+language=de" begins with a plus
        named = {text.partition("=")[0] for text in own}
        common = [
            text for text in options.get(corpus.name, ()) if text.partition("=")[0] not in named
        ]
        chosen = protocol_options(corpus, [*own, *common])
        spec = CorpusSpec(corpus, split_of(corpus, match["split"]), folder, chosen)
        if spec.label in specs:
            raise RetrievalInputError(f"--corpora has {spec.label!r} twice, last as {part!r}")
        specs[spec.label] = spec
    used = {spec.corpus.name for spec in specs.values()}
    unused = [name for name in options if name not in used]
    if unused:
        raise RetrievalInputError(f"--option is of {unused[0]!r}, which --corpora has not")
    return specs


def _options_by_corpus(option: Sequence[str]) -> dict[str, list[str]]:
    """Read `CORPUS.NAME=VALUE`."""
    options: dict[str, list[str]] = {}
    for text in option:
        corpus, dot, rest = text.partition(".")
        if not dot or "=" in corpus:
            raise RetrievalInputError(
                "with --corpora, --option must be CORPUS.NAME=VALUE, for example"
                f" coco.captions=first 5; got {text!r}"
            )
        options.setdefault(corpus_named(corpus).name, []).append(rest)
    return options


def _entries(text: str, flag: str) -> list[str]:
    """Split a list at commas, or read it from a file: one entry a line, # begins a comment."""
    parts = text.split(",")
    if Path(text).is_file():
        with reading(text, "no UTF-8 text", f"{flag} FILE has one entry a line"):
            lines = Path(text).read_text(encoding="utf-8-sig").splitlines()
        parts = [line for line in (line.partition("#")[0] for line in lines) if line.strip()]
    elif text.endswith(".txt"):
        raise MissingFileError(f"{flag}: {text} is missing; it should have one entry a line")
    parts = [part.strip() for part in parts]
    if not parts or "" in parts:
        raise RetrievalInputError(f"{flag} has an empty entry; got {text!r:.100}")
    return parts
