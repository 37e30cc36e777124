"""Choose an index: the least work that reaches a recall with every kind of query."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_choice,
    check_count,
    check_k,
    check_number,
)
from lib.core.workers import HERE, Workers
from lib.index import METRICS, VectorSearchIndex
from lib.index.tuning.configs import PQ_NEEDS, Config, formula_bytes
from lib.index.tuning.ladders import Ladder, Setting, ladders_for
from lib.index.tuning.rows import RowsAt, VectorRows, hold_out
from lib.index.tuning.trials import Estimate, MeasuredSetting, Questions, build, measure

LEAST_ROWS = 1_000
LEAST_QUERIES = 40  # of a kind: half of them choose, half of them report
LITTLE = 0.005  # recall; a step that brings less is followed by another kind of step
QUICK_FIRST = 100_000  # vectors; for more, families that are slow to build come last
STALLS = 3  # such steps, one after the other, end the settings of an index
STEPS = 3  # between the last setting that misses and the first that reaches
EXACT = Config("Flat", "Flat")
Log = Callable[[str], None]


@dataclass(frozen=True)
class Tuning:
    """A chosen index, and how it was chosen.

    Args:
        index: with all rows, the held-out ones as well, and its setting.
        chosen: the trial that was chosen; its recall is of the queries that chose it.
        reported: recall by kind of query, of queries that chose nothing.
        target: the recall that was asked for.
        reached: whether the choice reached it; where none did, the one with most recall is taken.
        trials: everything that was measured.
        left_out: what was not built, and why.
        k: hits that recall counts.
    """

    index: VectorSearchIndex
    chosen: MeasuredSetting
    reported: Mapping[str, Estimate]
    target: float
    reached: bool
    k: int
    trials: Sequence[MeasuredSetting] = field(repr=False, default=())
    left_out: Sequence[str] = ()

    def describe(self) -> str:
        """Describe the choice in one line."""
        recall = ", ".join(f"{kind} {estimate}" for kind, estimate in self.reported.items())
        counts = ", ".join(f"{estimate.n:,} {kind}" for kind, estimate in self.reported.items())
        line = (
            f"{self.chosen.name}: recall@{self.k} {recall} on {counts} queries that chose nothing;"
            f" {self.chosen.cost / 1e6:.3g} MB read a query, {self.chosen.bytes / 1e6:,.0f} MB of"
            " memory"
        )
        missed = f". No choice reached {self.target:g}: this one has most recall"
        return line if self.reached else line + missed

    def facts(self) -> dict:
        """Return plain data about the choice, to be stored beside the index."""
        return {
            "target": self.target,
            "k": self.k,
            "reached": self.reached,
            "config": {"name": self.chosen.config.name, "build": dict(self.chosen.config.build)},
            "n_train": self.chosen.config.n_train,
            "recall": {kind: list(estimate) for kind, estimate in self.reported.items()},
            "bytes": self.chosen.bytes,
            "bytes_read": self.chosen.cost,
        }


def tune(
    rows: VectorRows,
    queries: Mapping[str, np.ndarray] | None = None,
    *,
    held_out: str | None = "image",
    recall: float = 0.95,
    ram: int | None = None,
    k: int = 10,
    metric: str = "cosine",
    families: Sequence[str] | None = None,
    ids: np.ndarray | None = None,
    seed: int = 0,
    workers: Workers = HERE,
    log: Log = lambda line: None,
) -> Tuning:
    """Choose family and settings of an index, and build it.

    Some rows are held out at random and become queries. One half of the queries of each kind
    chooses: settings grow until the 95% interval of every kind lies at or above `recall`, until a
    query reads as much as with the best so far or with exact search, or until three steps have
    brought next to nothing. The other half reports the recall of the choice. Memory by formula
    decides what is built at all, and the bytes that a query reads decide among what reaches the
    recall; less memory decides between equals. Exact search needs no trial and is chosen where
    nothing costs less.

    Beyond 100,000 vectors inverted files are tried before graphs, whose building takes many times
    as long; where they reach the recall, no graph is built unless `families` names it.

    Args:
        rows: what is searched.
        queries: other queries by kind, `(n_queries, d)`, for example `{"text": ...}`.
        held_out: name of the kind of query that held-out rows are; None to hold out none.
        recall: target, above 0 and at most 1, as a share of the k true neighbours, see
            `hits_by_score`.
        ram: bytes that the index may take; no limit when None. While it tunes, two indexes stand
            in memory.
        k: hits that recall counts.
        metric: of the index.
        families: "Flat", "HNSW", "IVF" and "IVF-PQ" when None; or "HNSW shards", whose graphs
            workers can build.
        ids: `(n,)` of the rows in the index; positions when None.
        seed: of the hold-out and of the halves.
        workers: of a cluster, which share the building of each index; the choice is the same.
        log: receives a line for each measurement.
    """
    n, d = len(rows), rows.dim
    if n < LEAST_ROWS:
        raise RetrievalInputError(
            f"there must be at least {LEAST_ROWS:,} vectors to tune an index, got {n:,}; search"
            " them exactly"
        )
    check_number(recall, "recall", 0, 1, above=True)
    ram = None if ram is None else check_count(ram, "ram")
    check_choice(metric, METRICS, "metric")
    ids = np.arange(n) if ids is None else np.asarray(ids, np.int64)
    if ids.shape != (n,):
        raise RetrievalInputError(f"ids must be one for each of {n:,} rows, got shape {ids.shape}")
    held, kept = (np.empty(0, np.int64), np.arange(n)) if held_out is None else hold_out(n, seed)
    base, asked = RowsAt(rows, kept), {}
    if held_out is not None:
        asked[held_out] = rows.vectors(held)
    for kind, vectors in (queries or {}).items():
        asked[kind] = as_embeddings(vectors, f"queries[{kind!r}]", dim=d)
    _check_queries(asked)
    left_out: list[str] = []
    ladders = ladders_for(len(base), d, check_k(k, len(base)), families)
    exact = families is None or "Flat" in families
    if exact and not _fits(EXACT, n, d, ram, left_out):
        exact = False
    if not exact and not ladders and not left_out:
        raise RetrievalInputError(
            f"families must hold one that {n:,} vectors can have, got {', '.join(families)}: IVF-PQ"
            f" needs {PQ_NEEDS:,} vectors. Allow another family"
        )
    ladders = _that_fit(ladders, n, d, ram, left_out)
    if not exact and not ladders:
        raise RetrievalInputError(
            f"ram = {ram:,} bytes hold no index of {n:,} vectors of dimension {d}:"
            f" {'; '.join(left_out)}. Allow more, or other families"
        )
    log(f"exact neighbours of {sum(map(len, asked.values())):,} queries")
    questions = Questions(asked, base, ids[kept], k, metric, seed)
    whole = 4.0 * len(base) * d  # bytes that exact search reads, among the same rows
    search = _Search(questions, recall, whole, workers, log)
    quick_first = families is None and len(base) > QUICK_FIRST
    for ladder in sorted(ladders, key=lambda ladder: quick_first and ladder.slow):
        if quick_first and ladder.slow and search.reached:
            left_out.append(_not_needed(ladder.builds[0], search.best, recall))
            log(left_out[-1])
        else:
            search.climb(ladder, n)
    best, index, reached = search.best, search.index, search.reached
    if exact and (not reached or best.cost >= whole):
        sure = {kind: Estimate(1.0, 1.0, 1.0, len(a.least)) for kind, a in questions.report.items()}
        work = {kind: {"distances": float(len(base))} for kind in asked}
        best = MeasuredSetting(
            EXACT, {}, formula_bytes(EXACT, n, d), sure, work, whole, float("nan")
        )
        index, reported, reached = build(EXACT, rows, metric, ids, workers).index, sure, True
    else:
        trial = measure(index, best.config, best.setting, best.bytes, questions, questions.report)
        reported = trial.recall
        if len(held):
            index.add(rows.vectors(held), ids=ids[held])
            index.finish()
    return Tuning(index, best, reported, recall, reached, k, tuple(search.trials), tuple(left_out))


class _Search:
    """State of a search for settings: all trials, and the best one with its index."""

    def __init__(
        self, questions: Questions, target: float, limit: float, workers: Workers, log: Log
    ) -> None:
        self.questions, self.target, self.limit = questions, target, limit
        self.workers, self.log = workers, log
        self.trials: list[MeasuredSetting] = []
        self.best: MeasuredSetting | None = None
        self.index: VectorSearchIndex | None = None

    @property
    def reached(self) -> bool:
        return self.best is not None and self.best.reaches(self.target)

    def climb(self, ladder: Ladder, n: int) -> None:
        """Build one index after another while that helps, each with growing settings."""
        least_cost = float("inf")
        for config in ladder.builds:
            asked = self.questions
            if 4.0 * asked.rows.dim * config.build.get("nlist", 0) >= self._limit:
                self.log(f"{config.name}: not built, comparing its centroids costs more")
                return
            built = build(config, asked.rows, asked.metric, asked.ids, self.workers)
            self.log(f"{config.name}: built in {built.train_s + built.add_s:.0f} s")
            size = formula_bytes(config, n, built.index.dimension)
            trials = self._settings(built.index, config, size, ladder.grow)
            for trial in trials:
                if self.best is None or self._rank(trial) < self._rank(self.best):
                    self.best, self.index = trial, built.index
            cost = min((t.cost for t in trials if t.reaches(self.target)), default=None)
            stopped = self.reached and cost is None and trials[-1].cost >= self._limit
            if ladder.until_reached and (cost is not None or stopped):
                return
            if cost is not None and cost >= least_cost:
                return
            least_cost = least_cost if cost is None else cost

    @property
    def _limit(self) -> float:
        """The work from which a setting cannot be chosen: that of the best, or of exact search."""
        return min(self.limit, self.best.cost) if self.reached else self.limit

    def _rank(self, trial: MeasuredSetting) -> tuple:
        """Order trials: first those that reach the target, by work and memory; then by recall."""
        if trial.reaches(self.target):
            return (0, trial.cost, trial.bytes)
        return (1, -trial.least, trial.cost)

    def _settings(
        self, index: VectorSearchIndex, config: Config, size: int, grow: Callable
    ) -> list[MeasuredSetting]:
        trials: list[MeasuredSetting] = []
        setting: Setting | None = config.search[0]
        n_stalled = 0
        while setting is not None and n_stalled < STALLS:
            trial = self._measured(index, config, setting, size)
            stalled = bool(trials) and trial.least - trials[-1].least < LITTLE
            n_stalled = n_stalled + 1 if stalled else 0
            trials.append(trial)
            if trial.reaches(self.target):
                return trials + self._between(index, config, size, trials)
            if trial.cost >= self._limit:
                break
            setting = grow(config, setting, stalled)
        return trials

    def _between(
        self, index: VectorSearchIndex, config: Config, size: int, trials: list[MeasuredSetting]
    ) -> list[MeasuredSetting]:
        """Try settings between the last one that missed and the first one that reached."""
        if len(trials) < 2:
            return []
        low, high = dict(trials[-2].setting), dict(trials[-1].setting)
        name = next(name for name in high if low[name] != high[name])
        more = []
        for _ in range(STEPS):
            middle = (low[name] + high[name]) // 2
            if middle in (low[name], high[name]):
                break
            setting = {**high, name: middle}
            more.append(self._measured(index, config, setting, size))
            if more[-1].reaches(self.target):
                high = setting
            else:
                low = setting
        return more

    def _measured(
        self, index: VectorSearchIndex, config: Config, setting: Setting, size: int
    ) -> MeasuredSetting:
        trial = measure(index, config, setting, size, self.questions, self.questions.choose)
        self.trials.append(trial)
        self.log(trial.describe())
        return trial


def _not_needed(config: Config, best: MeasuredSetting, recall: float) -> str:
    return (
        f"{config.name}: not built, as {best.name} reaches {recall:g} and a graph of so many"
        " vectors takes long to build. It may read less: ask for the families"
        f" {best.config.index_type} and {config.index_type} to try both"
    )


def _check_queries(asked: Mapping[str, np.ndarray]) -> None:
    if not asked:
        raise RetrievalInputError("there must be queries: give some, or hold out rows")
    for kind, vectors in asked.items():
        if len(vectors) < LEAST_QUERIES:
            raise RetrievalInputError(
                f"there must be at least {LEAST_QUERIES} queries of the kind {kind!r}, got"
                f" {len(vectors)}; give more of them, or leave this kind out"
            )


def _fits(config: Config, n: int, d: int, ram: int | None, left_out: list[str]) -> bool:
    size = formula_bytes(config, n, d)
    if ram is None or size <= ram:
        return True
    left_out.append(f"{config.name} needs {size:,} bytes")
    return False


def _that_fit(
    ladders: Sequence[Ladder], n: int, d: int, ram: int | None, left_out: list[str]
) -> list[Ladder]:
    """Keep what fits; codes alone are tried only where nothing with whole vectors fits."""
    fitting: list[Ladder] = []
    for ladder in sorted(ladders, key=lambda ladder: ladder.codes_alone):
        if not (ladder.codes_alone and fitting):
            builds = [config for config in ladder.builds if _fits(config, n, d, ram, left_out)]
            fitting += [replace(ladder, builds=builds)] if builds else []
    return fitting
