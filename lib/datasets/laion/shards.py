"""Shards: tar files whose members, grouped by name, are samples; read as a stream, never unpacked
to disk.
"""

import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from lib.core.checks import RetrievalInputError, check_count, is_unicode
from lib.core.paths import relative_name
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.media.pictures import MAX_PIXELS, open_picture
from lib.datasets.tar_headers import HeaderStream

MAX_BYTES = 64 << 20  # of one sample; img2dataset's pictures are some 10 kB
MAX_CAPTION = 1 << 16  # characters; a tokenizer reads all of them before it cuts
# The key ends at the FIRST dot behind the last slash: "00/12.seg.png" is the part "seg.png" of
# "00/12".
_NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]*)", re.DOTALL)
_BOOKKEEPING = re.compile(r"__[^/]*__(?:$|/)")  # webdataset's own notes, which belong to no sample
_PICTURES = ("jpg", "jpeg", "png", "webp", "gif", "bmp")  # what `open_picture` reads


@dataclass(frozen=True)
class Sample:
    """The parts of one sample, as bytes.

    Args:
        key: the common name of the members, for example `"000000012"`.
        parts: suffix in lower case -> content.
        offsets: suffix -> byte in the shard at which the content begins.
    """

    key: str
    parts: dict[str, bytes]
    offsets: dict[str, int] = field(default_factory=dict)

    @property
    def picture_suffix(self) -> str:
        """Which part is the picture.

        Raises:
            DamagedFileError: none is. A dot inside the key is a likely cause: the suffix starts at
                the first.
        """
        for suffix in _PICTURES:
            if suffix in self.parts:
                return suffix
        raise DamagedFileError(
            f"sample {self.key!r} has no picture, its parts are {', '.join(self.parts)}; a picture"
            f" would be one of {', '.join(_PICTURES)}, and a key may have no dot"
        )

    def picture(self, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """The picture as RGB; what is none, or has more than `max_pixels`, raises as `open_picture`
        does.
        """
        suffix = self.picture_suffix
        return open_picture(
            self.parts[suffix], max_pixels, name=f"the picture of sample {self.key!r}"
        )

    def caption(self) -> str:
        """The part `txt`, without white space around it.

        Raises:
            DamagedFileError: there is none, it is blank (img2dataset writes a null caption so),
                longer than `MAX_CAPTION`, or no UTF-8.
        """
        try:
            text = self.parts["txt"].decode("utf-8-sig").strip()
        except KeyError:
            raise DamagedFileError(
                f"sample {self.key!r} has no caption: no member {self.key}.txt"
            ) from None
        except UnicodeDecodeError as error:
            raise DamagedFileError(
                f"the caption of sample {self.key!r} is no UTF-8: {error}"
            ) from error
        if not text:
            raise DamagedFileError(f"the caption of sample {self.key!r} is blank")
        if len(text) > MAX_CAPTION:
            raise DamagedFileError(
                f"the caption of sample {self.key!r} has {len(text):,} characters, more than"
                f" {MAX_CAPTION:,}"
            )
        return text

    def notes(self) -> dict:
        """The part `json`, for example `url`, `status` and `width`; nothing if there is none.

        Raises:
            DamagedFileError: no JSON object.
        """
        try:
            notes = json.loads(self.parts.get("json", b"{}"))
        except (ValueError, RecursionError) as error:
            raise DamagedFileError(
                f"the json of sample {self.key!r} cannot be read: {error}"
            ) from error
        if not isinstance(notes, dict):
            raise DamagedFileError(
                f"the json of sample {self.key!r} is no object but {notes!r:.40}"
            )
        return notes

    def url(self) -> str | None:
        """The note `url`, None where there is none; a DamagedFileError where it is no text."""
        url = self.notes().get("url")
        if url is not None and not (isinstance(url, str) and is_unicode(url)):
            raise DamagedFileError(f"the url of sample {self.key!r} is {url!r:.80}, expected text")
        return url


@dataclass
class TarReport:
    """What reading a shard met, up to where it came.

    Args:
        samples: whole samples given.
        refused: (member, why) for each that was passed over.
        cut: keys of samples that the damage left incomplete; they were not given.
        damage: what is wrong with the file and from which byte on nothing was read; empty when all
            was read.
    """

    samples: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)
    damage: str = ""

    @property
    def ok(self) -> bool:
        return not (self.refused or self.damage)


class TarSamples:
    """The samples of one shard, one at a time, in file order.

    Members that follow each other and share a key make a sample, as in webdataset. Damage does not
    raise: the samples before it are given, and the report says what is wrong. Of a damaged shard,
    the last sample counts as whole when it has every part that the one before it had.

    Passed over, and reported: a name that is absolute or has a `..` part, a link, device or pipe, a
    name without a key, a part that its sample already has, a key that came before, and what would
    make a sample larger than `max_bytes`. Folders and webdataset's `__notes__` are passed over
    without a word.

    Args:
        path: an uncompressed tar file.
        max_bytes: of the parts of one sample together: what is held in memory.

    Attributes:
        report: a `TarReport` of the last pass, as far as it went.

    Raises:
        MissingFileError: no such file.

    Relations: `Shard` joins the samples with the table that img2dataset writes beside them.

    Reference: Aizman, Maltby and Breuel 2019, "High performance I/O for large scale deep learning".
    """

    def __init__(self, path: str | Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path, self.max_bytes = Path(path), check_count(max_bytes, "max_bytes")
        if not self.path.is_file():
            raise MissingFileError(f"the shard {self.path} is missing")
        self.report = TarReport()

    def __iter__(self) -> Iterator[Sample]:
        self.report = report = TarReport()
        held, parts_before, seen = None, frozenset(), set()
        with self.path.open("rb") as stream:
            for key, suffix, content, offset in self._parts(stream, report):
                if held is not None and held.key != key:
                    parts_before = frozenset(held.parts)
                    report.samples += 1
                    yield held
                    held = None
                if held is None and key not in seen:
                    seen.add(key)
                    held = Sample(key, {})
                if suffix is None:
                    continue
                if held is None:
                    report.refused.append(
                        (f"{key}.{suffix}", "its key came before, in another place")
                    )
                elif suffix in held.parts:
                    report.refused.append((f"{key}.{suffix}", "its sample has such a part already"))
                elif sum(map(len, held.parts.values())) + len(content) > self.max_bytes:
                    report.refused.append((f"{key}.{suffix}", _larger(self.max_bytes)))
                else:
                    held.parts[suffix], held.offsets[suffix] = content, offset
        if held is None or not (held.parts or report.damage):
            return
        if report.damage and not (parts_before and parts_before <= set(held.parts)):
            report.cut.append(held.key)
            return
        report.samples += 1
        yield held

    def _parts(
        self, stream: BinaryIO, report: TarReport
    ) -> Iterator[tuple[str, str | None, bytes, int]]:
        """Key, suffix, content and place of each member that may be read; suffix None announces a
        new key.
        """
        last = None
        try:
            headers = HeaderStream(stream)
            with tarfile.open(fileobj=headers, mode="r:") as archive:
                for member in archive:
                    archive.members = []  # tarfile remembers every member; a stream needs none of them
                    last = member.name
                    headers.check(archive, member)
                    found = self._member(member, report)
                    if found is not None:
                        # The key first: what was held is whole, even if this member's content is
                        # cut.
                        yield found[0], None, b"", 0
                        stream.seek(member.offset_data)
                        content = stream.read(member.size)
                        if len(content) < member.size:
                            raise EOFError("unexpected end of data")
                        yield *found, content, member.offset_data
                self._check_end(stream, archive.offset, report)
        # Chains of headers that announce headers end in a RecursionError, odd sparse files in an
        # IndexError.
        except (
            tarfile.TarError,
            OSError,
            EOFError,
            ValueError,
            LookupError,
            RecursionError,
        ) as error:
            where = f"in or behind {last!r}" if last else "at its start"
            report.damage = f"{self.path.name} is damaged {where}: {error}"

    def _member(self, member: tarfile.TarInfo, report: TarReport) -> tuple[str, str] | None:
        if member.isdir() or _BOOKKEEPING.match(member.name):
            return None
        match = _NAME.fullmatch(member.name)
        reason = ""
        if not member.isreg() or member.issparse():
            reason = "it is a link, a device, a pipe or sparse; only plain files are read"
        elif member.size > self.max_bytes:
            reason = _larger(self.max_bytes)
        elif match is None:
            reason = "its name has no key and suffix, as in 000000012.jpg"
        else:
            try:
                relative_name(member.name, "the shard")
            except RetrievalInputError as error:
                reason = str(error)
            if not is_unicode(member.name):
                reason = "its name is no UTF-8"
        if reason:
            report.refused.append((member.name, reason))
            return None
        return match[1], match[2].lower()

    def _check_end(self, stream: BinaryIO, offset: int, report: TarReport) -> None:
        # tarfile takes a missing or broken header for the end; the end is a block of zeros, then
        # zeros only.
        stream.seek(offset)
        block = stream.read(tarfile.BLOCKSIZE)
        size = os.fstat(stream.fileno()).st_size
        if len(block) < tarfile.BLOCKSIZE:
            report.damage = (
                f"{self.path.name} ends at byte {size:,} without the mark of an end: it was cut"
            )
        elif any(block):
            report.damage = (
                f"{self.path.name} has no member's header at byte {offset:,}, where one should be"
            )
        while not report.damage and (more := stream.read(1 << 20)):
            if more.strip(b"\0"):
                report.damage = (
                    f"{self.path.name} has content behind the end at byte {offset:,}, not read"
                )


def _larger(limit: int) -> str:
    return f"with it, its sample is larger than {limit:,} bytes"
