"""Read plain text lists: one id a line, or one row a line, as splits and captions are published."""

from collections.abc import Iterator
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.datasets.text_lines import read_lines


def numbered_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield `(line, text)` of `read_lines`, without empty lines; lines count from 1."""
    for line, text in enumerate(read_lines(path), start=1):
        if text.strip():
            yield line, text


def read_ids(path: str | Path) -> list[str]:
    """Read a list of ids, one a line; an id that occurs twice and an empty list are errors."""
    line_of: dict[str, int] = {}
    for line, text in numbered_lines(path):
        name = text.strip()
        if name in line_of:
            raise RetrievalInputError(
                f"{path}, line {line}: {name!r} is also in line {line_of[name]}. Fetch it again"
            )
        line_of[name] = line
    if not line_of:
        raise RetrievalInputError(f"{path} must list ids, one a line, got none. Fetch it again")
    return list(line_of)


def check_disjoint(chosen: list[str], test: list[str], path: Path, test_set: str) -> None:
    """Refuse a list of training items that shares some with a test set."""
    shared = sorted(set(test) & set(chosen))
    if shared:
        raise RetrievalInputError(
            f"{path}: {len(shared):,} of its videos are in {test_set}, the first is {shared[0]!r};"
            " a model trained on them has seen the answers"
        )
