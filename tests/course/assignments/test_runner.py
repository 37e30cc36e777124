"""A process that runs a submission: what it may do, and that nothing it does stops the grader."""

import os
import time

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.course.assignments import confinement
from lib.course.assignments.child import decode, encode
from lib.course.assignments.runner import Runner, Stopped, limits_here
from lib.course.instructor import INSTRUCTOR

needs_kernel = pytest.mark.skipif(
    bool(confinement.kernel_problem()), reason=confinement.kernel_problem() or "-"
)
LEVELS = [pytest.param("kernel", marks=needs_kernel), "python"]

CODE = """
import os, socket, subprocess, sys
import numpy as np

def double(x): return 2 * np.asarray(x)
def own_file():
    with open("note.txt", "w") as file: file.write("kept")
    return open("note.txt").read()
def outside(path): open(path, "w").write("x")
def remove(path): os.remove(path)
def read(path): return open(path).read()
def shell(): return subprocess.run(["/bin/true"]).returncode
def fork(): return os.fork()
def kill(): os.kill(os.getppid(), 9)
def connect(): socket.socket().connect(("127.0.0.1", 9))
def library():
    import lib
    return lib.__file__
def chmod(path): os.chmod(path, 0o777)
def leave(): os._exit(0)
def leave_politely(): sys.exit(0)
def interrupt(): raise KeyboardInterrupt
def huge(): return np.zeros(2**24)
def memory(): return np.ones(2**30).sum()
def text(): return "x" * 3 * 10**7
def names(): return object()
def loop():
    while True: print("x" * 1000)
def channel():
    for place in range(3, 60):
        try: os.write(place, b'{"id": 1, "value": 1}\\n')
        except OSError: pass
    return 1
def flood():
    for place in range(3, 60):
        try:
            while True: os.write(place, b"x" * 10**6)
        except OSError: pass
class Strange:
    def __getattribute__(self, name): raise SystemExit
    def __repr__(self): raise SystemExit
def strange(): return Strange()
def deep():
    value = []
    for _ in range(1000): value = [value]
    return value
def folders():
    while True:
        os.mkdir("a")
        os.chdir("a")
def raw(number, *arguments):
    import ctypes
    return ctypes.CDLL(None).syscall(number, *arguments)
def lower():
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
1 / 0
"""


@pytest.fixture(scope="module", params=LEVELS)
def start(request, tmp_path_factory):
    """Start a process at one level of confinement."""
    parent = tmp_path_factory.mktemp("processes")
    limits = limits_here(request.param, 0.4, 2**30, INSTRUCTOR)
    return lambda: Runner([CODE, "def broken(:", "%matplotlib inline"], ["double"], limits, parent)


@pytest.fixture(scope="module")
def runner(start):
    with start() as process:
        yield process


def test_it_runs_what_it_can(runner):
    assert runner.functions == ["double"]
    assert [problem.split(":")[0] for problem in runner.problems] == [
        f"code cell 1, line {CODE[: CODE.index('1 / 0')].count(chr(10)) + 1}",
        "code cell 2 does not parse",
    ]
    assert runner.call("double", [np.arange(3)]).value.tolist() == [0, 2, 4]
    assert runner.call("own_file", []).value == "kept"
    assert runner.call("nothing", []).missing


def test_it_refuses_what_leads_outside(runner, tmp_path):
    victim = tmp_path / "victim.txt"
    victim.write_text("safe")
    place = [str(victim)]
    solution = [str(next(INSTRUCTOR.glob("assignments/2_*.ipynb")))]
    for name, arguments in {
        "outside": place,
        "remove": place,
        "chmod": place,
        "read": solution,
        "shell": [],
        "fork": [],
        "kill": [],
        "connect": [],
        "library": [],
    }.items():
        answer = runner.call(name, arguments)
        assert answer.value is None and answer.problem, name
    assert victim.read_text() == "safe" and victim.stat().st_mode & 0o777 != 0o777
    assert not (tmp_path / "new").exists()


def test_what_it_returns_is_read_as_plain_values_or_refused(runner):
    for name in ("leave_politely", "interrupt", "huge", "names", "strange", "deep"):
        assert runner.call(name, []).problem, name
    assert runner.call("double", [[1.5]]).value == 3


@pytest.mark.parametrize("name", ["leave", "loop", "channel", "flood", "text", "folders"])
def test_a_process_that_misbehaves_is_ended(start, name):
    with start() as process, pytest.raises(Stopped):
        process.call(name, [])
    assert not process.folder.exists() and process._process.poll() is not None


@needs_kernel
def test_the_kernel_refuses_calls_that_bypass_python(tmp_path):
    limits = limits_here("kernel", 2, 2**30)
    with Runner([CODE], [], limits, tmp_path) as process:
        assert process.call("memory", []).problem.startswith("it raised MemoryError")
        calls = confinement.REFUSED[os.uname().machine]
        for name in ("socket", "ptrace", "unshare", "bpf", "memfd_create", "io_uring_setup"):
            assert process.call("raw", [calls[name], 0, 0, 0]).value == -1, name
        assert "not allowed" in process.call("lower", []).problem


def test_folders_around_a_hidden_one_are_split(tmp_path):
    for name in ("a/x.txt", "b/hidden/y.txt", "b/z.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root, hidden = str(tmp_path), str(tmp_path / "b/hidden")
    assert confinement.visible(root, [hidden]) == [
        (root, False), (f"{root}/a", True), (f"{root}/b", False), (f"{root}/b/z.txt", True),
    ]  # fmt: skip
    assert confinement.visible(root, ["/elsewhere"]) == [(root, True)]
    assert confinement.visible(root, [root]) == []


def test_waiting_ends_too(tmp_path):
    limits = limits_here("python", 0.2, 2**30)
    code = "import time\ndef wait(): time.sleep(100)"
    began = time.monotonic()
    with Runner([code], [], limits, tmp_path) as process, pytest.raises(Stopped):
        process.call("wait", [])
    assert time.monotonic() - began < 90


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 2.5, "text", [1, [2.0]], (1, "a"), {"a": 1, 2: [3]}, np.eye(2), np.array(3)],
    ids=str,
)
def test_values_survive_the_way(value):
    back = decode(encode(value))
    assert type(back) is type(value)
    assert np.array_equal(back, value) if isinstance(value, np.ndarray) else back == value


@pytest.mark.parametrize(
    "row",
    [
        {"array": ["O", [1], "AAAA"]},
        {"array": ["<f8", [3], "AAAA"]},
        {"array": ["V9", [1], ""]},
        {"list": [{"code": "x"}]},
        {"dict": [[{"list": []}, 1]]},
        [1],
        {},
    ],
    ids=str,
)
def test_other_values_are_refused(row):
    with pytest.raises((ValueError, TypeError)):
        decode(row)


def test_limits_are_checked(monkeypatch):
    with pytest.raises(RetrievalInputError, match="--isolation must be"):
        limits_here("none", 1, 2**30)
    with pytest.raises(RetrievalInputError, match="--memory"):
        limits_here("python", 1, 1000)
    monkeypatch.setattr(confinement, "kernel_problem", lambda: "no Linux")
    with pytest.raises(RetrievalInputError, match="no Linux.*--isolation python"):
        limits_here("kernel", 1, 2**30)
