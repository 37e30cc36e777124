"""Hold, save and load the result of an evaluation: values, per-query ranks, protocol."""

import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, whole_number_of
from lib.core.reading import MissingFileError
from lib.core.writing import atomic_path
from lib.studies.published.json_fields import JsonFields
from lib.studies.published.protocol import Protocol

FORMAT = 1
RSUM_KS = (1, 5, 10)
INTEGERS = ("n_queries", "n_gallery", "n_without_relevant")  # fields of a direction
NESTED = ("sizes", "counts", "judged_counts")  # protocol columns that a flat table leaves out
SLACK = 1e-6  # relative error of values that were rounded on their way into a file
# Shares of examples whose choice is right, and the mean of the shares over the subsets.
CHOICE_METRICS = ("accuracy", "text score", "image score", "group score")
MEAN_ACCURACY = "mean accuracy"
RANK_METRICS = ("MedR", "MeanR")  # in ranks, lower is better; every other metric is a fraction


def hit_cut(metric: str) -> int | None:
    """Return k of a hit rate "R@k" or an accuracy "acck", 1 of a choice; None for other metrics."""
    if metric in CHOICE_METRICS:
        return 1
    cut = metric.removeprefix("R@").removeprefix("acc")
    return whole_number_of(cut) if cut != metric else None


def library_version() -> str:
    """Return the version of this package, `"unknown"` if it is not installed."""
    try:
        return importlib.metadata.version("crossmodal-retrieval")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True)
class Measurement:
    """Hold one metric: value, 95% interval (NaN where there is none), and chance."""

    value: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True, eq=False, repr=False)
class DirectionResult:
    """Hold the metrics of one direction, and the per-query values that paired tests need."""

    direction: str
    n_queries: int  # judged queries
    n_gallery: int  # items of the gallery; of the largest one where there are several
    n_without_relevant: int  # queries that are left out because nothing is relevant to them
    tie_share: float  # share of queries with a first rank that depends on the order of ties
    values: dict[str, Measurement]  # by metric
    first_ranks: np.ndarray  # (n_queries,) first relevant rank, ties against it; inf if not found
    map_at_r: np.ndarray  # (n_queries,) AP@R
    queries_checksum: str  # SHA-256 over the ids of the judged queries, in order
    groups: np.ndarray | None = None  # (n_queries,) clusters; None where each is its own

    def __post_init__(self) -> None:
        sizes = {"first_ranks": self.first_ranks.size, "map_at_r": self.map_at_r.size}
        if self.groups is not None:
            sizes["groups"] = self.groups.size
        for name, size in sizes.items():
            if size != self.n_queries:
                raise RetrievalInputError(
                    f"{self.direction}: {name} has {size} entries for {self.n_queries} queries"
                )

    def __getitem__(self, metric: str) -> Measurement:
        return self.values[check_choice(metric, self.values, "metric")]

    def hits(self, k: int) -> np.ndarray:
        """Return `(n_queries,)` float64, 1 where the first relevant item is at rank k or better."""
        return (self.first_ranks <= k).astype(np.float64)

    def check(self, n_folds: int = 1) -> None:
        """Refuse values out of range, or that do not follow from the ranks of the queries.

        A mean of folds needs weights that are not stored: only ranges are checked then.
        """

        def refuse(what: str) -> None:
            raise RetrievalInputError(
                f"{self.direction}: {what}. The file was changed; evaluate again"
            )

        if not (self.n_queries and self.n_gallery and 0 <= self.tie_share <= 1):
            counts = f"{self.n_queries} queries, {self.n_gallery} items"
            refuse(f"{counts} and a tie share of {self.tie_share}")
        ranks = self.first_ranks
        whole = (ranks >= 1) & (ranks <= self.n_gallery) & (ranks == np.floor(ranks))
        valid = whole | np.isposinf(ranks)
        if not valid.all():
            query = int(np.argmin(valid))
            expected = f"a whole number of 1 to {self.n_gallery}"
            refuse(f"first_ranks[{query}] is {ranks[query]}, expected {expected}")
        if not ((self.map_at_r >= 0) & (self.map_at_r <= 1)).all():
            low, high = self.map_at_r.min(), self.map_at_r.max()
            refuse(f"map_at_r lies in {low} to {high}, expected 0 to 1")
        for name, measurement in self.values.items():
            least, most = (1, self.n_gallery) if name in RANK_METRICS else (0, 1)
            for field_name, value in vars(measurement).items():
                if field_name in ("low", "high"):
                    unknown = math.isnan(value)
                else:
                    unknown = math.isinf(value) and name in RANK_METRICS
                if not (unknown or least - SLACK <= value <= most * (1 + SLACK)):
                    refuse(f"{field_name} of {name} is {value}, expected {least} to {most}")
            if not math.isnan(measurement.low) and not measurement.low - SLACK <= measurement.high:
                refuse(f"the interval of {name} is {measurement.low} to {measurement.high}")
            value, mean = measurement.value, self._mean_of(name)
            if n_folds > 1 or mean is None:
                continue
            if not np.isclose(value, mean, rtol=SLACK, atol=SLACK):
                refuse(f"{name} is {value}, but the ranks of its queries give {mean}")

    def _mean_of(self, metric: str) -> float | None:
        """Compute a metric from the per-query values; None where they do not decide it."""
        if metric in RANK_METRICS:
            return float((np.median if metric == "MedR" else np.mean)(self.first_ranks))
        if (cut := hit_cut(metric)) is not None:
            return float(self.hits(cut).mean())
        means = {"MRR": (1 / self.first_ranks).mean(), "MAP@R": self.map_at_r.mean()}
        return float(means[metric]) if metric in means else None


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Hold the result of a model on a benchmark under a protocol."""

    protocol: Protocol
    identity: dict[str, str]  # source of the embeddings, as `PretrainedEncoder.identity`
    corpus_checksum: str
    # One or both; of choices, those of all examples and of each subset.
    directions: tuple[DirectionResult, ...]
    library_version: str = field(default_factory=library_version)

    @property
    def name(self) -> str:
        """Return model and tag, and what a composed query is made of where it is not the sum."""
        alone = {"image": "image only", "text": "text only"}.get(self.identity.get("query", ""))
        parts = self.identity.get("model"), self.identity.get("tag"), alone
        return " ".join(part for part in parts if part)

    @property
    def rsum(self) -> float | None:
        """Return R@1 + R@5 + R@10 of both directions in percent; None without all six."""
        cells = [(part, f"R@{k}") for part in self.directions for k in RSUM_KS]
        if len(self.directions) != 2 or any(name not in part.values for part, name in cells):
            return None
        return 100 * sum(part[name].value for part, name in cells)

    def direction(self, name: str) -> DirectionResult:
        """Return the part of one direction."""
        parts = {part.direction: part for part in self.directions}
        return parts[check_choice(name, parts, "direction")]

    def rows(self) -> list[dict]:
        """Make one tidy row per direction and metric; shares are fractions, ranks are ranks."""
        rows = []
        for part in self.directions:
            sizes = {"n_queries": part.n_queries, "n_gallery": part.n_gallery}
            for metric, measured in part.values.items():
                row = {"direction": part.direction, "metric": metric}
                rows.append(row | vars(measured) | sizes)
        return rows

    def save(self, path: str | Path, *, published: Sequence[Mapping] = ()) -> Path:
        """Write the result as JSON, atomically.

        Args:
            path: the file.
            published: published numbers to write beside it, rows of `paper_numbers.beside_rows`;
                `load` does not read them.
        """
        beside = [{key: _plain(value) for key, value in row.items()} for row in published]
        text = json.dumps(_as_json(self) | {"published": beside}, allow_nan=False) + "\n"
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read and check a file of `save`: format, fields, ranges, and values against ranks."""
        path = Path(path)
        if not path.is_file():
            raise MissingFileError(
                f"{path} is missing. `crossmodal eval ... --out {path.name}` writes one"
            )
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise RetrievalInputError(
                f"{path} is not JSON ({error}); run the evaluation again"
            ) from error
        reader = JsonFields(data, str(path))
        if (file_format := reader.integer("format")) != FORMAT:
            raise RetrievalInputError(
                f"{path} has format {file_format}, expected {FORMAT}; run the evaluation again"
            )
        protocol = _protocol(reader.inside("protocol"))
        directions = tuple(_direction(part, protocol.n_folds) for part in reader.each("directions"))
        names = [part.direction for part in directions]
        if not names or len(set(names)) < len(names):
            raise RetrievalInputError(
                f"{path}: directions {names} must be different ones, at least one"
            )
        _check_mean_accuracy(directions, str(path))
        return cls(
            protocol=protocol,
            identity=reader.texts("identity"),
            corpus_checksum=reader.text("corpus_checksum"),
            directions=directions,
            library_version=reader.text("library_version"),
        )

    def __repr__(self) -> str:
        firsts = ", ".join(
            f"{part.direction} {metric} {measured.value:.1%}"
            for part in self.directions
            for metric, measured in list(part.values.items())[:1]
        )
        return f"Result({self.name or 'embeddings'} on {self.protocol.title}: {firsts})"


def result_rows(results: Mapping[str, Result] | Sequence[Result]) -> list[dict]:
    """Make one row per result and direction with its protocol columns, for a table or CSV."""
    by_name = isinstance(results, Mapping)
    named = results.items() if by_name else [(result.name, result) for result in results]
    rows = []
    for name, result in named:
        columns = {k: v for k, v in result.protocol.columns().items() if k not in NESTED}
        for part in result.directions:
            row = {"model": name, "direction": part.direction}
            row |= {metric: measured.value for metric, measured in part.values.items()}
            row |= {"rsum": result.rsum}
            row |= {"n_queries": part.n_queries, "n_gallery": part.n_gallery}
            rows.append(row | columns | {"complete": result.protocol.is_complete})
    return rows


# ---- JSON: a number that is not finite is null


def _number(value: float) -> float | None:
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value  # ranks and hits stay short


def _plain(value):
    """Return a cell of a table as JSON has it."""
    return _number(value) if isinstance(value, float) else value


def _as_json(result: Result) -> dict:
    parts = [
        {
            **{name: getattr(part, name) for name in ("direction", *INTEGERS)},
            "tie_share": _number(part.tie_share),
            "values": {
                name: {key: _number(value) for key, value in vars(measured).items()}
                for name, measured in part.values.items()
            },
            "queries_checksum": part.queries_checksum,
            "first_ranks": [_number(rank) for rank in part.first_ranks.tolist()],
            "map_at_r": [_number(value) for value in part.map_at_r.tolist()],
            "groups": None if part.groups is None else part.groups.tolist(),
        }
        for part in result.directions
    ]
    head = {
        "format": FORMAT,
        "library_version": result.library_version,
        "protocol": result.protocol.columns(),
        "identity": result.identity,
        "corpus_checksum": result.corpus_checksum,
    }
    return head | {"rsum": result.rsum, "directions": parts}


def _protocol(reader: JsonFields) -> Protocol:
    texts = ("benchmark", "split", "captions", "gallery", "judgements", "inference")
    later = [name for name in ("text_gallery",) if reader.has(name)]  # not in older files
    sizes = reader.tuples("sizes", (str, int))
    if len(sizes) != 2:
        raise RetrievalInputError(
            f"{reader.where}: field 'sizes' has {len(sizes)} sides, expected two"
        )
    try:
        return Protocol(
            **{
                name: reader.text(name)
                for name in (*texts, "method", "prompt", "precision", *later)
            },
            sizes=sizes,
            n_folds=reader.integer("n_folds"),
            counts=reader.tuples("counts", (str, int, int)),
            judged_counts=reader.tuples("judged_counts", (str, int, int)),
        )
    except RetrievalInputError as error:
        raise _placed(error, reader) from error


def _check_mean_accuracy(parts: Sequence[DirectionResult], where: str) -> None:
    """Refuse a mean accuracy that is not the mean of the accuracies of the subsets."""
    for part in parts:
        if MEAN_ACCURACY not in part.values:
            continue
        subsets = subsets_of(part, parts)
        mean = np.mean([subset.hits(1).mean() for subset in subsets]) if subsets else math.nan
        value = part[MEAN_ACCURACY].value
        if not np.isclose(value, mean, rtol=SLACK, atol=SLACK):
            raise RetrievalInputError(
                f"{where}: {part.direction}: {MEAN_ACCURACY} is {value}, but its subsets give"
                f" {mean}. The file was changed; evaluate again"
            )


def subsets_of(part: DirectionResult, parts: Sequence[DirectionResult]) -> list[DirectionResult]:
    """Return the parts of the subsets of a part, "image_to_text (swap_obj)", in order."""
    return [other for other in parts if other.direction.startswith(f"{part.direction} (")]


def _placed(error: RetrievalInputError, reader: JsonFields) -> RetrievalInputError:
    """Prefix an error with file and place, where it does not name them."""
    return error if reader.where in str(error) else RetrievalInputError(f"{reader.where}: {error}")


def _direction(reader: JsonFields, n_folds: int) -> DirectionResult:
    values = {}
    for name, numbers in reader.by_name("values"):
        value = numbers.number("value", missing=math.inf)  # a rank beyond the run
        low, high = (numbers.number(end, missing=math.nan) for end in ("low", "high"))
        values[name] = Measurement(value, low, high, numbers.number("chance", missing=math.inf))
    try:
        direction = DirectionResult(
            direction=reader.text("direction"),
            **{name: reader.integer(name) for name in INTEGERS},
            tie_share=reader.number("tie_share"),
            values=values,
            first_ranks=reader.array("first_ranks", missing=math.inf),
            map_at_r=reader.array("map_at_r"),
            queries_checksum=reader.text("queries_checksum"),
            groups=reader.array("groups", dtype=np.int64) if reader.has("groups") else None,
        )
        direction.check(n_folds)
    except RetrievalInputError as error:
        raise _placed(error, reader) from error
    return direction
