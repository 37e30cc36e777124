"""A downloader that goes on where the last attempt stopped."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import requests

from lib.core.writing import atomic_path, explain_write_errors

CHUNK = 2**16  # what a broken connection loses at most: requests hands on whole chunks only
LONGEST_WAIT_S = 30.0
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
RETRIED = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)

Progress = Callable[[int, int | None], None]  # bytes there, bytes in all where that is known


class DownloadError(OSError):
    """A file cannot be had from its address; the message says why, and what is kept."""


class _Again(Exception):
    """The server was not ready; the same request may succeed later."""


class ResumingDownloader:
    """A downloader that keeps what arrived in `<file>.part` and asks for the rest (RFC 9110, 14).

    Beside the part, `<file>.part.json` holds the address, the total size and the ETag or date that
    the bytes belong to. A server that ignores ranges, or has another file by now, is read from its
    start; one that states no length is believed when it ends.

    Args:
        part: where bytes are kept until they are all there.
        size: the published size; another one is refused before a byte is read.
        retries: attempts without a new byte before it gives up.
        wait_s: before the second attempt, doubled each time.
        timeout_s: a server that is silent for so long counts as gone.
        progress: called with bytes done and bytes in all.
    """

    def __init__(
        self,
        part: Path,
        size: int | None = None,
        *,
        retries: int = 5,
        wait_s: float = 1.0,
        timeout_s: float = 60.0,
        progress: Progress | None = None,
    ) -> None:
        self.part, self.card = part, part.with_name(part.name + ".json")
        self.size, self.retries, self.wait_s, self.timeout_s = size, retries, wait_s, timeout_s
        self.progress = progress or (lambda done, total: None)

    def fetch(self, url: str) -> None:
        """Makes the part whole; a part that is whole already is not asked for again."""
        most, idle = self._have(), 0
        while True:
            try:
                self._continue(url)
                break
            except (*RETRIED, _Again) as error:
                have = self._have()
                idle = 0 if have > most else idle + 1
                most = max(most, have)
                if idle > self.retries:
                    raise DownloadError(
                        f"{url} broke off {idle} times without a new byte ({error}). {have:,} bytes"
                        f" are kept in {self.part.name}; the same command goes on from there"
                    ) from error
                time.sleep(min(self.wait_s * 2**idle, LONGEST_WAIT_S))
            except requests.RequestException as error:
                raise DownloadError(f"{url} cannot be read: {error}") from error
        have = self._have()
        if self.size not in (None, have):
            self.forget()
            raise DownloadError(f"{url} gave {have:,} bytes, the published file has {self.size:,}")
        card = json.loads(self.card.read_text())
        self._write_card(card | {"total": have})  # also where the server did not state it

    def _have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def _continue(self, url: str) -> None:
        """One request: for the rest if the beginning is there, else for everything."""
        kept = self._kept(url)
        if kept and kept["total"] == self._have():
            return None
        headers = {"Accept-Encoding": "identity"}
        if kept:
            headers["Range"] = f"bytes={self._have()}-"
            if kept["validator"]:
                headers["If-Range"] = kept["validator"]
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout_s) as answer:
            total = _total(answer)
            if kept and answer.status_code in (206, 416) and not self._fits(answer, kept, total):
                self.forget()
                return self._continue(url)  # which asks for no range, so it comes here once
            if kept and answer.status_code == 416:
                return None  # nothing is left to ask for
            self._refuse(url, answer, total)
            if answer.status_code == 200:
                self._start(url, answer, total)
            self._receive(url, answer, total)

    def _kept(self, url: str) -> dict | None:
        """What is known of the bytes in the part; what belongs to nothing known goes away."""
        try:
            kept = json.loads(self.card.read_text())
            if self._have() and kept["url"] == url and (kept["validator"] or kept["total"]):
                return kept
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.forget()
        return None

    def forget(self) -> None:
        """Deletes the part and what is known of it."""
        self.part.unlink(missing_ok=True)
        self.card.unlink(missing_ok=True)

    def _fits(self, answer: requests.Response, kept: dict, total: int | None) -> bool:
        """Whether a partial answer continues exactly the bytes that are there."""
        if answer.status_code == 416:
            return total is not None and total == self._have()
        match = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
        same = kept["total"] in (None, total) and kept["validator"] in (None, _validator(answer))
        return bool(match) and match[1] == str(self._have()) and same

    def _refuse(self, url: str, answer: requests.Response, total: int | None) -> None:
        status = answer.status_code
        if status == 429 or status >= 500:
            raise _Again(f"the server answers {status} {answer.reason}")
        if status not in (200, 206):
            raise DownloadError(
                f"{url} answers {status} {answer.reason}. Publishers move files: look for"
                f" {self.part.stem} on their page, put it into {self.part.parent} and run the"
                " command again"
            )
        kind = answer.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind == "text/html" and not self.part.stem.lower().endswith((".html", ".htm")):
            raise DownloadError(
                f"{url} answers with a web page, not with {self.part.stem}. Open it in a browser:"
                " it may ask to sign in or to accept terms"
            )
        if self.size is not None and total not in (None, self.size):
            raise DownloadError(
                f"{url} offers {total:,} bytes, the published file has {self.size:,}"
            )

    def _start(self, url: str, answer: requests.Response, total: int | None) -> None:
        self.forget()
        self._write_card({"url": url, "total": total, "validator": _validator(answer)})

    def _write_card(self, card: dict) -> None:
        with atomic_path(self.card) as temporary:
            temporary.write_text(json.dumps(card))

    def _receive(self, url: str, answer: requests.Response, total: int | None) -> None:
        done, limit = self._have(), total if total is not None else self.size
        with explain_write_errors(self.part), open(self.part, "ab", buffering=0) as out:
            for chunk in answer.iter_content(CHUNK):
                out.write(chunk)
                done += len(chunk)
                if limit is not None and done > limit:
                    self.forget()
                    raise DownloadError(f"{url} sends more than the {limit:,} bytes it should have")
                self.progress(done, limit)
        done = self._have()
        if limit is not None and done < limit:
            raise _Again(f"the connection closed after {done:,} of {limit:,} bytes")


def _total(answer: requests.Response) -> int | None:
    """Bytes of the whole file, as the answer states them."""
    if _compressed(answer):
        return None  # the length is that of the compressed bytes
    if answer.status_code == 200:
        length = answer.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None
    match = CONTENT_RANGE.match(answer.headers.get("Content-Range", ""))
    return int(match[2]) if match and match[2] != "*" else None


def _compressed(answer: requests.Response) -> bool:
    """Whether the server compresses though it was asked not to: such bytes are not those of the
    file.
    """
    return answer.headers.get("Content-Encoding", "identity") != "identity"


def _validator(answer: requests.Response) -> str | None:
    """The strong ETag, else the date of the last change: what If-Range may carry."""
    if _compressed(answer):
        return None  # it names the compressed bytes, and the part holds others
    tag = answer.headers.get("ETag", "")
    return tag if tag.startswith('"') else answer.headers.get("Last-Modified")
