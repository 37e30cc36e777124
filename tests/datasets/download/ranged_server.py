"""File server for tests: breaks off, ignores ranges and changes its files as a test demands."""

import re
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RangedServer:
    """Serves `files` (path to bytes) and writes down in `requests` each (path, Range, If-Range).

    What a test may set:
        etag: sent with every file; None for none, and no date either.
        ranges: False answers every request with the whole file.
        cuts: bytes after which the next answers break off, one entry used up by each answer.
        statuses: codes that the next answers bear instead of a file.
        lengths: False sends no Content-Length.
        encoding: sent as Content-Encoding; the files must be in it.
        kind: sent as Content-Type.
        obeys_if_range: False answers ranges of a file that has changed.
        pause_s: waited after each 10,000 bytes.
    """

    def __init__(self, address: str) -> None:
        self.address, self.files, self.requests = address, {}, []
        self.etag, self.ranges, self.lengths, self.obeys_if_range = '"first"', True, True, True
        self.cuts, self.statuses, self.pause_s, self.encoding = [], [], 0.0, None
        self.kind = None

    def url(self, path: str) -> str:
        return f"{self.address}/{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        state: RangedServer = self.server.state
        path, wanted = self.path.lstrip("/"), self.headers.get("Range")
        state.requests.append((path, wanted, self.headers.get("If-Range")))
        if state.statuses:
            return self.send_error(state.statuses.pop(0))
        if path not in state.files:
            return self.send_error(404)
        body = state.files[path]
        current = not state.obeys_if_range or self.headers.get("If-Range") in (None, state.etag)
        start = (
            int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if wanted and state.ranges and current
            else 0
        )
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if state.etag:
            self.send_header("ETag", state.etag)
        if state.kind:
            self.send_header("Content-Type", state.kind)
        if state.encoding:
            self.send_header("Content-Encoding", state.encoding)
        if state.lengths:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        end = start + state.cuts.pop(0) if state.cuts else len(body)
        step = 10_000 if state.pause_s else len(body) or 1
        for first in range(start, min(end, len(body)), step):
            self.wfile.write(body[first : min(first + step, end, len(body))])
            time.sleep(state.pause_s)

    def log_message(self, *_):
        pass


@contextmanager
def ranged_server():
    """A `RangedServer` that runs until the block ends."""
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.state = RangedServer(f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(
        target=httpd.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    )
    thread.start()
    try:
        yield httpd.state
    finally:
        httpd.shutdown()
        httpd.server_close()
