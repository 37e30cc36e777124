"""Read untrusted tar files: bounded headers, no endless loops, and a check of the end."""

import re
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

MAX_HEADER = 2**16  # bytes of one header; a long name takes about 5,000
MAX_HEADERS = 2**20  # bytes of headers between two members
# tarfile searches through digits in time that grows with the square of their number.
_DIGITS = re.compile(rb"[0-9]{256}")


class _HeaderStream:
    """Stream that tarfile reads headers from; hostile headers raise `tarfile.ReadError`."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.unlimited = stream, False
        self.n_left, self.n_empty = MAX_HEADERS, 0

    def read(self, size: int) -> bytes:
        if self.unlimited:
            return self.stream.read(size)
        if size > MAX_HEADER or self.n_left < 0:
            raise tarfile.ReadError(f"headers of more than {MAX_HEADER:,} bytes, or too many")
        content = self.stream.read(size)
        self.n_left -= len(content)
        self.n_empty = 0 if content else self.n_empty + 1
        if self.n_empty > 4:  # at the end of a file, tarfile keeps asking for the rest of a list
            raise tarfile.ReadError("it ends within a header")
        if size > tarfile.BLOCKSIZE and _DIGITS.search(content):
            raise tarfile.ReadError("a header of digits")
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()


class TarReader:
    """Read the members of an uncompressed tar stream, in file order.

    Iterating gives `tarfile.TarInfo`s; damage raises `tarfile.TarError` or what tarfile raises.
    After the last member, `archive.offset` is the position of the end.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._headers = _HeaderStream(stream)
        self.archive = tarfile.TarFile(fileobj=self._headers)

    def __iter__(self) -> Iterator[tarfile.TarInfo]:
        for member in self.archive:
            self.archive.members = []  # tarfile keeps every member; a stream needs none of them
            # After a negative size, tarfile would read the same header for ever.
            if member.size < 0 or self.archive.offset < member.offset_data:
                raise tarfile.ReadError(f"{member.name!r} claims {member.size:,} bytes")
            self._headers.n_left = MAX_HEADERS
            yield member
        self._headers.unlimited = True

    def end_block(self) -> bytes:
        """Read the block after the last member: zeros, unless a header is missing or broken."""
        self._headers.seek(self.archive.offset)
        return self._headers.read(tarfile.BLOCKSIZE)
