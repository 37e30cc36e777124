"""Read annotation files of one text, or one JSON object, a line, in any script."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError, reading

ADVICE = "Fetch the file again"


def read_lines(path: str | Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their ends, unchanged otherwise.

    A line ends at a line feed alone, or at a carriage return and a line feed. Python's
    `splitlines` also cuts at characters that may stand inside a sentence, such as U+2028. Letters
    stay as they are in the file: no Unicode form is made from another. A mark at the start of the
    file (U+FEFF) is left out.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing")
    with (
        reading(path, "not UTF-8 text", ADVICE),
        open(path, encoding="utf-8-sig", newline="\n") as stream,
    ):
        try:
            for line in stream:
                yield line.removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            raise not_utf8(path) from error


def not_utf8(path: Path) -> DamagedFileError:
    """Return the error of a file that is not UTF-8, with the line of the first wrong byte."""
    with open(path, "rb") as stream:
        for number, line in enumerate(stream, start=1):
            try:
                line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                return DamagedFileError(
                    f"{path} is not UTF-8 text: line {number} has the byte"
                    f" {line[error.start]:#04x} ({error.reason}). {ADVICE}; a file in"
                    " another encoding, such as Latin-1, must be saved as UTF-8"
                )
    return DamagedFileError(f"{path} is not UTF-8 text. {ADVICE}")


def read_json_lines(path: str | Path) -> Iterator[tuple[str, dict]]:
    """Yield `(where, object)` of a file with one JSON object a line; `where` is for errors.

    Blank lines are passed over.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        with reading(where, "not JSON", ADVICE):
            entry = json.loads(line, object_pairs_hook=partial(distinct_keys, where))
        if not isinstance(entry, dict):
            raise RetrievalInputError(f"{where} must be a JSON object, got {line!r:.60}")
        yield where, entry


def distinct_keys(place: str, pairs: list[tuple[str, object]]) -> dict:
    """Make a dict of an object in JSON; the same key twice is an error, not the last value."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise RetrievalInputError(
            f"{place}: the key {twice!r:.80} is there twice in one object. Fetch the file again"
        )
    return found
