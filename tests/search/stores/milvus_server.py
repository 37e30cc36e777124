"""Run a command beside a Milvus server: `python milvus_server.py SERVER_PYTHON COMMAND...`.

The server of the package `milvus` listens on all interfaces, so both run in a network of their own,
which has a loopback and nothing else. The server is stopped in any case.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

UP_S, STOP_S = 180, 20
SERVE = """
import sys, time
from milvus import MilvusServer
server = MilvusServer()
server.set_base_dir(sys.argv[1])
server.start()
print("port", server.listen_port, flush=True)
try:
    sys.stdin.read()
finally:
    server.stop()
"""
INSIDE = "--in-own-network"


def main(arguments: list[str]) -> int:
    """Run the command inside a network of its own."""
    if arguments[0] != INSIDE:
        unshare = shutil.which("unshare")
        if unshare is None:
            sys.exit("test-server needs the command unshare (Linux, package util-linux)")
        inside = [sys.executable, __file__, INSIDE, *arguments]
        return subprocess.call([unshare, "--user", "--map-root-user", "--net", *inside])
    _loopback_up()
    python, command = arguments[1], arguments[2:]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [python, "-W", "ignore", "-c", SERVE, folder],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            started = time.monotonic()
            port = next((line.split()[1] for line in server.stdout if line.startswith("port")), "")
            if not port or time.monotonic() - started > UP_S:
                sys.exit("the Milvus server did not start")
            print(f"Milvus is up after {time.monotonic() - started:.0f} s", flush=True)
            environment = os.environ | {"CROSSMODAL_MILVUS": f"http://127.0.0.1:{port}"}
            return subprocess.call(command, env=environment)
        finally:
            server.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                server.wait(STOP_S)
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)


def _loopback_up() -> None:
    """Switch on the interface lo of a new network: ioctl SIOCSIFFLAGS with IFF_UP."""
    import fcntl
    import struct

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14s", b"lo", 1, b""))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
