"""Read the published numbers of papers, and compare a result with those of the same model."""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import data_dir
from lib.core.reading import MissingFileError
from lib.metrics.hubness import INFERENCE
from lib.studies.published.protocol import GALLERIES, JUDGEMENTS, positives_of
from lib.studies.published.remarks import remarks_of
from lib.studies.published.results import RANK_METRICS, Result

VERIFIED = {"yes": "", "quoted": "as quoted elsewhere", "recalled": "recalled, unchecked"}
KINDS = ("zero-shot", "trained")
MODALITIES = ("image", "text", "video", "audio")
# Composed queries: the gallery is all pictures, a set of each query (CIRR), or a category.
GALLERIES_OF_QUERIES = ("image", "subset", "dress", "shirt", "toptee")
_SIDE = f"({'|'.join(MODALITIES)})"
# "both" are the two choices of Winoground; a subset of the examples stands behind.
DIRECTION = re.compile(
    rf"(?:{_SIDE}_to_{_SIDE}|both)(?: \(\w+\))?|(query)_to_({'|'.join(GALLERIES_OF_QUERIES)})"
)
METRIC = re.compile(
    r"R@[1-9]\d*|MedR|MeanR|MRR|MAP@R|MAP@[1-9]\d*|R-precision"
    r"|(mean )?accuracy|(text|image|group) score"
)
FIRST_YEAR, LAST_YEAR = 2010, 2030


@dataclass(frozen=True)
class PublishedRow:
    """Hold one published number; text columns are empty where the source does not state them."""

    model: str  # model and tag of open_clip where it knows the model; else as printed
    pretrained: str
    kind: str  # "zero-shot", or "trained" on the training split of this benchmark
    dataset: str  # this and the next columns as in `Protocol`
    split: str
    direction: str
    gallery: str
    n_queries: int | None  # None where the source does not state it
    n_gallery: int | None
    captions: str
    judgements: str
    prompt: str  # "none" is none
    inference: str
    metric: str
    value: float  # percent, or ranks for "MedR" and "MeanR"
    year: int | None  # of the model's first publication, if known for sure
    source: str  # file of a repository, or paper
    verified: str  # "yes" (read in the source), "quoted" (by another repository), or "recalled"
    decimals: int = 0  # printed decimals

    @property
    def name(self) -> str:
        """Join model and tag."""
        return " ".join(part for part in (self.model, self.pretrained) if part)

    @property
    def remark(self) -> str:
        """Describe the source of the number, if it was not read in its paper."""
        return VERIFIED[self.verified]


COLUMNS = tuple(field.name for field in fields(PublishedRow) if field.name != "decimals")
KEY = tuple(name for name in COLUMNS if name not in ("value", "year", "source", "verified", "kind"))


def published_path() -> Path:
    """Return the path of the committed table."""
    return data_dir() / "published" / "results.csv"


def published_numbers(source: str | Path | None = None) -> list[PublishedRow]:
    """Read and check every published number of a CSV file, by default the committed one."""
    return list(_read(Path(source) if source else published_path()))


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
        match = pattern.fullmatch(cells[name])
        if not match or (name == "direction" and match[1] and match[1] == match[2]):
            raise RetrievalInputError(f"{where}: {name} {cells[name]!r} is not known")
    value = _number(cells["value"], "value", where)
    lowest, highest = (1, math.inf) if cells["metric"] in RANK_METRICS else (0, 100)
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
        raise RetrievalInputError(f"{where}: {name} {text!r} is not a number") from None


def _whole(text: str, name: str, where: str) -> int | None:
    if text and not (text.isdecimal() and int(text)):
        raise RetrievalInputError(f"{where}: {name} {text!r} must be a whole number of at least 1")
    return int(text) if text else None


# ---- beside a result


def beside_rows(result: Result, rows: Sequence[PublishedRow] | None = None) -> list[dict]:
    """Put the published numbers of the same model on the same benchmark beside a result.

    Args:
        result: a result with `model` and `tag` in its identity.
        rows: published numbers; the committed table when None.

    Returns:
        Rows `direction`, `metric`, `own`, `low`, `high` (percent or ranks), `published`,
        `difference` (own - published), `inside` (the published number, as rounded, lies in the
        interval; None without one), `protocol` (stated differences in words), `remarks` (what else
        differs there, see `lib.studies.published.remarks`), `remark` ("recalled, unchecked" and the
        like), `source`.
    """
    rows = published_numbers() if rows is None else rows
    protocol = result.protocol
    benchmark, split = protocol.benchmark.split(" ")[0], protocol.split.split(",")[0]
    parts = {part.direction: part for part in result.directions}
    candidates = [
        row
        for row in rows
        if (row.dataset, row.split) == (benchmark, split)
        and positives_of(row.judgements) == positives_of(protocol.judgements)
        and row.direction in parts
        and row.metric in parts[row.direction].values
    ]
    lines = []
    for row in _of_model(candidates, result):
        measured = parts[row.direction][row.metric]
        scale = 1 if row.metric in RANK_METRICS else 100
        value, low, high = (scale * getattr(measured, end) for end in ("value", "low", "high"))
        rounding = 0.5 * 10.0**-row.decimals
        inside = None if math.isnan(low) else low - rounding <= row.value <= high + rounding
        line = {"direction": row.direction, "metric": row.metric}
        line |= {"own": value, "low": low, "high": high, "published": row.value}
        line |= {"decimals": row.decimals}
        line |= {"difference": value - row.value, "inside": inside}
        line["protocol"] = paper_differences(row, result)
        line["remarks"] = remarks_of(row, protocol.judgements)
        lines.append(line | {"remark": row.remark, "source": row.source})
    return lines


def paper_differences(row: PublishedRow, result: Result) -> list[str]:
    """List in words the stated differences of a published number's protocol."""
    protocol, part = result.protocol, result.direction(row.direction)
    pairs = {
        "queries": (part.n_queries, row.n_queries),
        "gallery items": (part.n_gallery, row.n_gallery),
        "gallery": (protocol.gallery, row.gallery),
        "captions": (protocol.captions, row.captions),
        "judgements": (positives_of(protocol.judgements), positives_of(row.judgements)),
        "prompt": (protocol.prompt or "none", row.prompt),
        "inference": (protocol.inference, row.inference),
    }
    differences = [
        f"{name}: {ours} here, {theirs} there"
        for name, (ours, theirs) in pairs.items()
        if theirs and ours != theirs
    ]
    if protocol.benchmark != row.dataset:
        differences.insert(0, f"{protocol.benchmark} here")
    return differences


def _of_model(rows: Sequence[PublishedRow], result: Result) -> list[PublishedRow]:
    """Select the rows of the result's model.

    openai's weights always run with quickgelu. A source that prints them under both names prints
    one number twice; the row of the shorter name is then left out.
    """
    model, tag = result.identity.get("model", ""), result.identity.get("tag", "")
    exact = [row for row in rows if (row.model, row.pretrained) == (model, tag)]
    if tag != "openai" or not model.endswith("-quickgelu"):
        return exact
    sources = {row.source for row in exact}
    other = (model.removesuffix("-quickgelu"), tag)
    return exact + [
        row for row in rows if (row.model, row.pretrained) == other and row.source not in sources
    ]
