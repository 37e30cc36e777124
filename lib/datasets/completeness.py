"""Counts and media files of a corpus against the published ones: a partial corpus is announced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.writing import atomic_path

MINIATURE = "miniature.json"  # a root that holds this file states its own counts


class MissingMediaError(RetrievalInputError):
    """Report media files that do not exist, in `name`, `count` and `missing`."""

    def __init__(self, message: str, name: str, count: Count, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.name, self.count, self.missing = name, count, tuple(missing)


@dataclass(frozen=True)
class Count:
    """One number of a corpus: items found here and items published; `what` is a plural noun.

    `published` is None where nobody has published the number, as for a draw of our own.
    """

    what: str
    found: int
    published: int | None

    @property
    def ok(self) -> bool:
        return self.published in (None, self.found)

    def text(self) -> str:
        """Format the count as `"found 883 of 975 clips"`."""
        of = "" if self.published is None else f" of {self.published:,}"
        return f"found {self.found:,}{of} {self.what}"


def wrong_counts(counts: Sequence[Count]) -> str:
    """List the counts that differ from the published ones; empty where all agree."""
    return "; ".join(count.text() for count in counts if not count.ok)


def check_counts(counts: Sequence[Count], name: str, allow_partial: bool = False) -> None:
    """Refuse a corpus with other counts than the published ones, unless that is allowed."""
    wrong = wrong_counts(counts)
    if wrong and not allow_partial:
        raise RetrievalInputError(
            f"{name}: {wrong}. Numbers on another gallery are not comparable with published ones."
            " Get the complete files again, or evaluate what there is with allow_partial=True"
            " (--allow-partial)"
        )


def check_media(
    count: Count, missing: Sequence[str], name: str, allow_partial: bool = False
) -> None:
    """Refuse a corpus with missing media files, unless that is allowed and some files exist."""
    if not missing or (allow_partial and count.found):
        return
    first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    advice = "Check the root: it should hold the media in the layout that data/README.md shows"
    if count.found:
        advice = "allow_partial=True (--allow-partial) evaluates those found; the result says so"
    message = (
        f"{name}: {count.text()}; first missing: {first}; "
        f"`crossmodal data check {name.split(' ')[0]} --root DIR` lists them. {advice}"
    )
    raise MissingMediaError(message, name, count, missing)


def published_counts(
    root: str | Path, name: str, split: str, published: Mapping[str, Mapping[str, int]]
) -> tuple[str, dict[str, int]]:
    """Return the name to show and the counts `{what: number}` that a split must have.

    A root with `miniature.json` states its own counts, and `" (miniature)"` is added to the name;
    otherwise they are `published[split]`.
    """
    check_choice(split, published, "split")
    path = Path(root) / MINIATURE
    if not path.is_file():
        return name, dict(published[split])
    try:
        card = json.loads(path.read_bytes())
        card_name, stated = card["name"], card["splits"]
        if card_name != name:
            raise RetrievalInputError(
                f"{path} is of a miniature of {card_name!r}, expected {name!r}. Check the root"
            )
        numbers = stated[split]
        counts = {what: check_count(numbers[what], what, least=0) for what in published[split]}
    except RetrievalInputError as error:
        if str(path) in str(error):
            raise
        raise RetrievalInputError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # bad JSON is a ValueError
        raise RetrievalInputError(
            f"{path} must state {', '.join(published[split])} of the split {split!r}: {error!r}. "
            f"Write it again with `crossmodal data fixture {name} DIR`"
        ) from error
    return f"{name} (miniature)", counts


def write_miniature_card(
    folder: str | Path, name: str, splits: Mapping[str, Mapping[str, int]]
) -> None:
    """Write `miniature.json`: the folder holds a miniature of `name` with these counts."""
    with atomic_path(Path(folder) / MINIATURE) as path:
        content = json.dumps({"name": name, "splits": splits}, indent=1)
        path.write_text(content + "\n", encoding="utf-8")
