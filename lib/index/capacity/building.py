"""Plan the building of an index of billions of vectors: hours of machines, from measured rates."""

from dataclasses import dataclass

from lib.core.checks import check_count, check_number
from lib.index.capacity.index_choices import FLAT_COARSE, IndexChoice
from lib.index.capacity.machines import Machine

HOUR = 3600.0


@dataclass(frozen=True)
class BuildRates:
    """Speed of one core, as measured; seconds are for one number of one vector.

    Args:
        prepare_s: to check, normalise and copy it.
        flop_s: operations a second of k-means and of comparisons with all centroids.
        graph_s: to insert it into a graph.
        code_s: to make the product code of its vector, 256 centroids in each sub-space.
        graph_rows: vectors of the graph that `graph_s` was measured with.
    """

    prepare_s: float
    flop_s: float
    graph_s: float
    code_s: float
    graph_rows: int

    def __post_init__(self):
        for name, value in vars(self).items():
            check_number(value, name, 1e-18, 1e18)


@dataclass(frozen=True)
class BuildPlan:
    """Hours that an index option takes to build.

    Args:
        option: the index.
        train_hours: of one machine, which trains for all.
        add_hours: of machines, which share the adding; None where no rate was measured.
    """

    option: IndexChoice
    train_hours: float
    add_hours: float | None

    @property
    def machine_hours(self) -> float | None:
        """Hours that are paid for; None where it is not known."""
        return None if self.add_hours is None else self.train_hours + self.add_hours

    def hours_on(self, machines: int) -> float | None:
        """Hours by the clock: training on one machine, then adding on all."""
        if self.add_hours is None:
            return None
        return self.train_hours + self.add_hours / check_count(machines, "machines")


def plan_building(
    option: IndexChoice, n: int, d: int, rates: BuildRates, machine: Machine | None = None
) -> BuildPlan:
    """Compute the hours that an index option takes to build.

        train = training_flop / (flop_s cores)
        add   = n (d prepare_s + assign + code) / cores,   in graphs  n d graph_s / cores
        assign = 2 d nlist / flop_s, beyond 2^16 cells at most d graph_s: a walk of their graph
        code   = d code_s for product codes

    Reading, writing, the network and the k-means of codebooks are not counted. Graphs are of
    `rates.graph_rows` vectors each; larger ones take longer a vector. A graph on SSD is not
    planned: no rate of its build was measured here.

    Args:
        option: of `index_choices`.
        n, d: vectors and their length.
        rates: measured.
        machine: resources of one machine; its cores work side by side.
    """
    n, d, cores = check_count(n, "n"), check_count(d, "d"), (machine or Machine()).cores
    train_s = option.training_flop / rates.flop_s
    if option.kind == "graph on SSD":
        return BuildPlan(option, train_s / cores / HOUR, None)
    if option.kind == "graph in memory":
        vector_s = d * rates.graph_s
    else:
        code = d * rates.code_s if option.codes_read else 0.0
        vector_s = d * rates.prepare_s + _assign_s(option.nlist, d, rates) + code
    return BuildPlan(option, train_s / cores / HOUR, n * vector_s / cores / HOUR)


def encode_hours(n: int, rate: float) -> float:
    """Compute the hours in which a machine encodes n pictures at `rate` a second."""
    return check_count(n, "n") / check_number(rate, "rate", 1e-18, 1e18) / HOUR


def _assign_s(nlist: int, d: int, rates: BuildRates) -> float:
    """Seconds of one core to find the cell of a vector; 0 without cells."""
    if nlist >= FLAT_COARSE:
        return d * rates.graph_s
    return 2.0 * d * nlist / rates.flop_s
