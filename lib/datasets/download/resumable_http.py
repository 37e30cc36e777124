"""Download over HTTP and resume where the last attempt stopped (RFC 9110, section 14)."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import requests

from lib.core.writing import atomic_path, explain_write_errors

CHUNK = 2**16  # bytes; a broken connection loses at most one chunk
LONGEST_WAIT_S = 30.0
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
RETRIED = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

Progress = Callable[[int, int | None], None]  # bytes done, bytes in all if known


def no_progress(done: int, total: int | None) -> None:
    """Report nothing."""


class DownloadError(OSError):
    """A download that failed; the message says why, and which part of the file was kept."""


class _TemporaryError(Exception):
    """A failure after which the same request may succeed."""


class ResumableDownload:
    """Download that keeps the bytes in `<file>.part` and requests the rest.

    `<file>.part.json` records the address, the total size and the ETag or date of these bytes. If
    the server ignores ranges, or its file has changed, the download starts again.

    Args:
        size: the published size; if the server offers another one, nothing is read.
        retries: attempts without a new byte before it gives up.
        wait_s: wait before the second attempt, doubled each time.
        timeout_s: the longest silence of the server.
        progress: called with bytes done and total bytes.
    """

    def __init__(
        self,
        part: Path,
        size: int | None = None,
        *,
        retries: int = 5,
        wait_s: float = 1.0,
        timeout_s: float = 60.0,
        progress: Progress = no_progress,
    ) -> None:
        self.part, self.card = part, part.with_name(part.name + ".json")
        self.size, self.retries, self.wait_s, self.timeout_s = size, retries, wait_s, timeout_s
        self.progress = progress

    def fetch(self, url: str) -> None:
        """Complete the part; a complete part is not requested again."""
        most, idle = self._n_bytes(), 0
        while True:
            try:
                self._request(url)
                break
            except (*RETRIED, _TemporaryError) as error:
                n_bytes = self._n_bytes()
                idle = 0 if n_bytes > most else idle + 1
                most = max(most, n_bytes)
                if idle > self.retries:
                    raise DownloadError(
                        f"{url} broke off {idle} times without a new byte ({error}). {n_bytes:,}"
                        f" bytes are kept in {self.part.name}; the same command continues there"
                    ) from error
                time.sleep(min(self.wait_s * 2**idle, LONGEST_WAIT_S))
            except requests.RequestException as error:
                raise DownloadError(f"{url} cannot be read: {error}") from error
        n_bytes = self._n_bytes()
        if self.size not in (None, n_bytes):
            self.forget()
            raise DownloadError(f"{url} must give {self.size:,} bytes, got {n_bytes:,}")
        card = json.loads(self.card.read_text())
        self._write_card(card | {"total": n_bytes})  # the server may not have stated it

    def forget(self) -> None:
        """Delete the part and its record."""
        self.part.unlink(missing_ok=True)
        self.card.unlink(missing_ok=True)

    def _n_bytes(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _request(self, url: str) -> None:
        """Request the rest if the part is usable, else the whole file."""
        card = self._usable_card(url)
        if card and card["total"] == self._n_bytes():
            return None
        headers = {"Accept-Encoding": "identity"}
        if card:
            headers["Range"] = f"bytes={self._n_bytes()}-"
            if card["validator"]:
                headers["If-Range"] = card["validator"]
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout_s) as answer:
            total = _total(answer)
            if card and answer.status_code in (206, 416):
                if not self._continues(answer, card, total):
                    self.forget()
                    return self._request(url)  # without a range, so this happens only once
                if answer.status_code == 416:
                    return None  # the part is complete
            self._check_answer(url, answer, total)
            if answer.status_code == 200:
                self.forget()
                self._write_card({"url": url, "total": total, "validator": _validator(answer)})
            self._receive(url, answer, total)

    def _usable_card(self, url: str) -> dict | None:
        """Read the record of the part; a part without a valid record is deleted."""
        try:
            card = json.loads(self.card.read_text())
            if self._n_bytes() and card["url"] == url and (card["validator"] or card["total"]):
                return card
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.forget()
        return None

    def _continues(self, answer: requests.Response, card: dict, total: int | None) -> bool:
        """Return True if a partial answer continues exactly the bytes of the part."""
        if answer.status_code == 416:
            return total is not None and total == self._n_bytes()
        match = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        same_version = card["validator"] in (None, _validator(answer))
        same_file = same_version and card["total"] in (None, total)
        return bool(match) and match[1] == str(self._n_bytes()) and same_file

    def _check_answer(self, url: str, answer: requests.Response, total: int | None) -> None:
        status, name = answer.status_code, self.part.stem
        if status == 429 or status >= 500:
            raise _TemporaryError(f"the server answers {status} {answer.reason}")
        if status not in (200, 206):
            raise DownloadError(
                f"{url} answers {status} {answer.reason}. Publishers move files: look for {name} on"
                f" their page, put it into {self.part.parent} and run the command again"
            )
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind == "text/html" and not name.lower().endswith((".html", ".htm")):
            raise DownloadError(
                f"{url} answers with a web page, not with {name}. Open it in a browser: you may"
                " have to sign in or to accept terms"
            )
        if self.size is not None and total not in (None, self.size):
            raise DownloadError(f"{url} must offer {self.size:,} bytes, got {total:,}")

    def _write_card(self, card: dict) -> None:
        with atomic_path(self.card) as temporary:
            temporary.write_text(json.dumps(card))

    def _receive(self, url: str, answer: requests.Response, total: int | None) -> None:
        done, limit = self._n_bytes(), self.size if total is None else total
        with explain_write_errors(self.part), open(self.part, "ab", buffering=0) as out:
            for chunk in answer.iter_content(CHUNK):
                out.write(chunk)
                done += len(chunk)
                if limit is not None and done > limit:
                    self.forget()
                    raise DownloadError(f"{url} sends more than the {limit:,} bytes it should have")
                self.progress(done, limit)
        done = self._n_bytes()
        if limit is not None and done < limit:
            raise _TemporaryError(f"the connection closed after {done:,} of {limit:,} bytes")


def _total(answer: requests.Response) -> int | None:
    """Return the size of the whole file, if the answer states it."""
    if _is_compressed(answer):
        return None  # the length is that of the compressed bytes
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None
    match = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    return int(match[2]) if match and match[2] != "*" else None


def _is_compressed(answer: requests.Response) -> bool:
    # Some servers compress although the request forbids it.
    return answer.headers.get("Content-Encoding", "identity") != "identity"


def _validator(answer: requests.Response) -> str | None:
    """Return the strong ETag, or else the date of the last change, for If-Range."""
    if _is_compressed(answer):
        return None  # it belongs to the compressed bytes; the part holds others
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified")
