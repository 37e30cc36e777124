"""Downloads against a server on this machine: requests, kept parts, refusals."""

import gzip
import io
import json
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.core.writing import UnwritableFileError, sha256_of
from lib.datasets.download import downloads
from lib.datasets.download.downloads import fetch, obtain
from lib.datasets.download.resumable_http import CHUNK, DownloadError
from lib.datasets.download.sources import RemoteFile
from tests.datasets.download.ranged_server import ranged_server

BODY = np.random.default_rng(0).bytes(500_000)
OTHER = np.random.default_rng(1).bytes(400_000)
PIECE = 4 * CHUNK  # what a connection brings before it breaks; parts are kept in whole chunks


@pytest.fixture
def server():
    with ranged_server() as running:
        running.files["corpus.bin"] = BODY
        yield running


def source_of(server, **published):
    return RemoteFile(server.url("corpus.bin"), "corpus.bin", "a test", **published)


def quickly(source, root, **options):
    return fetch(source, root, **{"wait_s": 0.0, **options})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_is_checked_and_leaves_nothing_beside_it(server, tmp_path):
    seen = []
    source = source_of(server, size=len(BODY), sha256=sha256_of(BODY))
    line = quickly(source, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert line == "corpus.bin: downloaded, SHA-256 as published"
    assert (tmp_path / "corpus.bin").read_bytes() == BODY and names(tmp_path) == ["corpus.bin"]
    assert seen[-1] == (len(BODY), len(BODY))


def test_a_connection_that_breaks_is_taken_up_at_the_byte_where_it_broke(server, tmp_path):
    server.cuts = [PIECE, CHUNK]
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert (tmp_path / "corpus.bin").read_bytes() == BODY
    assert server.requests == [
        ("corpus.bin", None, None),
        ("corpus.bin", f"bytes={PIECE}-", '"first"'),
        ("corpus.bin", f"bytes={PIECE + CHUNK}-", '"first"'),
    ]


def test_it_gives_up_when_nothing_new_comes_and_a_later_call_goes_on(server, tmp_path):
    server.cuts = [PIECE, 0, 0, 0]
    with pytest.raises(
        DownloadError, match=f"broke off 3 times without a new byte .*{PIECE:,} bytes are kept"
    ):
        quickly(source_of(server), tmp_path, retries=2)
    assert names(tmp_path) == ["corpus.bin.part", "corpus.bin.part.json"]
    server.requests.clear()
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests == [("corpus.bin", f"bytes={PIECE}-", '"first"')]
    assert names(tmp_path) == ["corpus.bin"]


def test_a_server_that_is_gone_is_one_error_and_the_part_stays(tmp_path):
    with ranged_server() as server:
        server.files["corpus.bin"], server.cuts = BODY, [PIECE, 0]
        with pytest.raises(DownloadError):
            quickly(source_of(server), tmp_path, retries=0)
    with pytest.raises(DownloadError, match=f"{PIECE:,} bytes are kept"):
        quickly(source_of(server), tmp_path, retries=1)


def test_a_killed_process_leaves_a_part_that_the_next_one_completes(server, tmp_path):
    server.pause_s = 0.02  # a second for the whole file
    code = f"""
from lib.datasets.download.downloads import fetch
from lib.datasets.download.sources import RemoteFile
fetch(RemoteFile({server.url("corpus.bin")!r}, "corpus.bin", "a test"), {str(tmp_path)!r})
"""
    child = subprocess.Popen([sys.executable, "-c", code])
    part = tmp_path / "corpus.bin.part"
    end = time.monotonic() + 30
    while (
        not (part.is_file() and part.stat().st_size)
        and time.monotonic() < end
        and child.poll() is None
    ):
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    kept = part.stat().st_size
    assert 0 < kept < len(BODY)
    server.requests.clear()
    server.pause_s = 0.0
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests == [("corpus.bin", f"bytes={kept}-", '"first"')]


def test_a_server_without_ranges_sends_everything_again(server, tmp_path):
    server.ranges, server.cuts = False, [PIECE]
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert [wanted for _, wanted, _ in server.requests] == [None, f"bytes={PIECE}-"]
    assert (tmp_path / "corpus.bin").read_bytes() == BODY


@pytest.mark.parametrize("obeys_if_range", [True, False])
def test_two_versions_of_a_file_are_never_mixed(server, tmp_path, obeys_if_range):
    server.cuts = [PIECE, 0]
    with pytest.raises(DownloadError):
        quickly(source_of(server), tmp_path, retries=0)
    server.files["corpus.bin"], server.etag, server.obeys_if_range = (
        OTHER,
        '"second"',
        obeys_if_range,
    )
    server.cuts = []
    quickly(source_of(server), tmp_path)
    assert (tmp_path / "corpus.bin").read_bytes() == OTHER


def test_without_an_etag_or_date_the_size_decides_whether_it_is_the_same_file(server, tmp_path):
    server.etag, server.cuts = None, [PIECE]
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests[1:] == [("corpus.bin", f"bytes={PIECE}-", None)]


def test_without_etag_date_and_length_it_starts_again(server, tmp_path):
    server.etag, server.lengths, server.cuts = None, False, [PIECE]
    quickly(source_of(server, size=len(BODY), sha256=sha256_of(BODY)), tmp_path)
    assert [wanted for _, wanted, _ in server.requests] == [None, None]


def test_bytes_of_a_compressed_answer_are_not_continued(server, tmp_path):
    server.encoding, server.cuts = "gzip", [PIECE]
    server.files["corpus.bin"] = gzip.compress(BODY)
    quickly(source_of(server, size=len(BODY), sha256=sha256_of(BODY)), tmp_path)
    assert [wanted for _, wanted, _ in server.requests] == [None, None]
    assert (tmp_path / "corpus.bin").read_bytes() == BODY


def test_a_part_that_is_whole_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "corpus.bin.part").write_bytes(BODY)
    card = {"url": server.url("corpus.bin"), "total": len(BODY), "validator": '"first"'}
    (tmp_path / "corpus.bin.part.json").write_text(json.dumps(card))
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests == [] and names(tmp_path) == ["corpus.bin"]


def test_where_the_size_was_not_known_the_server_says_that_nothing_is_left(server, tmp_path):
    (tmp_path / "corpus.bin.part").write_bytes(BODY)
    card = {"url": server.url("corpus.bin"), "total": None, "validator": '"first"'}
    (tmp_path / "corpus.bin.part.json").write_text(json.dumps(card))
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests == [("corpus.bin", "bytes=500000-", '"first"')]


@pytest.mark.parametrize(
    "card", [None, "{", '{"url": "http://elsewhere/", "total": 500000, "validator": null}']
)
def test_a_part_that_belongs_to_nothing_known_is_not_continued(server, tmp_path, card):
    (tmp_path / "corpus.bin.part").write_bytes(b"x" * PIECE)
    if card is not None:
        (tmp_path / "corpus.bin.part.json").write_text(card)
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests == [("corpus.bin", None, None)]


def test_another_checksum_is_refused_and_nothing_of_it_stays(server, tmp_path):
    with pytest.raises(
        DamagedFileError, match=r"does not have the SHA-256 0{12}\.\.\. published; it was deleted"
    ):
        quickly(source_of(server, sha256="0" * 64), tmp_path)
    assert names(tmp_path) == []


def test_another_size_is_refused_before_a_byte_is_read(server, tmp_path):
    with pytest.raises(DownloadError, match="must offer 500,001 bytes, got 500,000"):
        quickly(source_of(server, size=500_001), tmp_path)
    assert names(tmp_path) == []


def test_more_bytes_than_published_are_not_read_to_their_end(server, tmp_path):
    server.lengths = False
    with pytest.raises(DownloadError, match="sends more than the 499,999 bytes"):
        quickly(source_of(server, size=499_999), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("published", [{"sha256": "0" * 64}, {"size": 7}])
def test_a_file_that_is_there_is_never_overwritten(server, tmp_path, published):
    (tmp_path / "corpus.bin").write_bytes(BODY)
    with pytest.raises(DamagedFileError, match="It was left alone"):
        quickly(source_of(server, **published), tmp_path)
    assert (tmp_path / "corpus.bin").read_bytes() == BODY and server.requests == []


def test_a_good_file_is_not_downloaded_again(server, tmp_path):
    (tmp_path / "corpus.bin").write_bytes(BODY)
    line = quickly(source_of(server, size=len(BODY), sha256=sha256_of(BODY)), tmp_path)
    assert line == "corpus.bin: there, SHA-256 as published" and server.requests == []


def test_without_a_published_checksum_the_first_download_is_the_measure(server, tmp_path):
    source = source_of(server)
    line = quickly(source, tmp_path)
    assert "Unverified" in line and sha256_of(BODY)[:12] in line
    assert (tmp_path / "corpus.bin.sha256").read_text().split()[0] == sha256_of(BODY)
    assert quickly(source, tmp_path) == "corpus.bin: there, SHA-256 as recorded"
    (tmp_path / "corpus.bin").write_bytes(OTHER)
    with pytest.raises(DamagedFileError, match="left alone"):
        quickly(source, tmp_path)
    (tmp_path / "corpus.bin").unlink()
    assert quickly(source, tmp_path).endswith("as recorded at the first download")
    (tmp_path / "corpus.bin").unlink()
    server.files["corpus.bin"] = OTHER
    with pytest.raises(DamagedFileError, match=r"recorded in corpus\.bin\.sha256"):
        quickly(source, tmp_path)


def test_a_server_that_is_busy_is_asked_again_and_one_that_says_no_is_not(server, tmp_path):
    server.statuses = [503, 429]
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert len(server.requests) == 3
    gone = RemoteFile(server.url("moved.bin"), "moved.bin", "a test")
    with pytest.raises(DownloadError, match=r"answers 404 .*look for moved\.bin on their page"):
        quickly(gone, tmp_path)
    assert len(server.requests) == 4


def test_an_address_that_is_none_is_an_error_of_the_download(tmp_path):
    with pytest.raises(DownloadError, match="cannot be read"):
        quickly(RemoteFile("http://", "corpus.bin", "a test"), tmp_path)


def test_the_file_of_a_source_stays_under_the_root(server, tmp_path):
    with pytest.raises(RetrievalInputError, match="must be a relative path"):
        quickly(RemoteFile(server.url("corpus.bin"), "../corpus.bin", "a test"), tmp_path)


def test_a_second_process_is_refused_while_the_first_downloads(server, tmp_path):
    refused = []

    def during(done, total):
        if not refused:
            with pytest.raises(
                UnwritableFileError, match=r"corpus\.bin\.part is being written by another"
            ) as one:
                quickly(source_of(server), tmp_path)
            refused.append(one)

    quickly(source_of(server, size=len(BODY)), tmp_path, progress=during)
    assert refused and (tmp_path / "corpus.bin").read_bytes() == BODY
    assert names(tmp_path) == ["corpus.bin", "corpus.bin.sha256"]


def test_bytes_of_another_size_than_published_are_never_sealed(server, tmp_path):
    (tmp_path / "corpus.bin.part").write_bytes(
        BODY + OTHER
    )  # as of two processes that wrote into one part
    card = {"url": server.url("corpus.bin"), "total": len(BODY + OTHER), "validator": '"first"'}
    (tmp_path / "corpus.bin.part.json").write_text(json.dumps(card))
    with pytest.raises(DownloadError, match="must give 500,000 bytes, got 900,000"):
        quickly(source_of(server, size=len(BODY)), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("lengths", [True, False])
def test_stopped_while_its_checksum_is_computed_it_does_not_start_again(
    server, tmp_path, monkeypatch, lengths
):
    server.lengths, server.etag = lengths, None

    def stopped(path):
        raise KeyboardInterrupt

    monkeypatch.setattr(downloads, "sha256_of", stopped)
    with pytest.raises(KeyboardInterrupt):
        quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert names(tmp_path) == ["corpus.bin.part", "corpus.bin.part.json"]
    monkeypatch.undo()
    server.requests.clear()
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests == [] and (tmp_path / "corpus.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    ("file", "body", "message"),
    [
        ("a.csv", b"\n<!DOCTYPE html><html>Sign in</html>", "a web page instead of a.csv"),
        ("a.json", b"error: quota", r"no \.json file for a.json: it begins with b'error: quota'"),
        ("a.zip", b"<HTML>", "a web page instead of a.zip"),
        ("a.zip", b"{}", r"no \.zip file"),
        ("a.csv", b"", "an empty file for a.csv"),
    ],
)
def test_what_is_not_the_file_is_never_taken_for_it(server, tmp_path, file, body, message):
    server.files[file] = body
    with pytest.raises(DownloadError, match=f"sent {message}"):
        quickly(RemoteFile(server.url(file), file, "a test"), tmp_path)
    assert names(tmp_path) == []
    (tmp_path / file).write_bytes(body)
    with pytest.raises(DamagedFileError, match="It was left alone"):
        quickly(RemoteFile(server.url(file), file, "a test"), tmp_path)


def test_a_web_page_by_its_type_is_refused_before_it_is_read(server, tmp_path):
    server.kind = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match=r"answers with a web page, not with corpus\.bin"):
        quickly(source_of(server), tmp_path)
    assert names(tmp_path) == []


def test_a_full_disk_names_the_file_and_keeps_the_part(server, tmp_path, monkeypatch):
    def full(done, total):
        raise OSError(28, "No space left on device")

    with pytest.raises(
        UnwritableFileError, match=r"corpus\.bin\.part cannot be written: No space.*free space"
    ):
        quickly(source_of(server), tmp_path, progress=full)
    quickly(source_of(server, sha256=sha256_of(BODY)), tmp_path)
    assert server.requests[-1][1] == f"bytes={CHUNK}-"


def test_an_archive_is_unpacked_once_and_may_then_be_deleted(server, tmp_path):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("val/a.jpg", b"a")
        archive.writestr("val/b.jpg", b"bb")
    server.files["val.zip"] = packed.getvalue()
    source = RemoteFile(server.url("val.zip"), "val.zip", "a test")
    assert obtain(source, tmp_path)[1].startswith("val.zip: 2 files unpacked, 0 were there")
    assert (tmp_path / "val" / "b.jpg").read_bytes() == b"bb"
    (tmp_path / "val" / "b.jpg").unlink()
    assert obtain(source, tmp_path)[1].startswith("val.zip: 1 files unpacked, 1 were there")
    (tmp_path / "val.zip").unlink()
    server.requests.clear()
    assert "unpacked earlier" in obtain(source, tmp_path)[0] and server.requests == []
