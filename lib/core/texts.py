"""Bytes of a file that a person wrote, as text."""

import codecs

from lib.core.reading import DamagedFileError

# A longer mark comes first: that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def text_encoding(start: bytes) -> str:
    """Return the encoding that a byte order mark names; UTF-8 without one.

    Args:
        start: the first bytes of a file, at least four where it has as many.
    """
    return next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")


def decode_text(content: bytes, name: str) -> str:
    """Decode a text in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

    Args:
        content: the whole file.
        name: of the file, in errors.

    Returns:
        The text without its mark. What is in another encoding, or no text, is an error.
    """
    try:
        text = content.decode(text_encoding(content[:4]))
    except UnicodeDecodeError as error:
        raise DamagedFileError(
            f"{name} is no text in UTF-8: byte {error.start:,} cannot be read ({error.reason})."
            " Save it as UTF-8"
        ) from error
    if "\0" in text:  # UTF-16 without a mark has them, and so has what is no text
        raise DamagedFileError(f"{name} is no text in UTF-8: it holds zero bytes. Save it as UTF-8")
    return text
