"""Read annotation files of one text, or one JSON object, a line, in any script."""

import json
from collections.abc import Iterator
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError, reading

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
        for line in stream:
            yield line.removesuffix("\n").removesuffix("\r")


def read_json_lines(path: str | Path) -> Iterator[tuple[str, dict]]:
    """Yield `(where, object)` of a file with one JSON object a line; `where` is for errors.

    Blank lines are passed over.
    """
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        with reading(where, "not JSON", ADVICE):
            entry = json.loads(line)
        if not isinstance(entry, dict):
            raise RetrievalInputError(f"{where} must be a JSON object, got {line!r:.60}")
        yield where, entry
