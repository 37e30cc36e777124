"""What was found beside what is published, so that no corpus shrinks without a word."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.writing import atomic_path

MINIATURE = "miniature.json"  # a root that holds this file states its own counts


class MissingMediaError(RetrievalInputError):
    """Media files that the annotations name are not there.

    Args:
        message: what is missing, and what to do.
        name: the corpus, as it is shown.
        count: how many were found, of how many.
        missing: the names of the others, relative to the root.
    """

    def __init__(self, message: str, name: str, count: Count, missing: Sequence[str]) -> None:
        super().__init__(message)
        self.name, self.count, self.missing = name, count, tuple(missing)


@dataclass(frozen=True)
class Count:
    """One number of a corpus as found, and as its authors publish it.

    Args:
        what: the things counted, in the plural: `"clips"`.
        found: how many there are here.
        published: how many there should be.
    """

    what: str
    found: int
    published: int

    @property
    def ok(self) -> bool:
        return self.found == self.published

    def text(self) -> str:
        """`"found 883 of 975 clips"`."""
        return f"found {self.found:,} of {self.published:,} {self.what}"


def check_counts(counts: Sequence[Count], name: str, allow_partial: bool = False) -> None:
    """Refuses a corpus whose numbers differ from the published ones.

    Args:
        counts: what was counted.
        name: the corpus, and which part of it, for the message.
        allow_partial: the caller knows, and shows the counts beside every result.

    Raises:
        RetrievalInputError: some number differs; the message lists every one that does.
    """
    wrong = [count.text() for count in counts if not count.ok]
    if wrong and not allow_partial:
        raise RetrievalInputError(
            f"{name}: {'; '.join(wrong)}. Numbers on another gallery are not comparable with"
            " published ones. Get the complete files again, or pass allow_partial=True to evaluate"
            " what there is"
        )


def check_media(
    count: Count, missing: Sequence[str], name: str, allow_partial: bool = False
) -> None:
    """Refuses a corpus of which media files are missing.

    Args:
        count: items whose media are there, of those that the annotations name.
        missing: the names of the others, relative to the root, in evaluation order.
        name: the corpus.
        allow_partial: leave out what is missing, with its texts.

    Raises:
        MissingMediaError: something is missing and `allow_partial` is false, or everything is.
    """
    if not missing or (allow_partial and count.found):
        return
    first = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
    advice = "Check the root: it should hold the media in the layout that data/README.md shows"
    if count.found:
        advice = "allow_partial=True evaluates those found, and the result says so"
    message = (
        f"{name}: {count.text()}; first missing: {first}; "
        f"`crossmodal data check {name.split(' ')[0]} --root DIR` lists them. {advice}"
    )
    raise MissingMediaError(message, name, count, missing)


def published_counts(
    root: str | Path, name: str, split: str, published: Mapping[str, Mapping[str, int]]
) -> tuple[str, dict[str, int]]:
    """The counts that a corpus under `root` has to have: the published ones, or a miniature's own.

    Args:
        root: the folder of the corpus; a miniature has `miniature.json` in it.
        name: the corpus.
        split: a split of `published`.
        published: `{split: {what: number}}`, as the authors give them.

    Returns:
        The name to show, `"coco"` or `"coco (miniature)"`, and `{what: number}` of the split.

    Raises:
        RetrievalInputError: an unknown split, or a `miniature.json` that is damaged, of another
            corpus, or without this split or one of its counts.
    """
    check_choice(split, published, "split")
    path = Path(root) / MINIATURE
    if not path.is_file():
        return name, dict(published[split])
    try:
        card = json.loads(path.read_bytes())
        of, stated = card["name"], card["splits"]
        if of != name:
            raise RetrievalInputError(
                f"{path} is of a miniature of {of!r}, expected {name!r}. Check the root"
            )
        counts = {
            what: check_count(stated[split][what], what, least=0) for what in published[split]
        }
    except RetrievalInputError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:  # bad JSON is a ValueError
        raise RetrievalInputError(
            f"{path} must state {', '.join(published[split])} of the split {split!r}: {error!r}. "
            f"Write it again with `crossmodal data fixture {name} DIR`"
        ) from error
    return f"{name} (miniature)", counts


def write_miniature_card(
    folder: str | Path, name: str, splits: Mapping[str, Mapping[str, int]]
) -> None:
    """Writes `miniature.json`: the folder holds a miniature of `name` with these counts in each
    split.

    Relations: `published_counts` reads it.
    """
    with atomic_path(Path(folder) / MINIATURE) as path:
        path.write_text(
            json.dumps({"name": name, "splits": splits}, indent=1) + "\n", encoding="utf-8"
        )
