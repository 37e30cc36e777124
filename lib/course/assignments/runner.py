"""The grader's end of the process that runs a submission: start it, ask it, stop it.

Nothing that comes back is trusted: a line of JSON of a limited size, read as numbers and texts
alone, with the random number of its question. Whatever else happens, the process is killed.
"""

import json
import os
import re
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lib
from lib.core.checks import RetrievalInputError, check_choice, check_count, check_number
from lib.course.assignments import confinement
from lib.course.assignments.child import decode, describe, encode

WAITING = 4  # a call that waits gets this many times as long as one that computes
LONGEST_ANSWER = 2**24  # bytes
MOST_FILES = 2**26  # bytes that a submission may keep in its folder
LOADING = 4  # a notebook may compute this many times as long while it is loaded
CALLS = 100  # a process may compute this many times as long in total
START_S = 60.0  # of the clock: the interpreter and numpy, on a busy machine
POLL_S = 0.05
LEAST_MEMORY = 2**28  # the interpreter and numpy
ADDRESS = re.compile(r"0x[0-9a-fA-F]{4,}")
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}


class Stopped(Exception):
    """The process of a submission ended, or was ended; the message says why."""


@dataclass(frozen=True)
class ProcessLimits:
    """ProcessLimits of one submission.

    Args:
        call_s: seconds of processor time for one call; four times as long if it waits.
        memory: bytes of private memory.
        level: "kernel" or "python", see `confinement`.
        hidden: paths that the submission must not read.
    """

    call_s: float = 5.0
    memory: int = 2 * 2**30
    level: str = confinement.KERNEL
    hidden: tuple[str, ...] = ()


def limits_here(level: str, call_s: float, memory: int, *hidden: Path) -> ProcessLimits:
    """Return the limits of submissions, or say why this system cannot keep them.

    Args:
        level: "kernel" or "python".
        call_s: seconds of processor time for one call.
        memory: bytes of private memory.
        hidden: files and folders that no submission may read, besides this package.
    """
    check_choice(level, (confinement.KERNEL, confinement.PYTHON), "--isolation")
    check_number(call_s, "--time", low=0.1, high=600)
    check_count(memory, "--memory", least=LEAST_MEMORY)
    if confinement.resource is None:
        raise RetrievalInputError("grading needs Linux or macOS: this system has no such limits")
    if level == confinement.KERNEL and (problem := confinement.kernel_problem()):
        raise RetrievalInputError(
            f"the kernel cannot confine submissions here: {problem}. Grade in a Linux virtual"
            " machine, or choose --isolation python, which stops mistakes and not attacks"
        )
    package = Path(lib.__file__).resolve().parent
    places = [str(Path(path).resolve()) for path in (package, *hidden)]
    return ProcessLimits(call_s, memory, level, tuple(places))


@dataclass(frozen=True)
class Answer:
    """The result of one call: a value, or a problem in words."""

    value: Any = None
    problem: str = ""
    missing: bool = False


class Runner:
    """One process with the code of a submission. Use it in a `with` block.

    Args:
        cells: the sources of its code cells.
        wanted: names of functions; `functions` tells which of them the code has.
        limits: of the process.
        parent: folder in which the process gets a folder of its own.
        everything: whether all statements run, or definitions, imports and assignments alone.
    """

    def __init__(
        self,
        cells: Sequence[str],
        wanted: Sequence[str],
        limits: ProcessLimits,
        parent: Path,
        everything: bool = True,
    ) -> None:
        self.limits = limits
        self.problems: list[str] = []
        self.functions: list[str] = []
        self._buffer = bytearray()
        self.folder = Path(tempfile.mkdtemp(dir=parent)).resolve()
        self._process = self._started()
        try:
            self._ask(self._settings(), START_S, START_S)
            request = {"cells": list(cells), "wanted": list(wanted), "everything": everything}
            load_s = LOADING * limits.call_s
            loaded = self._ask(request, load_s, WAITING * load_s)
            self.problems = [self._cleaned(each) for each in _texts(loaded.get("problems"))]
            self.functions = _texts(loaded.get("functions"))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def call(self, function: str, arguments: Sequence) -> Answer:
        """Call a function of the submission; `Stopped` where the process does not survive it."""
        request = {"call": function, "arguments": [encode(each) for each in arguments]}
        limit = self.limits.call_s
        reply = self._ask(request, limit, WAITING * limit)
        if reply.get("missing"):
            return Answer(missing=True)
        if "error" in reply:
            return Answer(problem=f"it raised {self._cleaned(str(reply['error']))}")
        try:
            return Answer(decode(reply["value"]))
        except Exception as error:
            return Answer(problem=f"its result cannot be read: {self._cleaned(describe(error))}")

    def close(self) -> None:
        """Kill the process and all of its group, and remove its folder."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                stream.close()
        try:
            shutil.rmtree(self.folder, ignore_errors=True)
        except RecursionError:  # folders in folders without end
            subprocess.run(["rm", "-rf", str(self.folder)], stderr=subprocess.DEVNULL, check=False)

    def _started(self) -> subprocess.Popen:
        folder = str(self.folder)
        environment = {"HOME": folder, "TMPDIR": folder, "PATH": "/nowhere", "LANG": "C.UTF-8"}
        environment |= {"MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"} | THREADS
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(Path(__file__).with_name("child.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        for stream in (process.stdin, process.stdout):
            os.set_blocking(stream.fileno(), False)
        return process

    def _settings(self) -> dict:
        limits = self.limits
        return {
            "limits": {
                "folder": str(self.folder),
                "level": limits.level,
                "memory": limits.memory,
                "cpu_s": int(CALLS * limits.call_s) + 1,
                "hidden": list(limits.hidden),
            }
        }

    def _ask(self, request: dict, cpu_s: float, wall_s: float) -> dict:
        """Send a request and wait for its reply, within the limits."""
        number = secrets.token_hex(16)
        left = memoryview(json.dumps(request | {"id": number}).encode() + b"\n")
        began, work, queued = time.monotonic(), self._computed(), self._queued()
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            ready.register(self._process.stdin, selectors.EVENT_WRITE)
            while True:
                events = ready.select(POLL_S)
                for key, _ in events:
                    if key.fileobj is self._process.stdout:
                        line = self._received()
                        if line is not None:
                            return self._opened(line, number)
                        continue
                    left = left[self._sent(left) :]
                    if not left:
                        ready.unregister(self._process.stdin)
                if time.monotonic() - began - (self._queued() - queued) > wall_s:
                    raise Stopped(f"it was stopped after {wall_s:g} seconds")
                if self._computed() - work > cpu_s:
                    raise Stopped(f"it was stopped after {cpu_s:g} seconds of computing")
                if _size_of(self.folder) > MOST_FILES:
                    raise Stopped("it wrote too many files")

    def _sent(self, data: memoryview) -> int:
        try:
            return self._process.stdin.write(data[: 2**16]) or 0
        except BlockingIOError:
            return 0
        except OSError:
            raise Stopped("its process ended") from None

    def _received(self) -> bytes | None:
        """Read what there is; return a line when it is whole."""
        try:
            data = self._process.stdout.read(2**16)
        except BlockingIOError:
            return None
        if data == b"":
            raise Stopped("its process ended: a crash, an exit, or too much memory")
        self._buffer += data or b""
        if len(self._buffer) > LONGEST_ANSWER:
            raise Stopped("its answer is too large")
        line, end, rest = bytes(self._buffer).partition(b"\n") if b"\n" in data else (b"", b"", b"")
        if not end:
            return None
        self._buffer = bytearray(rest)
        return line

    def _opened(self, line: bytes, number: str) -> dict:
        try:
            reply = json.loads(line)
            right = isinstance(reply, dict) and reply.get("id") == number
        except Exception:  # not JSON, not UTF-8, nested without end
            right = False
        if not right or self._buffer:
            raise Stopped("it wrote to the grader's channel")
        return reply

    def _computed(self) -> float:
        """Return the processor time of the process in seconds; of the clock where it is unknown."""
        if sys.platform != "linux":
            return time.monotonic()
        try:
            return time.clock_gettime(~self._process.pid << 3 | 2)  # CLOCK_PROCESS of its threads
        except OSError:
            return 0.0

    def _queued(self) -> float:
        """Return for how many seconds the process was ready and others had the processor."""
        try:
            text = Path(f"/proc/{self._process.pid}/schedstat").read_text(encoding="ascii")
            return int(text.split()[1]) / 1e9
        except (OSError, IndexError, ValueError):
            return 0.0

    def _cleaned(self, text: str) -> str:
        """Remove what differs between two runs, and what no page should show."""
        text = ADDRESS.sub("0x...", text.replace(str(self.folder), "."))
        return "".join(c if c.isprintable() else " " for c in text)[:300]


def _texts(value) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def _size_of(folder: Path) -> int:
    """Add up the bytes below a folder, a block for each file; folders without end are too many."""
    total = 0
    try:
        for place, folders, names in os.walk(folder):
            for name in folders + names:
                with suppress(OSError):
                    total += os.lstat(os.path.join(place, name)).st_size + 4096
    except OSError:  # removed meanwhile
        pass
    except RecursionError:
        return MOST_FILES + 1
    return total
