"""What one job costs, alone in a new process with one thread: seconds and memory, measured alike
for all.
"""

import contextlib
import ctypes
import gc
import importlib
import importlib.metadata
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
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.paths import cache_dir
from lib.core.writing import atomic_path, optional_write, sha256_of

ONE_THREAD = {
    f"{library}_NUM_THREADS": "1"
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON", "NUMEXPR")
} | {"VECLIB_MAXIMUM_THREADS": "1"}
STATUS, RESET_PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")
Arrays = dict[str, np.ndarray]
_LOG: ContextVar[Callable[[str], None] | None] = ContextVar("log", default=None)  # see `keeping`


@dataclass(frozen=True)
class Job:
    """Work in two timed steps, found by its key in the `JOBS` of its module.

    Args:
        prepare: turns the arrays into what the measured code takes as input.
        run: does the work; returns numbers by name, by which jobs can be seen to agree.
        small: cuts the arrays down for the warm-up, which pays for imports, caches and compilers.
        reads: names of the arrays it needs; the others are not loaded.
    """

    prepare: Callable[[Arrays], object]
    run: Callable[[object], dict[str, float]]
    small: Callable[[Arrays], Arrays]
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Cost:
    """What a job took.

    Args:
        prepare, run: seconds of processor time of either step, one per repeat.
        memory: bytes at the peak above what the process held before the first repeat, inputs
            included.
        values: what `run` returned.
    """

    prepare: list[float]
    run: list[float]
    memory: int
    values: dict[str, float]

    @property
    def totals(self) -> list[float]:
        """Seconds of both steps together, one per repeat."""
        return [first + second for first, second in zip(self.prepare, self.run, strict=True)]

    def row(self) -> dict[str, float]:
        """The columns of a table: medians, the spread of the total, and the peak in MB (10^6
        bytes).
        """
        return {
            "prepare_s": statistics.median(self.prepare),
            "run_s": statistics.median(self.run),
            "total_s": statistics.median(self.totals),
            "fastest_s": min(self.totals),
            "slowest_s": max(self.totals),
            "memory_mb": self.memory / 1e6,
        }


def measure_alone(
    module: str,
    key: str,
    arrays: Mapping[str, np.ndarray],
    *,
    repeats: int = 3,
    limit_s: float | None = None,
) -> Cost:
    """Runs a job in a new process with one thread, so that nothing it meets was left by another.

    The new process loads the arrays, warms up on a small part of them, and only then starts to
    count. Seconds are processor time: with one thread, what the clock would show if the machine did
    nothing else, and the same for a library that starts threads all the same. Memory
    is the peak of the resident set above its level at that moment, because that is the one measure
    that sees numpy, Python's dictionaries and what C, C++ and compiled code allocate alike;
    `tracemalloc` would miss the last and slow the second several times. Linux can reset the peak
    (`/proc/self/clear_refs`); elsewhere it is the growth of the highest level so far, a lower
    bound.

    Args:
        module: where the job is, for example "lib.studies.peers.metrics_systems".
        key: its name in the `JOBS` of that module.
        arrays: the inputs; written to a temporary folder and read by the new process.
        repeats: timed runs after the warm-up; memory is that of the first.
        limit_s: longest that one run may take by the clock, start and warm-up once more; none by
            default.

    Returns:
        A `Cost`.

    Raises:
        RetrievalInputError: no such job, an array it reads is not there, or `repeats` below 1.
        ChildProcessError: the new process failed; with the last line that it printed.
        TimeoutError: it took longer than the limit and was stopped.
    """
    jobs = importlib.import_module(module).JOBS
    job = jobs[check_choice(key, jobs, "job")]
    missing = [name for name in job.reads if name not in arrays]
    if missing:
        raise RetrievalInputError(
            f"job {key!r} reads {missing[0]!r}, the arrays are {', '.join(arrays)}"
        )
    repeats = check_count(repeats, "repeats")
    log = _LOG.get()
    kept = (
        None
        if log is None
        else _kept(module, key, {name: arrays[name] for name in job.reads}, repeats)
    )
    if kept is not None and kept.is_file():
        with contextlib.suppress(
            ValueError, TypeError
        ):  # half a file, or another format: measured again
            cost = Cost(**json.loads(kept.read_text()))
            log(f"{_line(key, job, arrays, cost)}, from the cache")
            return cost
    with tempfile.TemporaryDirectory() as folder:
        for name in job.reads:
            np.save(Path(folder, f"{name}.npy"), arrays[name])
        root = str(
            Path(__file__).resolve().parents[3]
        )  # so that it also works in a checkout not installed
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        limit_s = None if limit_s is None else (repeats + 1) * limit_s
        try:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "lib.studies.peers.isolated_process",
                    module,
                    key,
                    folder,
                    str(repeats),
                ],
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": paths},
                capture_output=True,
                text=True,
                timeout=limit_s,
            )
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{key} was stopped after {limit_s:.0f} s") from error
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ChildProcessError(f"{key} failed with exit code {done.returncode}: {last}")
        cost = Cost(**json.loads(Path(folder, "cost.json").read_text()))
    if kept is not None:
        with optional_write(), atomic_path(kept) as temporary:
            temporary.write_text(json.dumps(vars(cost)))
        log(_line(key, job, arrays, cost))
    return cost


@contextlib.contextmanager
def keeping(log: Callable[[str], None]) -> Iterator[None]:
    """Inside, `measure_alone` tells what it measured at once, keeps it, and takes it from there
    next time.

    What is kept is found by the job, its inputs, the repeats, this machine, the versions of all
    packages and the code of this one, so that nothing is reused after a change. It lies in the
    cache, under `costs`; delete that folder to measure again.
    """
    token = _LOG.set(log)
    try:
        yield
    finally:
        _LOG.reset(token)


def _kept(module: str, key: str, arrays: Arrays, repeats: int) -> Path:
    inputs = {
        name: [str(a.dtype), a.shape, sha256_of(np.ascontiguousarray(a).tobytes())]
        for name, a in arrays.items()
    }
    identity = json.dumps([module, key, inputs, repeats, _here()], sort_keys=True)
    name = re.sub(r"\W+", "_", key).strip("_")
    return cache_dir() / "costs" / f"{name}-{sha256_of(identity.encode())[:16]}.json"


@cache
def _here() -> list:
    """What decides a cost besides its inputs: the machine, the versions of all packages, this
    code.
    """
    processor = Path("/proc/cpuinfo")
    models = re.findall(r"^model name.*", processor.read_text(), re.M) if processor.exists() else []
    versions = {f"{one.name} {one.version}" for one in importlib.metadata.distributions()}
    root = Path(__file__).resolve().parents[2]
    code = [sha256_of(path) for path in sorted(root.rglob("*.py"))]
    return [platform.node(), platform.release(), sys.version, models, sorted(versions), code]


def _line(key: str, job: Job, arrays: Mapping[str, np.ndarray], cost: Cost) -> str:
    shape = " x ".join(f"{size:,}" for size in arrays[job.reads[0]].shape)
    return (
        f"{key}, {job.reads[0]} {shape}: {statistics.median(cost.totals):.3f} s,"
        f" {cost.memory / 1e6:,.0f} MB"
    )


def count_cost(job: Job, arrays: Arrays, repeats: int) -> Cost:
    """Warms up and measures a job in this process; `measure_alone` calls it in one of its own."""
    job.run(job.prepare(job.small(arrays)))
    peak = _Peak()
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


class _Peak:
    """The highest resident memory since it was made, in bytes above the level at that time."""

    def __init__(self) -> None:
        gc.collect()
        with contextlib.suppress(AttributeError, OSError):
            ctypes.CDLL(None).malloc_trim(
                0
            )  # what the warm-up freed and glibc kept would hide as much
        try:
            RESET_PEAK.write_text("5")
            self.start = _status("VmRSS")
        except OSError:
            self.start = highest_resident()

    def above_start(self) -> int:
        return max(0, highest_resident() - self.start)


def highest_resident() -> int:
    """Bytes of the resident set of this process at its highest, since the peak was last reset."""
    if STATUS.exists():
        return _status("VmHWM")
    import resource  # not on Windows

    # Not on Linux: there it starts from the peak of the parent process.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def _status(field: str) -> int:
    return 1024 * int(re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(), re.M).group(1))


def main(module: str, key: str, folder: str, repeats: str) -> None:
    """The new process."""
    warnings.simplefilter(
        "ignore"
    )  # a peer's remarks about its inputs are not the parent's business
    job = importlib.import_module(module).JOBS[key]
    arrays = {name: np.load(Path(folder, f"{name}.npy")) for name in job.reads}
    cost = count_cost(job, arrays, int(repeats))
    Path(folder, "cost.json").write_text(json.dumps(vars(cost)))


if __name__ == "__main__":
    main(*sys.argv[1:])
