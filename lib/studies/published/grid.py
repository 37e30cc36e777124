"""Evaluate many models on many corpora: one JSON file a pair, continued where it stopped."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lib.core.checks import RetrievalInputError
from lib.core.paths import file_stem
from lib.core.reading import MissingFileError
from lib.studies.published.evaluation import evaluate_corpus
from lib.studies.published.paper_numbers import beside_rows
from lib.studies.published.results import Result, library_version

CORPUS, OPTIONS = "corpus_sha256", "options"  # keys that the grid adds to an identity
COMPUTED, KEPT, AGAIN, FAILED = "computed", "kept", "computed again", "failed"
EXPECTED = (ValueError, OSError, MemoryError, FloatingPointError)  # their texts are sentences
SHOWN = 12  # characters of a checksum


@dataclass(frozen=True, eq=False)
class GridCell:
    """Hold what became of one pair of a model and a corpus.

    Args:
        model, corpus: labels of the pair.
        path: JSON file of the result.
        state: `"computed"`, `"kept"` from an earlier call, `"computed again"` or `"failed"`.
        result: None where the pair failed.
        why: reason of a failure, or of a second computation.
    """

    model: str
    corpus: str
    path: Path
    state: str
    result: Result | None = None
    why: str = ""


class _Once:
    """Call a function at the first use and keep its value, or its error."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._value, self._error = make, None, None

    def __call__(self) -> Any:
        if self._make is not None:
            make, self._make = self._make, None
            try:
                self._value = make()
            except Exception as error:  # kept, and raised for every pair that needs the value
                self._error = error
        if self._error is not None:
            raise self._error
        return self._value


def evaluate_grid(
    models: Mapping[str, Callable[[], Any]],
    corpora: Mapping[str, Callable[[], Any]],
    folder: str | Path,
    *,
    options: Mapping[str, object] | None = None,
    evaluate: Callable[..., Result] = evaluate_corpus,
    allow_partial: bool = False,
) -> Iterator[GridCell]:
    """Evaluate every model on every corpus; yield each pair when its result is saved.

    A pair whose file has the same model identity, corpus checksum, options and library version is
    kept. Others are computed, and `why` says what differs. A pair that fails is yielded too, and
    the next ones go on. Two processes can work on one folder: files are written whole.

    Args:
        models: label to a function that loads the encoder; called once, at the first need. A model
            with `identity_on(corpus)` in place of `identity` has rows of a user; no media count.
        corpora: label to a function that loads the corpus; called once, at the first need.
        folder: of the JSON files, named after corpus and model.
        options: of the evaluation, such as `{"metrics": ["R@1"]}`; they must fit into JSON.
        evaluate: called as `evaluate(encoder, corpus, **options)`.
        allow_partial: keep results of a part of the corpus, which an earlier call allowed.
    """
    options = dict(options or {})
    paths = grid_paths(models, corpora, folder)
    loaded = {label: _Once(load) for label, load in corpora.items()}
    for model, load_model in models.items():
        encoder = _Once(load_model)
        for corpus, load_corpus in loaded.items():
            path = paths[model, corpus]
            try:
                state, result, why = _evaluate_pair(
                    path, encoder, load_corpus, options, evaluate, allow_partial
                )
            except Exception as error:  # one pair must not end a night of others
                yield GridCell(model, corpus, path, FAILED, why=_sentence_of(error))
            else:
                yield GridCell(model, corpus, path, state, result, why)


def grid_paths(
    models: Mapping[str, object], corpora: Mapping[str, object], folder: str | Path
) -> dict[tuple[str, str], Path]:
    """Return the file of each pair, `{(model, corpus): path}`; no two pairs share one."""
    paths: dict[tuple[str, str], Path] = {}
    taken: dict[str, tuple[str, str]] = {}
    for pair in ((model, corpus) for model in models for corpus in corpora):
        name = f"{file_stem(pair[1])}--{file_stem(pair[0])}.json"
        other = taken.setdefault(name.lower(), pair)
        if other != pair:
            raise RetrievalInputError(
                f"{' on '.join(other)} and {' on '.join(pair)} would both be written to {name};"
                " rename a folder or a checkpoint"
            )
        paths[pair] = Path(folder) / name
    return paths


def other_results(folder: str | Path, cells: list[GridCell]) -> tuple[list[GridCell], list[str]]:
    """Find results of other models in the folder, on the same corpora with the same options.

    Returns:
        Their cells, and notes on the files that are not shown, with the reason.
    """
    own, models = {cell.path.name for cell in cells}, {cell.model for cell in cells}
    columns = {_key(cell.result): cell.corpus for cell in cells if cell.result is not None}
    found, notes, unlike = [], [], []
    for path in sorted(Path(folder).glob("*.json")):
        if path.name in own:
            continue
        try:
            result = Result.load(path)
        except (RetrievalInputError, OSError) as error:
            notes.append(f"{path.name} is not shown: {_sentence_of(error)}")
            continue
        corpus = columns.get(_key(result))
        if corpus is None:
            unlike.append(path.name)
        else:
            label = result.name.removesuffix(" trained here")  # a tag of the models of `lib`
            if label in models:  # of the same name, but not the same model
                label = f"{label} ({path.stem})"
            found.append(GridCell(label, corpus, path, KEPT, result))
    if unlike:
        notes.append(f"not shown, of other corpora or options: {', '.join(unlike)}")
    return found, notes


def _key(result: Result) -> tuple[str | None, ...]:
    identity, protocol = result.identity, result.protocol
    facts = identity.get(CORPUS), identity.get(OPTIONS), protocol.prompt, protocol.precision
    return (*facts, result.library_version)


def _evaluate_pair(
    path: Path,
    encoder: _Once,
    load_corpus: _Once,
    options: dict,
    evaluate: Callable[..., Result],
    allow_partial: bool,
) -> tuple[str, Result, str]:
    """Return state, result and reason of one pair; its file is written if it was computed."""
    corpus, model = load_corpus(), encoder()
    own_rows = hasattr(model, "identity_on")  # rows of a user: no media are read
    identity = model.identity_on(corpus) if own_rows else model.identity
    facts = {CORPUS: corpus.checksum(media=not own_rows)}
    facts[OPTIONS] = json.dumps(options, sort_keys=True)
    state, why = COMPUTED, ""
    try:
        stored = Result.load(path)
    except MissingFileError:
        pass
    except RetrievalInputError as error:
        state, why = AGAIN, _sentence_of(error)
    else:
        differences = _differences(stored, {**identity, **facts}, corpus)
        if not (stored.protocol.is_complete or allow_partial):
            differences.append("it is of a part of the corpus, which is not allowed now")
        if not differences:
            return KEPT, stored, ""
        state, why = AGAIN, "; ".join(differences)
    result = evaluate(model, corpus, **options)
    if result is None:
        raise RetrievalInputError("there is no result: the right answers are not published")
    result = replace(result, identity={**result.identity, **facts})
    result.save(path, published=beside_rows(result))
    return state, result, why


def _differences(stored: Result, facts: Mapping[str, str], corpus) -> list[str]:
    """List what differs between a stored result and the pair as it is now."""
    lines = [
        f"{name} was {_short(stored.identity.get(name))}, is {_short(now)}"
        for name, now in facts.items()
        if name != CORPUS and stored.identity.get(name) != now
    ]
    if stored.identity.get(CORPUS) != facts[CORPUS]:
        lines += _corpus_differences(stored, corpus)
    if stored.library_version != library_version():
        lines.append(f"library was {stored.library_version}, is {library_version()}")
    return lines


def _corpus_differences(stored: Result, corpus) -> list[str]:
    if stored.corpus_checksum == corpus.checksum(media=False):
        if CORPUS not in stored.identity:
            return ["the file does not say which media were encoded"]
        return ["the media of the corpus have changed"]
    now = getattr(corpus, "captions", None) or getattr(corpus, "relevance", "")
    if isinstance(now, str) and now != stored.protocol.captions:
        return [f"captions were {stored.protocol.captions!r}, are {now!r}"]
    return ["the texts, ids or judgements of the corpus have changed"]


def _short(value: str | None) -> str:
    if value is None:
        return "unknown"
    return f"{value[:SHOWN]}..." if re.fullmatch("[0-9a-f]{64}", value) else repr(value)


def _sentence_of(error: Exception) -> str:
    """Return the text of an error in one line; an unexpected one with its type."""
    text = " ".join(str(error).split())
    kind = type(error).__name__
    return text if text and isinstance(error, EXPECTED) else f"{kind}: {text}".rstrip(": ")
