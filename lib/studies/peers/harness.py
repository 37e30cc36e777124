"""Measure the cost of jobs alone in new processes, and compare each with its peer.

A job runs alone, in a process with one thread: nothing that another job left can change its cost.
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.paths import ROOT
from lib.core.result_store import ResultStore
from lib.core.writing import sha256_of

ONE_THREAD = {
    f"{library}_NUM_THREADS": "1"
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "NUMEXPR")
} | {"VECLIB_MAXIMUM_THREADS": "1"}
STATUS, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
STORE = ResultStore("costs", "crossmodal bench")
NOT_INSTALLED = 'not installed: pip install -e ".[oracles]"'
RATIOS = ("of_peer_seconds", "of_peer_memory", "difference")
Arrays = dict[str, np.ndarray]
Progress = Callable[[str, int, int], None]  # the next row, rows that are done, all rows
_LOG: ContextVar[Callable[[str], None] | None] = ContextVar("log", default=None)


@dataclass(frozen=True)
class Job:
    """Work in two timed steps, found by its key in the `JOBS` of its module.

    All imports of a library are inside its job: a process that measures one loads no other.

    Args:
        prepare: turns the arrays into the input of the measured code.
        run: does the work; returns numbers by name, to see that jobs agree.
        small: makes the arrays of the warm-up, which pays for imports, caches and compilers.
        reads: names of the arrays it needs; the others are not loaded.
        library: module that must be installed, None for ours.
        note: what a reader must know to compare it.
    """

    prepare: Callable[[Arrays], object]
    run: Callable[[object], dict[str, float]]
    small: Callable[[Arrays], Arrays]
    reads: tuple[str, ...]
    library: str | None = None
    note: str = ""

    @property
    def is_installed(self) -> bool:
        return self.library is None or importlib.util.find_spec(self.library) is not None


@dataclass(frozen=True)
class Cost:
    """Cost of a job.

    Args:
        prepare, run: seconds of processor time of either step, one per repeat.
        memory: bytes at the peak above the level before the first repeat.
        values: numbers that `run` returned.
    """

    prepare: list[float]
    run: list[float]
    memory: int
    values: dict[str, float]

    @property
    def totals(self) -> list[float]:
        """Seconds of both steps together, one per repeat."""
        return [first + second for first, second in zip(self.prepare, self.run, strict=True)]


# ---- tables


class CostTable:
    """Measure the jobs of a module and collect a row for each, with ratios to its peer.

    Seconds include the step `prepare` if `with_prepare`. `progress` receives the next row, how many
    are done, and `n_rows`.
    """

    def __init__(self, module: str, n_rows: int, progress: Progress, *, with_prepare: bool = False):
        self.module, self.n_rows, self.progress = module, n_rows, progress
        self.with_prepare = with_prepare
        self.rows: list[dict] = []
        self.costs: dict[str, Cost | None] = {}  # of the last measurement of each job

    def measure(
        self,
        key: str,
        arrays: Arrays,
        columns: Mapping,
        *,
        peer: str | None = None,
        repeats: int = 3,
        limit_s: float | None = None,
        left_out: str = "",
    ) -> dict:
        """Measure one job on `arrays` and add its row, which begins with `columns`.

        `peer` is the job that the ratios are to; it is measured before. `left_out` is a reason to
        measure nothing. Then numbers are None, and the column `note` says why.
        """
        job = importlib.import_module(self.module).JOBS[key]
        self.progress(key, len(self.rows), self.n_rows)
        cost, note = None, left_out or job.note
        if not job.is_installed:
            note = NOT_INSTALLED
        elif not left_out:
            try:
                cost = measure_alone(self.module, key, arrays, repeats=repeats, limit_s=limit_s)
            except TimeoutError as error:
                note = str(error)
        self.costs[key] = cost
        peer_cost = None if peer is None else self.costs.get(peer)
        row = {**columns, **compare_costs(cost, peer_cost, self.with_prepare)}
        self.rows.append(row | {"threads": 1, "note": note})
        return self.rows[-1]


def compare_costs(cost: Cost | None, peer: Cost | None, with_prepare: bool = False) -> dict:
    """Return the columns of a cost, with ratios to its peer; None where there is no cost.

    seconds is a median, fastest_s and slowest_s its spread. of_peer_memory is None where the memory
    of the peer is too little to measure. difference is the largest relative one of shared values.
    """
    measured = ("prepare_s", "run_s", "seconds", "fastest_s", "slowest_s", "memory_mb")
    if cost is None:
        return dict.fromkeys((*measured, *RATIOS, "repeats"))
    seconds = cost.totals if with_prepare else cost.run
    median = statistics.median(seconds)
    values = (statistics.median(cost.prepare), statistics.median(cost.run), median)
    values += (min(seconds), max(seconds), cost.memory / 1e6)
    row = dict(zip(measured, values, strict=True)) | dict.fromkeys(RATIOS)
    if peer is not None:
        peer_seconds = peer.totals if with_prepare else peer.run
        row["of_peer_seconds"] = median / statistics.median(peer_seconds)
        row["of_peer_memory"] = cost.memory / peer.memory if peer.memory else None
        shared = [
            (cost.values[name], value) for name, value in peer.values.items() if name in cost.values
        ]
        row["difference"] = max(abs(value - other) / (abs(other) or 1) for value, other in shared)
    return row | {"repeats": len(cost.run)}


def format_costs(rows: Sequence[dict], shown: str) -> list[dict]:
    """Format the columns `name:format` of `shown`, empty where nothing was measured."""
    columns = [column.partition(":")[::2] for column in shown.split()]
    return [
        {name: "" if row[name] is None else format(row[name], form) for name, form in columns}
        for row in rows
    ]


def random_unit_rows(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw random vectors of unit length, float32."""
    rows = rng.standard_normal(shape, dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# ---- one job in a new process


def measure_alone(
    module: str,
    key: str,
    arrays: Mapping[str, np.ndarray],
    *,
    repeats: int = 3,
    limit_s: float | None = None,
) -> Cost:
    """Run a job in a new process with one thread.

    The new process loads the arrays, warms up on a small part of them, and then starts to count.
    Seconds are processor time: with one thread it is the time on the clock of an idle machine, and
    it is fair to a library that starts threads all the same. Memory is the peak of the resident set
    above its level at that moment, with what `prepare` makes. Only this measure counts numpy,
    Python's dictionaries and what C, C++ and compiled code allocate; `tracemalloc` misses the last
    and slows down the second. Linux can reset the peak (`/proc/self/clear_refs`); elsewhere memory
    is the growth of the highest level so far, a lower bound.

    Args:
        module: module of the job.
        key: name of the job in the `JOBS` of that module.
        arrays: its inputs; they are written to a temporary folder.
        repeats: timed runs after the warm-up; memory is that of the first.
        limit_s: longest that one run may take by the clock, start and warm-up once more.
    """
    jobs = importlib.import_module(module).JOBS
    job = jobs[check_choice(key, jobs, "job")]
    missing = [name for name in job.reads if name not in arrays]
    if missing:
        raise RetrievalInputError(
            f"job {key!r} reads {missing[0]!r}, the arrays are {', '.join(arrays)}"
        )
    repeats = check_count(repeats, "repeats")
    inputs = {name: arrays[name] for name in job.reads}
    log, is_new = _LOG.get(), []

    def make() -> dict:
        is_new.append(True)
        return asdict(_run_alone(module, key, inputs, repeats, limit_s))

    if log is None:
        return Cost(**make())
    cost = Cost(**STORE.cached_json(_cost_key(module, key, inputs, repeats), make))
    shape = " x ".join(f"{size:,}" for size in inputs[job.reads[0]].shape)
    seconds, megabytes = statistics.median(cost.totals), cost.memory / 1e6
    line = f"{key}, {job.reads[0]} {shape}: {seconds:.3f} s, {megabytes:,.0f} MB"
    log(line if is_new else f"{line}, from the cache")
    return cost


@contextlib.contextmanager
def cached_costs(log: Callable[[str], None]) -> Iterator[None]:
    """Log each cost of `measure_alone` inside at once, and take it from the cache next time.

    A cost is found by the job, its inputs, the repeats, this machine, the versions of all packages
    and the code of this one: nothing is reused after a change. Delete the folder `costs` of the
    cache to measure again.
    """
    token = _LOG.set(log)
    try:
        yield
    finally:
        _LOG.reset(token)


def measure_here(job: Job, arrays: Arrays, repeats: int) -> Cost:
    """Warm up and measure a job in this process; `measure_alone` calls it in a new one."""
    job.run(job.prepare(job.small(arrays)))
    peak = _PeakMemory()
    prepare, run, memory = [], [], 0
    for repeat in range(repeats):
        start = time.process_time()
        prepared = job.prepare(arrays)
        between = time.process_time()
        values = job.run(prepared)
        run.append(time.process_time() - between)
        prepare.append(between - start)
        if repeat == 0:
            memory = peak.above_start()
        del prepared
    return Cost(prepare, run, memory, {name: float(value) for name, value in values.items()})


def highest_resident() -> int:
    """Return the peak of the resident set of this process in bytes, since it was last reset."""
    if STATUS.exists():
        return _status_bytes("VmHWM")
    import resource  # not on Windows; on Linux it would start from the peak of the parent process

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _run_alone(module: str, key: str, inputs: Arrays, repeats: int, limit_s: float | None) -> Cost:
    # For a checkout that is not installed.
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    limit_s = None if limit_s is None else (repeats + 1) * limit_s
    with tempfile.TemporaryDirectory() as folder:
        for name, array in inputs.items():
            np.save(Path(folder, f"{name}.npy"), array)
        try:
            done = subprocess.run(
                [sys.executable, "-m", __name__, module, key, folder, str(repeats)],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": paths},
                capture_output=True,
                text=True,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{key} was stopped after {limit_s:.0f} s") from error
        if done.returncode:
            last_line = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ChildProcessError(f"{key} failed with exit code {done.returncode}: {last_line}")
        return Cost(**json.loads(Path(folder, "cost.json").read_text()))


def _cost_key(module: str, key: str, inputs: Arrays, repeats: int) -> dict:
    digests = {
        name: [str(array.dtype), array.shape, sha256_of(np.ascontiguousarray(array).tobytes())]
        for name, array in inputs.items()
    }
    return {"job": key, "measured": [module, digests, repeats, _surroundings()]}


@cache
def _surroundings() -> list:
    """List what decides a cost besides its inputs: the machine, all packages, this code."""
    processor = Path("/proc/cpuinfo")
    models = re.findall(r"^model name.*", processor.read_text(), re.M) if processor.exists() else []
    packages = sorted(
        {f"{dist.name} {dist.version}" for dist in importlib.metadata.distributions()}
    )
    code = [sha256_of(path) for path in sorted((ROOT / "lib").rglob("*.py"))]
    return [platform.node(), platform.release(), sys.version, models, packages, code]


class _PeakMemory:
    """Peak of the resident memory above its level at the start."""

    def __init__(self) -> None:
        gc.collect()
        # Memory that the warm-up freed and glibc holds would hide as much of the job.
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(0)
        try:
            RESET_PEAK.write_text("5")
            self.start = _status_bytes("VmRSS")
        except OSError:
            self.start = highest_resident()

    def above_start(self) -> int:
        return max(0, highest_resident() - self.start)


def _status_bytes(field: str) -> int:
    return 1024 * int(re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.M).group(1))


def main(module: str, key: str, folder: str, repeats: str) -> None:
    """Measure one job: the program of the new process."""
    warnings.simplefilter("ignore")  # remarks of a peer about its inputs are not for the user
    job = importlib.import_module(module).JOBS[key]
    arrays = {name: np.load(Path(folder, f"{name}.npy")) for name in job.reads}
    cost = measure_here(job, arrays, int(repeats))
    Path(folder, "cost.json").write_text(json.dumps(asdict(cost)))


if __name__ == "__main__":
    main(*sys.argv[1:])
