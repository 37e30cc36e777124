"""What papers and repositories print: a table in which each number has a source and a protocol."""

import csv
import math
import re
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import data_dir
from lib.core.reading import MissingFileError
from lib.metrics.hubness import INFERENCE
from lib.studies.published.direction_result import OF_RANKS
from lib.studies.published.protocol import GALLERIES, JUDGEMENTS

VERIFIED = {"yes": "", "quoted": "as quoted elsewhere", "recalled": "recalled, unchecked"}
KINDS = ("zero-shot", "trained")
MODALITIES = ("image", "text", "video", "audio")
DIRECTION = re.compile(f"({'|'.join(MODALITIES)})_to_({'|'.join(MODALITIES)})")
METRIC = re.compile(r"R@[1-9]\d*|MedR|MeanR|MRR|MAP@R|R-precision")
FIRST_YEAR, LAST_YEAR = 2010, 2030


@dataclass(frozen=True)
class PublishedRow:
    """One printed number.

    Args:
        model, pretrained: as open_clip names them where it knows the model; else as printed,
            without a tag.
        kind: "zero-shot", or "trained" on the training split of this benchmark.
        dataset, split, direction, gallery, judgements, inference: as in `Protocol`; inference is
            empty where the source does not say.
        n_queries, n_gallery: None where the source does not say.
        captions, prompt: empty where the source does not say; a prompt of "none" is none.
        metric: "R@1", "MedR", ...; value: percent, or ranks for "MedR" and "MeanR".
        year: of the model's first publication, None where not known for sure.
        source: file of a repository, or paper.
        verified: "yes" (read in the source), "quoted" (as another repository quotes it), or
            "recalled".
        decimals: how many were printed.
    """

    model: str
    pretrained: str
    kind: str
    dataset: str
    split: str
    direction: str
    gallery: str
    n_queries: int | None
    n_gallery: int | None
    captions: str
    judgements: str
    prompt: str
    inference: str
    metric: str
    value: float
    year: int | None
    source: str
    verified: str
    decimals: int = 0

    @property
    def name(self) -> str:
        """Model and tag."""
        return " ".join(part for part in (self.model, self.pretrained) if part)

    @property
    def remark(self) -> str:
        """What has to stand beside the number when it was not read in its source; else empty."""
        return VERIFIED[self.verified]


COLUMNS = tuple(field.name for field in fields(PublishedRow) if field.name != "decimals")
KEY = tuple(name for name in COLUMNS if name not in ("value", "year", "source", "verified", "kind"))


def path() -> Path:
    """Where the committed table is."""
    return data_dir() / "published" / "results.csv"


def table(source: str | Path | None = None) -> list[PublishedRow]:
    """Every published number, checked.

    Args:
        source: a CSV file with the columns `COLUMNS`; the committed one when None.

    Returns:
        Rows in the order of the file.

    Raises:
        MissingFileError: there is no such file.
        RetrievalInputError: another header, or a line with an unknown direction, metric, kind or
            protocol, a value out of range, no source, or the same number twice; the message names
            the line.
    """
    return list(_read(Path(source) if source else path()))


@lru_cache(maxsize=2)
def _read(source: Path) -> tuple[PublishedRow, ...]:
    if not source.is_file():
        raise MissingFileError(f"{source} is missing. Restore it with git")
    with open(source, newline="", encoding="utf-8") as stream:
        lines = csv.reader(stream)
        if (header := tuple(next(lines, ()))) != COLUMNS:
            raise RetrievalInputError(
                f"{source}: the header is {','.join(header)}, expected {','.join(COLUMNS)}"
            )
        rows, seen = [], {}
        for cells in lines:
            where = f"{source}, line {lines.line_num}"
            if len(cells) != len(COLUMNS):
                raise RetrievalInputError(
                    f"{where} has {len(cells)} cells, expected {len(COLUMNS)}"
                )
            row = _row(dict(zip(COLUMNS, cells)), where)
            key = (*(getattr(row, name) for name in KEY), row.source)
            if key in seen:
                raise RetrievalInputError(
                    f"{where} repeats line {seen[key]}: {row.name}, {row.metric}"
                )
            seen[key] = lines.line_num
            rows.append(row)
    return tuple(rows)


def _row(cells: dict[str, str], where: str) -> PublishedRow:
    for name, allowed in (
        ("kind", KINDS),
        ("gallery", GALLERIES),
        ("judgements", JUDGEMENTS),
        ("inference", (*INFERENCE, "")),
        ("verified", VERIFIED),
    ):
        check_choice(cells[name], allowed, f"{where}: {name}")
    for name in ("model", "dataset", "split", "source"):
        if not cells[name].strip():
            raise RetrievalInputError(f"{where}: {name} is empty; every number needs one")
    for name, pattern in (("direction", DIRECTION), ("metric", METRIC)):
        found = pattern.fullmatch(cells[name])
        if not found or (name == "direction" and found[1] == found[2]):
            raise RetrievalInputError(f"{where}: {name} {cells[name]!r} is none that is known")
    value = _number(cells["value"], "value", where)
    lowest, highest = (1, math.inf) if cells["metric"] in OF_RANKS else (0, 100)
    if not lowest <= value <= highest or math.isinf(value):
        raise RetrievalInputError(
            f"{where}: {cells['metric']} is {value}, expected {lowest} to {highest}"
        )
    year = _whole(cells["year"], "year", where)
    if year is not None and not FIRST_YEAR <= year <= LAST_YEAR:
        raise RetrievalInputError(f"{where}: year {year} is outside {FIRST_YEAR}..{LAST_YEAR}")
    sizes = {name: _whole(cells[name], name, where) for name in ("n_queries", "n_gallery")}
    decimals = len(cells["value"].partition(".")[2])
    return PublishedRow(**{**cells, **sizes, "value": value, "year": year, "decimals": decimals})


def _number(text: str, name: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise RetrievalInputError(f"{where}: {name} {text!r} is no number") from None


def _whole(text: str, name: str, where: str) -> int | None:
    if text and not (text.isdecimal() and int(text)):
        raise RetrievalInputError(f"{where}: {name} {text!r} is no whole number of at least 1")
    return int(text) if text else None
