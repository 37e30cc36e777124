"""Pages of a manual: a miniature as folder, .tgz and .deb, and files that are not one."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.sketches import load_manual

PAGE = """<html><head><title>The  Bucket Fill tool</title><style>p {}</style></head><body>
<nav>Home</nav><p>Fills an <b>area</b>.</p><script>var x = 1;</script>
<img src="images/small.png"><img src="images/fill%20tool.png" alt="a bucket">
<img src="http://example.org/far.png"><img src="../../outside.png"><img></body></html>"""


def png(width, height, colour):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, "PNG")
    return stream.getvalue()


FILES = {
    "en/fill.html": PAGE.encode(),
    "en/images/small.png": png(16, 16, "blue"),
    "en/images/fill tool.png": png(200, 100, "red"),
    "en/broken.html": b"<title>Broken</title><img src=images/broken.png>",
    "en/images/broken.png": b"\x89PNG\r\n\x1a\n damaged",
    "en/text.html": b"<title>Words alone</title><p>No picture.",
    "en/page.css": b"p {}",
}


@pytest.fixture
def folder(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "manual" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "manual"


def tar(mode):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in FILES.items():
            member = tarfile.TarInfo("./" + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("./en/link.html")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return stream.getvalue()


def deb(data):
    parts = [("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data)]
    content = b"!<arch>\n"
    for name, part in parts:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n"
        content += header.encode() + part + b"\n" * (len(part) % 2)
    return content


def check(pages):
    (page,) = pages
    assert (page.title, page.code) == ("The Bucket Fill tool", "en/fill.html")
    assert page.text == "Fills an area." and page.words.startswith("The Bucket Fill tool. Fills")
    assert page.picture.shape == (64, 64, 3)
    inked = (page.picture != 255).any(axis=2)
    assert (inked.any(axis=1).sum(), inked.any(axis=0).sum()) == (27, 54)  # 200 x 100 in 54
    np.testing.assert_array_equal(page.picture[32, 32], [255, 0, 0])


def test_a_folder_a_tgz_and_a_deb_give_the_same_page(folder, tmp_path):
    check(load_manual(folder))
    (tmp_path / "manual.tgz").write_bytes(tar("w:gz"))
    check(load_manual(tmp_path / "manual.tgz"))
    (tmp_path / "manual.deb").write_bytes(deb(tar("w:xz")))
    check(load_manual(tmp_path / "manual.deb"))


def test_what_is_missing_or_no_manual(tmp_path):
    with pytest.raises(MissingFileError, match="is missing. Give a folder"):
        load_manual(tmp_path / "none.deb")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DamagedFileError, match="no HTML page with a picture"):
        load_manual(tmp_path / "empty")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.deb", b"odd", "begin with !<arch>"),
        ("b.deb", b"!<arch>\n" + b"x" * 60, "header of its members"),
        ("c.deb", b"!<arch>\n", "no data.tar"),
        ("d.deb", deb(tar("w:xz")[:200]), "no archive of a manual"),
        ("e.deb", deb(b"").replace(b"0         `", b"-9        `"), "claims -9 bytes"),
        ("f.tgz", b"odd", "no archive of a manual"),
        ("g.tgz", tar("w:gz")[:300], "no archive of a manual"),
    ],
)
def test_damaged_archives_are_refused(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedFileError, match=why):
        load_manual(tmp_path / name)
