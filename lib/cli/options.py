"""Options that several commands share: models, a corpus, its split and its protocol."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import BadParameter, Option

from lib.core.checks import RetrievalInputError, check_choice, whole_number_of

if TYPE_CHECKING:
    from lib.datasets.registry import Corpus

PROTOCOL = "Protocol"  # a group of options in the help
Options = Annotated[
    list[str] | None,
    Option(
        "--option",
        help="A protocol as NAME=VALUE; `crossmodal data list NAME` shows them. Repeat for more.",
        rich_help_panel=PROTOCOL,
    ),
]
Pretrained = Annotated[
    str | None, Option(help="Weights: a tag of open_clip, a checkpoint, or a folder.")
]
Prompt = Annotated[str, Option(help='Template for every text: "a photo of {}".')]
Precision = Annotated[str, Option(help="fp32, bf16, or fp16 on a GPU.")]
Device = Annotated[str, Option(help="cpu or cuda.")]
Recall = Annotated[
    float | None, Option(help="Share of the true best pictures that the index finds: 0.95.")
]
Ram = Annotated[str | None, Option(help="Memory that the index may take, such as 4GB.")]
QueryKinds = Annotated[
    str | None, Option(help="Queries that must reach the recall: text, image, or both.")
]
Families = Annotated[
    list[str] | None,
    Option(
        "--family", "--families", help="Index types, such as HNSW; repeat for more. All by default."
    ),
]
BatchSize = Annotated[int, Option(help="Inputs per forward pass.")]


def given_path(text: str) -> Path:
    """Return a path; an empty one, as of an unset variable, would be the current folder."""
    if not text:
        raise BadParameter("it is empty; give a path, or . for the current folder")
    return Path(text)


def bytes_of(text: str, name: str) -> int:
    """Parse a size in bytes: "4GB", "512 MB", "2GiB", "4e9"."""
    match = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]{1,2})?)\s*([kmgt]?)(i?)b?\s*", text.lower())
    try:
        number = float(match[1]) if match else float("nan")
    except ValueError:
        number = float("nan")
    base = 1024 if match and match[3] else 1000
    value = number * base ** (" kmgt".index(match[2] or " ") if match else 0)
    if not 1 <= value <= 1e18:
        raise RetrievalInputError(f"{name} must be a size such as 4GB or 512MB, got {text!r:.40}")
    return int(value)


def counts_of(text: str, name: str) -> list[int]:
    """Parse whole numbers from 1, separated by commas: "1,8,64"."""
    parts = [part.strip() for part in text.split(",")]
    numbers = [whole_number_of(part) for part in parts]
    if not all(numbers):
        expected = "whole numbers from 1, such as 1,8"
        raise RetrievalInputError(f"{name} must be {expected}, got {text!r:.80}")
    return [number for number in dict.fromkeys(numbers) if number]


def corpus_named(name: str) -> Corpus:
    """Return the corpus with this name."""
    from lib.datasets.registry import CORPORA, FORMS

    known = CORPORA | FORMS
    return known[check_choice(name, known, "the corpus")]


def split_of(corpus: Corpus, split: str | None) -> str:
    """Return the split of the user, or the one that papers report."""
    return check_choice(corpus.splits[0] if split is None else split, corpus.splits, "--split")


def protocol_options(corpus: Corpus, texts: Sequence[str] | None) -> dict:
    """Convert `NAME=VALUE` texts to keyword arguments of `corpus.load`."""
    options: dict = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise RetrievalInputError(
                f"--option must be NAME=VALUE, for example captions=all, got {text!r}"
            )
        if not corpus.options:
            raise RetrievalInputError(f"{corpus.name} has no options, got --option {text!r}")
        check_choice(name, corpus.options, f"--option of {corpus.name}")
        if name in options:
            raise RetrievalInputError(f"--option {name} is given twice")
        options[name] = _option_value(value, corpus.options[name], f"--option {name}")
    return options


def _option_value(text: str, known: tuple | range, name: str) -> object:
    """Return the value that a text names: a known one, or a whole number of a range."""
    if isinstance(known, range):
        number = whole_number_of(text)
        if number not in known:
            raise RetrievalInputError(
                f"{name} must be a whole number from {known[0]} to {known[-1]}, got {text!r:.40}"
            )
        return number
    values = {str(value): value for value in known}
    return values[check_choice(text, values, name)]
