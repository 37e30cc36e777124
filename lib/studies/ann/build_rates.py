"""Rates of one core for building an index, from the committed run: a thread, a million vectors."""

import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.index.capacity.building import BuildRates
from lib.index.capacity.index_choices import training_flop
from lib.studies.ann.corpora import STORE

CORPUS, LARGEST, CODED = "scenes", 1_000_000, 100_000
LISTS, GRAPH = "IVF2048", "HNSW16"


def measured_rates() -> BuildRates:
    """Return the rates of the committed run; `crossmodal bench ann` measures them again.

    prepare_s is the adding to exact search, flop_s the k-means of 2,048 cells, graph_s the
    insertions into a graph, and code_s what codes of 32 bytes add to an inverted file.
    """
    timings, quality = (STORE.table(f"{name}.csv") for name in ("timings", "quality"))
    (dim,) = quality.loc[quality["corpus"] == CORPUS, "dim"].unique()
    seconds = _Seconds(timings)
    numbers = LARGEST * int(dim)
    nlist = int(LISTS.removeprefix("IVF"))
    n_train = int(seconds.count("train", LARGEST, LISTS))
    flop = training_flop(nlist, int(dim), n_train)
    coded, uncoded = (seconds.of("add", CODED, config) for config in ("IVF1024,PQ32", "IVF1024"))
    return BuildRates(
        prepare_s=seconds.of("add", LARGEST, "Flat") / numbers,
        flop_s=flop / seconds.of("train", LARGEST, LISTS),
        graph_s=seconds.of("add", LARGEST, GRAPH) / numbers,
        code_s=(coded - uncoded) / (CODED * int(dim)),
        graph_rows=LARGEST,
    )


def rate_notes(rates: BuildRates) -> list[str]:
    """List the measured rates and what they leave out, a sentence each."""
    dim = 256
    return [
        (
            f"Building: rates of one core of {STORE.json('environment.json')['machine']}, measured"
            f" with {rates.graph_rows:,} vectors of {dim} numbers: k-means"
            f" {rates.flop_s / 1e9:.0f} GFLOP/s, insertions into a graph"
            f" {1 / (dim * rates.graph_s):,.0f}/s, codes {1 / (dim * rates.code_s):,.0f}/s,"
            f" checks and copies {1 / (dim * rates.prepare_s):,.0f}/s. Time grows with the length"
            " of the vectors; all cores of a machine are as fast as one alone."
        ),
        (
            "  Training: one machine, for all. Adding: shared by all machines, without reading,"
            f" writing and network. Graphs have {rates.graph_rows:,} vectors each. Not measured:"
            " the build of a graph on SSD."
        ),
    ]


class _Seconds:
    """Seconds of the stages of a build, by size and config."""

    def __init__(self, timings: pd.DataFrame) -> None:
        self._rows = timings[timings["corpus"] == CORPUS].set_index(["stage", "n", "config"])

    def of(self, stage: str, n: int, config: str) -> float:
        return float(self._row(stage, n, config)["seconds"])

    def count(self, stage: str, n: int, config: str) -> int:
        return int(self._row(stage, n, config)["count"])

    def _row(self, stage: str, n: int, config: str) -> pd.Series:
        if (stage, n, config) not in self._rows.index:
            raise RetrievalInputError(
                f"the committed run has no {stage} of {config} over {n:,} vectors; run `crossmodal"
                " bench ann`"
            )
        return self._rows.loc[[(stage, n, config)]].iloc[0]
