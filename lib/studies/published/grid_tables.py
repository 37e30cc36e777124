"""Show a grid of models and corpora: a table of main metrics, tidy rows for CSV, plot data."""

import csv
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lib.core.writing import atomic_path
from lib.studies.published.grid import GridCell
from lib.studies.published.main_metric import main_metric, main_parts
from lib.studies.published.results import RANK_METRICS, DirectionResult, Measurement

PART = "*"  # behind numbers of a part of a corpus
PROTOCOL = ("captions", "prompt", "precision")
ACROSS = 4  # columns of numbers beside the column of models
COLUMNS = (
    "model", "corpus", "direction", "metric", "value", "low", "high", "chance", "main",
    "n_queries", "n_gallery", *PROTOCOL, "complete", "file",
)  # fmt: skip


def grid_rows(cells: Sequence[GridCell]) -> list[dict]:
    """Make one tidy row per pair, direction and metric; shares are fractions, ranks are ranks."""
    rows, titles = [], _titles(cells)
    for cell in (cell for cell in cells if cell.result is not None):
        protocol = cell.result.protocol
        about = {name: getattr(protocol, name) for name in PROTOCOL}
        about |= {"complete": protocol.is_complete, "file": cell.path.name}
        main = {part.direction: main_metric(cell.result, part) for part in main_parts(cell.result)}
        for row in cell.result.rows():
            labels = {"model": cell.model, "corpus": titles[cell.corpus]}
            is_main = main.get(row["direction"]) == row["metric"]
            merged = {**labels, **row, "main": is_main, **about}
            rows.append({name: merged[name] for name in COLUMNS})
    return rows


def main_rows(cells: Sequence[GridCell]) -> list[dict]:
    """Return the rows of the main metrics alone, for a plot."""
    return [row for row in grid_rows(cells) if row["main"]]


def write_grid_csv(cells: Sequence[GridCell], path: str | Path) -> Path:
    """Write the tidy rows as CSV, completely or not at all."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as stream,
    ):
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(
            {name: "" if isinstance(v, float) and math.isnan(v) else v for name, v in row.items()}
            for row in grid_rows(cells)
        )
    return Path(path)


def format_grid(cells: Sequence[GridCell]) -> list[list[dict[str, str]]]:
    """Format main metrics as tables of texts: rows are models, columns corpora and directions.

    A name of a column has two lines, the corpus and the metric.
    More than four columns are spread over several tables with the same rows.
    """
    texts: dict[str, dict[str, str]] = {}
    columns: dict[str, None] = {}
    titles = _titles(cells)
    models = list(dict.fromkeys(cell.model for cell in cells))
    for corpus in dict.fromkeys(cell.corpus for cell in cells):
        of_corpus = [cell for cell in cells if cell.corpus == corpus]
        parts = [
            (cell, part) for cell in of_corpus if cell.result for part in main_parts(cell.result)
        ]
        title = titles[corpus]
        names = {_column(title, cell, part): None for cell, part in parts} or {title: None}
        columns |= names
        for cell in of_corpus:
            if cell.result is None:
                texts.setdefault(cell.model, {}).update(dict.fromkeys(names, "failed"))
        for cell, part in parts:
            metric = main_metric(cell.result, part)
            text = format_measured(metric, part[metric]) + _mark(cell)
            texts.setdefault(cell.model, {})[_column(title, cell, part)] = text
    listed = list(columns)
    return [
        [
            {"model": model, **{name: texts.get(model, {}).get(name, "") for name in block}}
            for model in models
        ]
        for block in (listed[at : at + ACROSS] for at in range(0, len(listed), ACROSS))
    ]


def format_main(cell: GridCell) -> str:
    """Format the main metrics of one pair in one line."""
    lines = []
    for part in main_parts(cell.result):
        metric = main_metric(cell.result, part)
        text = format_measured(metric, part[metric]) + _mark(cell)
        lines.append(f"{part.direction.replace('_', ' ')} {metric} {text}")
    return "; ".join(lines)


def format_measured(metric: str, measured: Measurement) -> str:
    """Format a value in percent, or in ranks, with its interval."""
    scale = 1 if metric in RANK_METRICS else 100
    value, low, high = (
        f"{scale * number:,.1f}" for number in (measured.value, measured.low, measured.high)
    )
    return value if math.isnan(measured.low) else f"{value} ({low} to {high})"


def _column(title: str, cell: GridCell, part: DirectionResult) -> str:
    return f"{title}\n{part.direction.replace('_', ' ')} {main_metric(cell.result, part)}"


def _titles(cells: Sequence[GridCell]) -> dict[str, str]:
    """Name each corpus by benchmark and split; where two would be equal, by their labels.

    The name of a benchmark says where it is a miniature; a corpus without a result has its label.
    """
    titles: dict[str, str] = {}
    for cell in cells:
        if cell.result is not None:
            protocol = cell.result.protocol
            titles[cell.corpus] = f"{protocol.benchmark} {protocol.split}"
    counts = Counter(titles.values())
    return {
        cell.corpus: title if (title := titles.get(cell.corpus)) and counts[title] == 1
        else f"{cell.corpus} (miniature)" if title and "(miniature)" in title else cell.corpus
        for cell in cells
    }  # fmt: skip


def _mark(cell: GridCell) -> str:
    return "" if cell.result.protocol.is_complete else f" {PART}"
