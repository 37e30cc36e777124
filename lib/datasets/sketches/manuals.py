"""Real pages with pictures: an HTML manual in a folder, a `.deb` or a `.tgz` that the user has.

For example GIMP's manual (Debian's `gimp-help-en`) or the gallery of scikit-learn
(`python-sklearn-doc`). A page has the title and the text of the file, and its largest picture.
Nothing is unpacked to disk, and pictures that cannot be read are left out.
"""

import io
import posixpath
import tarfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.media.pictures import open_picture
from lib.datasets.sketches.pages import Page

PAGES, PICTURES = (".html", ".htm"), (".png", ".jpg", ".jpeg", ".gif", ".webp")
SIZE, SPAN = 64, 54  # pixels of a picture, and of its longer side
MOST_BYTES, MOST_IN_ALL = 2**24, 2**29  # of a file, of all files that are kept
SMALLEST = 48  # pixels, the shorter side: smaller pictures are buttons
SILENT = frozenset(["script", "style", "nav"])
ADVICE = "Give a folder of HTML files, a .deb, or a .tgz of one"


def load_manual(source: str | Path) -> list[Page]:
    """Load the pages of a manual that show a picture, ordered by path.

    Args:
        source: a folder, a `.deb`, or a `.tar.gz`, `.tgz`, `.tar.xz` or `.tar`.

    Returns:
        Pages whose `code` is the path inside the manual.
    """
    source, files, total = Path(source), {}, 0
    for name, content in _files_of(source):
        total += len(content)
        if total > MOST_IN_ALL:
            raise RetrievalInputError(
                f"{source} holds more than {MOST_IN_ALL:,} bytes of pages and pictures. Give a part"
            )
        files[name] = content
    pages = []
    for name in sorted(files):
        if name.lower().endswith(PAGES):
            parser = _PageParser()
            parser.feed(files[name].decode("utf-8", "replace"))
            picture = _largest_picture(parser.pictures, name, files)
            if picture is not None:
                title = " ".join("".join(parser.title).split()) or posixpath.basename(name)
                pages.append(Page(title, " ".join("".join(parser.text).split()), picture, name))
    if not pages:
        raise DamagedFileError(f"{source} holds no HTML page with a picture. {ADVICE}")
    return pages


# ---- files


def _files_of(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each page and picture."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if _is_wanted(path.name, path.stat().st_size if path.is_file() else -1):
                yield path.relative_to(source).as_posix(), path.read_bytes()
        return
    if not source.is_file():
        raise MissingFileError(f"{source} is missing. {ADVICE}")
    with reading(source, "no archive of a manual", ADVICE), source.open("rb") as stream:
        inner = _data_of_deb(stream) if source.suffix == ".deb" else stream
        with tarfile.open(fileobj=inner, mode="r|*") as archive:
            for member in archive:
                if member.isfile() and _is_wanted(member.name, member.size):
                    yield posixpath.normpath(member.name), archive.extractfile(member).read()
                archive.members = []  # a stream needs none of them again


def _is_wanted(name: str, size: int) -> bool:
    return 0 <= size <= MOST_BYTES and name.lower().endswith((*PAGES, *PICTURES))


def _data_of_deb(stream: io.BufferedReader) -> io.BufferedReader:
    """Find the archive of files in a Debian package; format: deb(5)."""
    if stream.read(8) != b"!<arch>\n":
        raise ValueError("it does not begin with !<arch>")
    while header := stream.read(60):
        if len(header) < 60 or header[58:] != b"`\n":
            raise ValueError("a header of its members is broken")
        name, size = header[:16].decode("ascii").strip(" /"), int(header[48:58])
        if size < 0:
            raise ValueError(f"{name} claims {size} bytes")
        if name.startswith("data.tar"):
            return stream
        stream.seek(size + size % 2, io.SEEK_CUR)
    raise ValueError("it has no data.tar")


# ---- pages


class _PageParser(HTMLParser):
    """Collect title, visible text and the addresses of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.title: list[str] = []
        self.text: list[str] = []
        self.pictures: list[str] = []
        self.open: list[str] = []  # silent elements, and the title

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.pictures.append(dict(attributes).get("src") or "")
        elif tag in SILENT or tag == "title":
            self.open.append(tag)
        else:
            self.text.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self.open:
            self.text.append(data)
        elif self.open[-1] == "title":
            self.title.append(data)


def _largest_picture(addresses: list[str], page: str, files: dict[str, bytes]) -> np.ndarray | None:
    """The largest picture of a page that can be read, uint8 (64, 64, 3), or None."""
    best, area = None, 0
    for address in dict.fromkeys(addresses):
        parts = urlsplit(address)
        name = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(parts.path)))
        if parts.scheme or parts.netloc or name not in files:
            continue
        try:
            picture = open_picture(files[name], name=name, mode="RGBA")
        except (DamagedFileError, RetrievalInputError):
            continue
        if min(picture.size) >= SMALLEST and picture.width * picture.height > area:
            best, area = picture, picture.width * picture.height
    return None if best is None else _on_page(best)


def _on_page(picture: Image.Image) -> np.ndarray:
    picture.thumbnail((SPAN, SPAN), Image.Resampling.BOX)
    page = Image.new("RGBA", (SIZE, SIZE), "white")
    left, top = ((SIZE - side) // 2 for side in picture.size)
    page.alpha_composite(picture, (left, top))
    return np.asarray(page.convert("RGB"))
