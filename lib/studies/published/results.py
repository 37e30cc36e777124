"""The outcome of an evaluation: values with intervals, per-query ranks, and what they were measured
under.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.core.writing import atomic_path
from lib.studies.published.direction_result import DirectionResult, Measured
from lib.studies.published.json_fields import Reader
from lib.studies.published.protocol import Protocol

FORMAT = 1
RSUM_KS = (1, 5, 10)
NESTED = ("sizes", "counts", "judged_counts")  # columns of a protocol that a flat table leaves out


def library_version() -> str:
    """The version of this package, `"unknown"` in a checkout that is not installed."""
    try:
        return importlib.metadata.version("crossmodal-retrieval")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """A model on a benchmark under a protocol.

    Args:
        protocol: the columns that decide what it may be compared with.
        identity: what decided the embeddings, `PretrainedEncoder.identity`; `{"model": "given"}`
            and the like for embeddings from elsewhere.
        corpus_checksum: of the corpus, `CaptionedMedia.checksum`.
        directions: one or both directions.
        library_version: of this package.
    """

    protocol: Protocol
    identity: dict[str, str]
    corpus_checksum: str
    directions: tuple[DirectionResult, ...]
    library_version: str = field(default_factory=library_version)

    @property
    def name(self) -> str:
        """Model and tag, as a table shows them."""
        return " ".join(
            part for part in (self.identity.get("model"), self.identity.get("tag")) if part
        )

    @property
    def rsum(self) -> float | None:
        """R@1 + R@5 + R@10 of both directions in percent, at most 600; None where one of six is
        missing.
        """
        names = [f"R@{k}" for k in RSUM_KS]
        if len(self.directions) != 2 or any(
            n not in part.values for part in self.directions for n in names
        ):
            return None
        return 100 * sum(part[name].value for part in self.directions for name in names)

    def direction(self, name: str) -> DirectionResult:
        """The part of one direction."""
        parts = {part.direction: part for part in self.directions}
        return parts[check_choice(name, parts, "direction")]

    def rows(self) -> list[dict]:
        """One tidy row per direction and metric, fractions as fractions, ranks as ranks."""
        return [
            {
                "direction": part.direction,
                "metric": metric,
                **vars(measured),
                "n_queries": part.n_queries,
                "n_gallery": part.n_gallery,
            }
            for part in self.directions
            for metric, measured in part.values.items()
        ]

    def save(self, path: str | Path) -> Path:
        """Writes the result as JSON, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(
                json.dumps(_as_json(self), allow_nan=False) + "\n", encoding="utf-8"
            )
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Result:
        """Reads what `save` wrote.

        Raises:
            MissingFileError: there is no such file.
            RetrievalInputError: not a result, another format, a field that is missing or of another
                kind, a value out of its range, or one that does not follow from the ranks of the
                queries.
        """
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
        reader = Reader(data, str(path))
        if (found := reader.integer("format")) != FORMAT:
            raise RetrievalInputError(
                f"{path} has format {found}, expected {FORMAT}; run the evaluation again"
            )
        protocol = _protocol(reader.inside("protocol"))
        directions = tuple(_direction(part, protocol.n_folds) for part in reader.each("directions"))
        names = [part.direction for part in directions]
        if not names or len(set(names)) < len(names):
            raise RetrievalInputError(
                f"{path}: directions {names} must be one or two different ones"
            )
        return cls(
            protocol=protocol,
            identity=reader.texts("identity"),
            corpus_checksum=reader.text("corpus_checksum"),
            directions=directions,
            library_version=reader.text("library_version"),
        )

    def __repr__(self) -> str:
        r1 = ", ".join(f"{part.direction} R@1 {part['R@1'].value:.1%}" for part in self.directions)
        return f"Result({self.name or 'embeddings'} on {self.protocol.title}: {r1})"


def table(results: Mapping[str, Result] | Sequence[Result]) -> list[dict]:
    """One row per result and direction with its protocol columns, for comparing and for CSV.

    Args:
        results: in the order wanted, or by the name they are to have.

    Returns:
        Rows of model, direction, every metric (fractions; MedR and MeanR in ranks), rsum (percent),
        and the columns of `Protocol`, sizes as `n_queries` and `n_gallery`.
    """
    named = (
        results.items()
        if isinstance(results, Mapping)
        else [(result.name, result) for result in results]
    )
    rows = []
    for name, result in named:
        columns = {k: v for k, v in result.protocol.columns().items() if k not in NESTED}
        for part in result.directions:
            values = {metric: measured.value for metric, measured in part.values.items()}
            sizes = {"n_queries": part.n_queries, "n_gallery": part.n_gallery}
            row = (
                {"model": name, "direction": part.direction}
                | values
                | {"rsum": result.rsum}
                | sizes
            )
            rows.append(row | columns | {"complete": result.protocol.is_complete})
    return rows


# ---- JSON: what is not finite is null


def _number(value: float) -> float | None:
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() else value  # ranks and hits stay short


def _as_json(result: Result) -> dict:
    parts = [
        {
            "direction": part.direction,
            "n_queries": part.n_queries,
            "n_gallery": part.n_gallery,
            "n_without_relevant": part.n_without_relevant,
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


def _protocol(reader: Reader) -> Protocol:
    texts = (
        "benchmark",
        "split",
        "captions",
        "gallery",
        "judgements",
        "inference",
        "method",
        "prompt",
    )
    sizes = reader.tuples("sizes", (str, int))
    if len(sizes) != 2:
        raise RetrievalInputError(
            f"{reader.where}: field 'sizes' has {len(sizes)} sides, expected two"
        )
    try:
        return Protocol(
            **{name: reader.text(name) for name in (*texts, "precision")},
            sizes=sizes,
            n_folds=reader.integer("n_folds"),
            counts=reader.tuples("counts", (str, int, int)),
            judged_counts=reader.tuples("judged_counts", (str, int, int)),
        )
    except RetrievalInputError as error:
        raise _placed(error, reader) from error


def _placed(error: RetrievalInputError, reader: Reader) -> RetrievalInputError:
    """The error with the file and place in front, where it does not say them."""
    return error if reader.where in str(error) else RetrievalInputError(f"{reader.where}: {error}")


def _direction(reader: Reader, n_folds: int) -> DirectionResult:
    values = {}
    for name, of in reader.by_name("values"):
        value = of.number("value", missing=math.inf)  # a rank beyond the run
        low, high = (of.number(end, missing=math.nan) for end in ("low", "high"))
        values[name] = Measured(value, low, high, of.number("chance", missing=math.inf))
    try:
        found = DirectionResult(
            direction=reader.text("direction"),
            n_queries=reader.integer("n_queries"),
            n_gallery=reader.integer("n_gallery"),
            n_without_relevant=reader.integer("n_without_relevant"),
            tie_share=reader.number("tie_share"),
            values=values,
            first_ranks=reader.array("first_ranks", missing=math.inf),
            map_at_r=reader.array("map_at_r"),
            queries_checksum=reader.text("queries_checksum"),
            groups=reader.array("groups", dtype=np.int64) if reader.has("groups") else None,
        )
        found.check(n_folds)
    except RetrievalInputError as error:
        raise _placed(error, reader) from error
    return found
