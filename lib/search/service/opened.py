"""The collections of a service: each is opened again when it has changed on disk."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.models.tokenizer import words_of
from lib.search.collection import Collection
from lib.search.collection.sources import MANIFEST

LOOK_AGAIN_S = 1.0
SUGGESTED = 8
MOST_READ = 100_000  # pictures whose words are counted, in 0.3 s
LONGEST_WORD = 40  # letters
FILLERS = {"and", "for", "from", "the", "with"}  # that say nothing of a picture


class OpenCollection:
    """One collection that is searched while it is brought up to date by another process."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self._stamp = self._stamp_now() if (path / MANIFEST).is_file() else None
        self.collection, self._looked = Collection(path), time.monotonic()
        self._lock = threading.Lock()
        self._words: list[str] | None = None

    def _stamp_now(self) -> tuple[int, int]:
        stat = (self.path / MANIFEST).stat()
        return stat.st_mtime_ns, stat.st_ino

    def current(self) -> Collection:
        """Return the collection, and see each second in the background whether it has changed.

        A search that has begun keeps the one that it has, and none waits for a new one.
        """
        if time.monotonic() - self._looked >= LOOK_AGAIN_S:
            self._looked = time.monotonic()
            threading.Thread(target=self.refresh, daemon=True).start()
        return self.collection

    def refresh(self) -> None:
        """Open the collection again if it has changed.

        One that cannot be read does not take the place of one that can.
        """
        with self._lock:
            try:
                stamp = self._stamp_now()
                if stamp != self._stamp:
                    fresh = Collection(self.path)
                    fresh.share([self.collection])
                    fresh.warm_up()
                    self.collection, self._stamp, self._words = fresh, stamp, None
            except (OSError, ValueError):
                pass  # it is being replaced, or it is damaged: the old one answers

    def suggest(self, prefix: str) -> list[str]:
        """Return frequent words of captions and names that begin with a prefix."""
        words = self._words
        if words is None:
            words = self._words = frequent_words(self.collection)
        return suggested(words, prefix)


def frequent_words(collection: Collection) -> list[str]:
    """Return the words of captions and file names, the most frequent first.

    Of a large collection 100,000 pictures at equal distances are read.
    """
    table = collection.table.select(["path", "caption"])
    if len(table) > MOST_READ:
        table = table.take(pa.array(np.linspace(0, len(table) - 1, MOST_READ, dtype=np.int64)))
    names = (path.rpartition("/")[2].rpartition(".")[0] for path in table["path"].to_pylist())
    counts: Counter[str] = Counter()
    for text, name in zip(table["caption"].to_pylist(), names):
        found = set(words_of(f"{text or ''} {name.replace('_', ' ')}"))
        counts.update(w for w in found - FILLERS if 2 < len(w) <= LONGEST_WORD and w.isalpha())
    return [word for word, _ in counts.most_common()]


def suggested(words: list[str], prefix: str) -> list[str]:
    """Return the first words that begin with a prefix."""
    found = (word for word in words if word.startswith(prefix.lower()))
    return list(islice(found, SUGGESTED))


class OpenCollections:
    """All collections of a service, by the names of their folders."""

    def __init__(self, paths: Sequence[str | Path], *, may_be_none: bool = False) -> None:
        if not paths and not may_be_none:
            raise RetrievalInputError("give at least one collection to serve")
        self.by_name: dict[str, OpenCollection] = {}
        for path in map(Path, paths):
            name = path.resolve().name
            if name in self.by_name:
                raise RetrievalInputError(f"two collections are called {name!r}; rename a folder")
            self.by_name[name] = OpenCollection(name, path)
        opened = [one.collection for one in self.by_name.values()]
        for collection in opened:
            collection.share(opened)
            collection.warm_up()

    def named(self, name: str | None) -> OpenCollection:
        """Return a collection by its name; the first one for None."""
        if not self.by_name:
            raise MissingFileError("this service has no pictures, tunes alone: see /hum")
        if name is None:
            return next(iter(self.by_name.values()))
        return self.by_name[check_choice(name, self.by_name, "collection")]
