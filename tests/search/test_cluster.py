"""Clusters: one process and many give the same; workers that die, hide files, or are not there.

Tests without `slow` use `Elsewhere`, which sends everything through pickle as Dask does.
"""

import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.workers import HERE, Finished
from lib.index.tuning import ArrayRows, Config, filling
from lib.index.tuning.trials import build
from lib.search import cluster as module
from lib.search.cluster import Cluster, connect_cluster, local_cluster
from lib.search.collection import Collection, build_collection
from tests.index.clusters import clustered
from tests.index.oracle import assert_same
from tests.index.test_merging import content
from tests.search.collection.conftest import COLOURS, MODEL, ColourEncoder, paint

ROOT = Path(__file__).resolve().parents[2]
slow = pytest.mark.slow
TRIM = "MALLOC_TRIM_THRESHOLD_"  # with Dask's own value encoding takes twice the time


class Elsewhere:
    """Three calls are under way at a time; arguments and results are copies."""

    n_workers, address = 2, "tcp://elsewhere:0"

    def __init__(self, change=lambda one: one):
        self.change = change

    def map(self, function, inputs, *shared):
        pending = deque()
        for one in inputs:
            arguments = pickle.loads(pickle.dumps((self.change(one), *shared)))
            result = pickle.loads(pickle.dumps(function(*arguments)))
            pending.append(Finished(one, result, "tcp://elsewhere:1"))
            if len(pending) == 3:
                yield pending.popleft()
        yield from pending


@pytest.fixture
def pictures(tmp_path):
    """Forty pictures; every seventh is a copy of the one before, one is broken, and its copy."""
    folder = tmp_path / "pictures"
    for i in range(40):
        paint(folder / f"{i:02d}.png", list(COLOURS)[i % 3], shade=i)
        if i % 7 == 6:
            (folder / f"{i:02d}.png").write_bytes((folder / f"{i - 1:02d}.png").read_bytes())
    for name in ("20.png", "35.png"):
        (folder / name).write_bytes(b"no picture")
    return folder


def built(pictures, out, workers, **options):
    options = {"step": 4, "batch_size": 3} | options
    report = build_collection([pictures], out, ColourEncoder(), MODEL, cluster=workers, **options)
    return report, Collection(out, verify=True)


def assert_equal(one, other):
    assert one.ids.tolist() == other.ids.tolist()
    assert one.table.equals(other.table)
    positions = np.arange(len(one))
    assert np.array_equal(one.vectors(positions), other.vectors(positions))
    assert [one.thumbnail(i) for i in one.ids.tolist()] == [
        other.thumbnail(i) for i in other.ids.tolist()
    ]


def test_work_elsewhere_gives_the_same_collection(pictures, tmp_path):
    report, here = built(pictures, tmp_path / "here", HERE)
    assert (report.encoded, report.copied, len(report.failures)) == (34, 4, 2)
    other_report, there = built(pictures, tmp_path / "there", Elsewhere())
    assert other_report == report
    assert_equal(here, there)
    paint(pictures / "new.png", "red", size=(9, 9))
    (pictures / "00.png").unlink()
    again = built(pictures, tmp_path / "there", Elsewhere())[0]
    assert (again.encoded, again.unchanged, again.removed) == (1, 37, 1)


def test_pictures_are_encoded_in_batches_of_the_same_pictures(pictures, tmp_path, monkeypatch):
    batches = {}
    for workers in (HERE, Elsewhere()):
        seen = batches[workers.n_workers] = []
        encode = ColourEncoder.encode_image

        def listed(self, chunk, seen=seen, encode=encode):
            seen.append([picture.tobytes() for picture in chunk])
            return encode(self, chunk)

        with monkeypatch.context() as patch:
            patch.setattr(ColourEncoder, "encode_image", listed)
            built(pictures, tmp_path / f"c{workers.n_workers}", workers)
    assert batches[1] == batches[2] and max(map(len, batches[1])) == 3


def test_a_worker_that_does_not_see_the_files_is_an_error(pictures, tmp_path):
    def hide(one):
        return [replace(item, folder=tmp_path / "nowhere") for item in one]

    problem = r"tcp://elsewhere:1 cannot read .*pictures/00.png, which this process can: .*No such"
    with pytest.raises(RetrievalInputError, match=problem):
        built(pictures, tmp_path / "c", Elsewhere(hide))
    assert len(Collection(tmp_path / "c")) == 0


def test_a_worker_with_another_model_is_an_error(pictures, tmp_path, monkeypatch):
    class Renamed(ColourEncoder):
        def __reduce__(self):
            return ColourEncoder, ("2",)

    with pytest.raises(RetrievalInputError, match="must have the version '1', got '2'"):
        build_collection([pictures], tmp_path / "c", Renamed(), MODEL, cluster=Elsewhere())


def test_without_dask_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RetrievalInputError, match=r"pip install 'crossmodal-retrieval\[cluster\]'"):
        local_cluster(2)


@pytest.mark.parametrize("workers", [0, -1, 2.5, "two"])
def test_numbers_of_workers_that_cannot_be(workers):
    with pytest.raises(RetrievalInputError, match="workers must be"):
        local_cluster(workers)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nowhere", "xyz://a:1"])
def test_schedulers_that_do_not_answer(address, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_S", 1)
    with pytest.raises(RetrievalInputError, match=f"no Dask scheduler answers at '{address}'"):
        connect_cluster(address)


# ---- with a worker that is a thread of this process


@pytest.fixture(scope="module")
def thread():
    """A scheduler and a worker in this process: what is asked goes through all of Dask."""
    distributed = pytest.importorskip("distributed")
    with distributed.Client(
        processes=False, n_workers=1, threads_per_worker=1, set_as_default=False,
        dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False},
    ) as client:  # fmt: skip
        yield Cluster(client, ExitStack())


def doze(seconds):
    time.sleep(seconds)
    return seconds


def time_out(message):
    time.sleep(0.002)
    raise TimeoutError(message)


def test_results_that_come_between_two_looks_at_the_workers(thread, monkeypatch):
    """However the ends of the waits and of the calls fall, each result arrives."""
    monkeypatch.setattr(module, "ASK_S", 0.001)
    naps = [0.0002 * (i % 11) for i in range(150)]
    assert [one.result for one in thread.map(doze, naps)] == naps


@pytest.mark.parametrize("ask_s", [0, 0.001, 5])
def test_a_timeout_of_the_function_is_raised_as_it_is(ask_s, thread, monkeypatch):
    monkeypatch.setattr(module, "ASK_S", ask_s)
    for i in range(10):
        with pytest.raises(TimeoutError, match=f"^disk {i} did not answer$"):
            list(thread.map(time_out, [f"disk {i} did not answer"]))


GO_ON = threading.Event()


def test_a_scheduler_without_workers_is_an_error(thread, monkeypatch):
    monkeypatch.setattr(module, "ASK_S", 0.01)
    monkeypatch.setattr(module, "ALONE_S", 0.03)
    monkeypatch.setattr(thread._client, "nthreads", dict)
    future = thread._client.submit(stay, pure=False)
    try:
        with pytest.raises(RetrievalInputError, match="has had no workers for 0.03 s. Start some"):
            thread._result(future)
    finally:
        GO_ON.set()


def stay():
    return GO_ON.wait(60)


# ---- with real worker processes


def listening(process):
    found = process.net_connections(kind="inet")
    return {c.laddr.ip for c in found if c.status == psutil.CONN_LISTEN}


@slow
def test_two_processes_on_loopback_alone(pictures, tmp_path, monkeypatch):
    before = psutil.Process().children(recursive=True)
    ours = listening(psutil.Process())
    with local_cluster(2) as cluster:
        assert cluster.n_workers == 2 and len(set(cluster.process_ids().values())) == 2
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        assert len(processes) >= 3
        addresses = set().union(*map(listening, processes)) - ours
        assert addresses == {"127.0.0.1"}
        report, there = built(pictures, tmp_path / "there", cluster)
        workers = [psutil.Process(pid) for pid in cluster.process_ids().values()]
        with connect_cluster(cluster.address) as same:
            assert same.workers == cluster.workers
            assert [one.result for one in same.map(abs, [-1, -2, -3])] == [1, 2, 3]
        assert cluster.n_workers == 2
        (tmp_path / "only_here.py").write_text("def double(one):\n    return 2 * one\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(RetrievalInputError, match="127.0.0.1:.* cannot load .*'only_here'"):
            list(cluster.map(importlib.import_module("only_here").double, [1]))
        threshold = [one.result for one in cluster.map(os.getenv, [TRIM])]
        assert threshold == [os.environ.get(TRIM)]
        with pytest.raises(RetrievalInputError, match="worker tcp://127.0.0.1:.* bad luck"):
            list(cluster.map(unlucky, [1]))
    psutil.wait_procs(workers, timeout=20)
    assert not any(process.is_running() for process in workers)
    assert set(psutil.Process().children(recursive=True)) - set(before) <= multiprocessing_helpers()
    expected, here = built(pictures, tmp_path / "here", HERE)
    assert report == expected
    assert_equal(here, there)


def multiprocessing_helpers():
    """Python's resource tracker outlives the processes that it watches."""
    children = psutil.Process().children(recursive=True)
    return {c for c in children if "resource_tracker" in " ".join(c.cmdline())}


def unlucky(number):
    raise RetrievalInputError("bad luck")


class Slow(ColourEncoder):
    """Takes its time, and notes what it encodes."""

    def __init__(self, log):
        super().__init__()
        self.log = log

    def encode_image(self, pictures):
        time.sleep(0.2)
        with open(self.log, "a") as stream:
            stream.write("".join(f"{picture.getpixel((0, 0))}\n" for picture in pictures))
        return super().encode_image(pictures)


@slow
def test_a_worker_that_is_killed_loses_nothing(pictures, tmp_path):
    log = tmp_path / "log"
    done = []
    with local_cluster(2) as cluster:
        pids = list(cluster.process_ids().values())

        def kill_once(n):
            done.append(n)
            if len(done) == 4 + 3:
                os.kill(pids[0], signal.SIGKILL)

        report = build_collection(
            [pictures], tmp_path / "there", Slow(log), MODEL,
            step=4, batch_size=2, cluster=cluster, progress=kill_once,
        )  # fmt: skip
        assert pids[0] not in cluster.process_ids().values()
    expected, here = built(pictures, tmp_path / "here", HERE, batch_size=2)
    assert report == expected
    assert_equal(here, Collection(tmp_path / "there", verify=True))
    # Again is encoded what the killed worker had under way: two steps of four, at most.
    assert 34 <= len(log.read_text().splitlines()) <= 34 + 2 * 4


class KillingRows(ArrayRows):
    """Rows that kill a worker while they are read."""

    def __init__(self, array, pid, when):
        super().__init__(array)
        self.pid, self.when = pid, when

    def vectors(self, rows):
        if rows[0] == self.when:
            os.kill(self.pid, signal.SIGKILL)
        return super().vectors(rows)


@slow
@pytest.mark.parametrize(
    "config",
    [
        Config("IVF16", "IVF", {"nlist": 16}, n_train=2000),
        Config("HNSW8 shards", "HNSW shards",
               {"shard_rows": 1000, "links": 8, "ef_construction": 40}),
    ],
)  # fmt: skip
def test_an_index_that_loses_a_worker_is_the_same(config, monkeypatch):
    monkeypatch.setattr(filling, "BLOCK", 1000)
    base, queries = clustered(12_000, seed=3), clustered(20, seed=4)
    here = build(config, ArrayRows(base)).index
    with local_cluster(2) as cluster:
        (pid, *_) = cluster.process_ids().values()
        rows = KillingRows(base, pid, when=6000)
        there = build(config, rows, workers=cluster).index
        assert pid not in cluster.process_ids().values()
    assert content(there) == content(here)
    assert_same(there.search(queries, 10), here.search(queries, 10))


KILLED = """
import sys
from pathlib import Path
from lib.search.cluster import local_cluster
from lib.search.collection import build_collection
from tests.search.collection.conftest import MODEL
from tests.search.test_cluster import Slow
if __name__ == "__main__":
    with local_cluster(2) as cluster:
        print(*cluster.process_ids().values(), flush=True)
        build_collection([sys.argv[1]], sys.argv[2], Slow(sys.argv[3]), MODEL, step=4,
                         batch_size=2, cluster=cluster, progress=lambda n: print(n, flush=True))
"""


@slow
def test_a_coordinator_that_is_killed_goes_on_behind_its_last_step(pictures, tmp_path):
    script, log, out = tmp_path / "run.py", tmp_path / "log", tmp_path / "there"
    script.write_text(KILLED)
    process = subprocess.Popen(
        [sys.executable, script, pictures, out, log],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    killer = threading.Timer(120, process.kill)
    killer.start()
    workers = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
    reported = [int(process.stdout.readline()) for _ in range(3)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killer.cancel()
    psutil.wait_procs(workers, timeout=20)
    assert not any(worker.is_running() for worker in workers)
    kept = len(Collection(out, verify=True))
    assert kept >= sum(n for n in reported if n > 1) >= 4
    before = len(log.read_text().splitlines())
    with local_cluster(1) as cluster:
        report = build_collection(
            [pictures], out, Slow(log), MODEL, step=4, batch_size=2, cluster=cluster
        )
    assert report.unchanged >= kept - 2 and report.rows == 38
    assert len(log.read_text().splitlines()) - before == report.encoded <= 34 - kept + 4
    assert sorted(Collection(out, verify=True).table["path"].to_pylist()) == sorted(
        path.name for path in pictures.iterdir() if path.name not in ("20.png", "35.png")
    )
