"""Start `crossmodal serve` as a user does, and read its memory."""

import contextlib
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from lib.core.paths import ROOT
from lib.studies.peers.harness import ONE_THREAD

LONGEST_START_S = 120.0
COMMAND = "from lib.cli import main; main()"


class ServedCollection:
    """A running `crossmodal serve` of one collection, on a free port of this machine.

    It gets the environment of this process, without limits on the threads of numerical libraries.

    Attributes:
        port: where it listens.
        start_s: seconds from the start of the process to the first answer of /healthz.
    """

    def __init__(self, path: Path) -> None:
        variables = {n: v for n, v in os.environ.items() if n not in ONE_THREAD}
        paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        variables["PYTHONPATH"] = os.pathsep.join(paths)
        command = [sys.executable, "-c", COMMAND, "serve", str(path), "--port", "0"]
        start = time.perf_counter()
        self._process = subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        line = self._process.stdout.readline()
        address = re.match(r"open http://127\.0\.0\.1:(\d+)/", line)
        if address is None:
            self.close()
            raise ChildProcessError(f"the service did not start: {line.strip() or 'no message'}")
        self.port = int(address[1])
        while not self._answers():
            if self._process.poll() is not None or time.perf_counter() - start > LONGEST_START_S:
                self.close()
                raise ChildProcessError("the service did not answer /healthz")
            time.sleep(0.005)
        self.start_s = time.perf_counter() - start

    def _answers(self) -> bool:
        with contextlib.suppress(urllib.error.URLError, OSError):
            address = f"http://127.0.0.1:{self.port}/healthz"
            with urllib.request.urlopen(address, timeout=LONGEST_START_S) as answer:
                return answer.status == 200
        return False

    def memory_mb(self) -> dict[str, float]:
        """Return megabytes of its resident memory: its own, and pages of mapped files.

        The system takes back the second where others need memory. NaN where it is not Linux.
        """
        status, found = Path(f"/proc/{self._process.pid}/status"), {}
        if status.is_file():
            found = dict(re.findall(r"^(RssAnon|RssFile):\s+(\d+) kB", status.read_text(), re.M))
        names = {"own_mb": "RssAnon", "mapped_mb": "RssFile"}
        return {name: float(found.get(field, "nan")) * 1024 / 1e6 for name, field in names.items()}

    def processor_seconds(self) -> float:
        """Return the processor time that it has used; NaN where it is not Linux."""
        status = Path(f"/proc/{self._process.pid}/stat")
        if not status.is_file():
            return float("nan")
        fields = status.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> "ServedCollection":
        return self

    def __exit__(self, *_) -> None:
        self.close()
