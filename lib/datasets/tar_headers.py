"""What lies beneath tarfile while it reads headers, so that none can ask for memory or time without
end.
"""

import re
import tarfile
from typing import BinaryIO

MAX_HEADER = 2**16  # of one; a long name takes some 5,000 bytes
_DIGITS = re.compile(
    rb"[0-9]{256}"
)  # tarfile's own search through digits takes time with their square


class HeaderStream:
    """A stream that gives headers of tar files and refuses hostile ones.

    Args:
        stream: the tar, decompressed.
        in_a_row: bytes of headers that may follow each other without a call of `check`.

    Attributes:
        listing: False lets everything through, for the content of members.
    """

    def __init__(self, stream: BinaryIO, in_a_row: int = 2**20) -> None:
        self.stream, self.in_a_row, self.listing = stream, in_a_row, True
        self.left, self.empty = in_a_row, 0

    def read(self, size: int) -> bytes:
        if not self.listing:
            return self.stream.read(size)
        if size > MAX_HEADER or self.left < 0:
            raise tarfile.ReadError(
                f"more than {MAX_HEADER:,} bytes of header, or {self.in_a_row:,} in a row"
            )
        content = self.stream.read(size)
        self.left -= len(content)
        self.empty = 0 if content else self.empty + 1
        if self.empty > 4:  # tarfile reads on for the end of a list
            raise tarfile.ReadError("it ends within a header")
        if size > tarfile.BLOCKSIZE and _DIGITS.search(content):
            raise tarfile.ReadError("a header of digits")
        return content

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def check(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Refuses a member of a negative size, after which tarfile would read the same header for
        ever.
        """
        if member.size < 0 or archive.offset < member.offset_data:
            raise tarfile.ReadError(f"{member.name!r} claims {member.size:,} bytes")
        self.left = self.in_a_row
