"""The collections of a service: each is opened again when it has changed on disk."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.models.tokenizer import words_of
from lib.search.collection import Collection

LOOK_AGAIN_S = 1.0
SUGGESTED = 8


class OpenCollection:
    """One collection that is searched while it is brought up to date by another process."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path
        self.collection = Collection(path)
        self._stamp, self._looked = self._stamp_now(), time.monotonic()
        self._lock = threading.Lock()
        self._words: list[str] | None = None

    def _stamp_now(self) -> tuple[int, int]:
        stat = (self.path / "collection.json").stat()
        return stat.st_mtime_ns, stat.st_ino

    def current(self) -> Collection:
        """Return the collection as it is on disk, at most a second old.

        A search that has begun keeps the one that it has. One that cannot be read does not take
        the place of one that can.
        """
        if time.monotonic() - self._looked < LOOK_AGAIN_S or not self._lock.acquire(blocking=False):
            return self.collection
        try:
            stamp = self._stamp_now()
            if stamp != self._stamp:
                fresh = Collection(self.path)
                fresh.share_encoder([self.collection])
                fresh.warm_up()
                self.collection, self._stamp, self._words = fresh, stamp, None
        except (OSError, ValueError):
            pass  # it is being replaced, or it is damaged: the old one answers
        finally:
            self._looked = time.monotonic()
            self._lock.release()
        return self.collection

    def suggest(self, prefix: str) -> list[str]:
        """Return frequent words of captions and names that begin with a prefix."""
        if self._words is None:
            counts: Counter[str] = Counter()
            table = self.collection.table
            for column in ("caption", "path"):
                for text in table[column].to_pylist():
                    counts.update(w for w in set(words_of(text)) if len(w) > 2 and w.isalpha())
            self._words = [word for word, _ in counts.most_common()]
        prefix = prefix.lower()
        found = (word for word in self._words if prefix and word.startswith(prefix))
        return [word for word, _ in zip(found, range(SUGGESTED))]


class OpenCollections:
    """All collections of a service, by the names of their folders."""

    def __init__(self, paths: Sequence[str | Path]) -> None:
        if not paths:
            raise RetrievalInputError("give at least one collection to serve")
        self.by_name: dict[str, OpenCollection] = {}
        for path in map(Path, paths):
            name = path.resolve().name
            if name in self.by_name:
                raise RetrievalInputError(f"two collections are called {name!r}; rename a folder")
            self.by_name[name] = OpenCollection(name, path)
        opened = [one.collection for one in self.by_name.values()]
        for collection in opened:
            collection.share_encoder(opened)
            collection.warm_up()

    def named(self, name: str | None) -> OpenCollection:
        """Return a collection by its name; the first one for None."""
        if name is None:
            return next(iter(self.by_name.values()))
        return self.by_name[check_choice(name, self.by_name, "collection")]
