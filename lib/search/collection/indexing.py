"""Give a collection the index that its size needs: tune it, keep it, build it again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_number
from lib.core.workers import HERE, Workers
from lib.index import VectorSearchIndex
from lib.index.base import TooFewVectorsError
from lib.index.tuning import Config, tune
from lib.index.tuning.choice import LEAST_ROWS
from lib.index.tuning.ladders import KNOWN
from lib.index.tuning.trials import build
from lib.search.collection.collection import Collection
from lib.search.collection.files import CollectionFolder, Manifest, StoredIndex
from lib.search.collection.text_queries import text_queries

EXACT_UP_TO = 50_000  # pictures; as many are compared in milliseconds
PAGE = 50  # hits that recall counts: a page, and room for copies that are folded
STALE = 0.1  # share of pictures that came or went, from which an index is built again
KINDS = ("text", "image", "both")
Log = Callable[[str], None]


@dataclass(frozen=True)
class IndexWish:
    """Targets of an index: recall, memory, and the queries that count.

    Args:
        recall: share of the true best pictures that it finds, with every kind of query.
        ram: bytes that it may take; None for no limit.
        queries: "text", "image" or "both".
        families: kinds of index to choose from, "Flat" (exact) among them; those of `tune` when
            None.
    """

    recall: float = 0.95
    ram: int | None = None
    queries: str = "both"
    families: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.families is not None:  # a list where it comes from JSON
            names = tuple(check_choice(name, KNOWN, "family") for name in self.families)
            object.__setattr__(self, "families", names)
        check_number(self.recall, "recall", 0, 1, above=True)
        check_choice(self.queries, KINDS, "queries")
        if self.ram is not None:
            check_count(self.ram, "ram")


def update_index(
    path: str | Path,
    wish: IndexWish | None = None,
    *,
    cluster: Workers = HERE,
    log: Log = lambda line: None,
) -> str:
    """Bring the index of a collection up to date, and say in a sentence what was done.

    Without a wish a collection of up to 50,000 pictures is searched exactly, and a larger one gets
    what `IndexWish()` asks for; an index that is there keeps the wish that it was tuned for. It is
    built again with its settings when more than a tenth of its pictures came or went, and tuned
    again when their number has doubled or halved. The workers of a cluster share the building.
    """
    folder = CollectionFolder(path)
    manifest = folder.read()
    stored = manifest.index
    known = _wish_of(stored)
    if wish is None and known is None and manifest.rows <= EXACT_UP_TO:
        return f"search is exact, as for all collections of up to {EXACT_UP_TO:,} pictures"
    wish = wish or known or IndexWish()
    if stored is None or wish != known:
        return tune_index(path, wish, cluster=cluster, log=log)
    later, gone = _changes(Collection(path), stored)
    if later + gone <= STALE * stored.rows:
        return (
            f"the index of {stored.rows:,} pictures stays: {later:,} later ones are searched"
            f" exactly, {gone:,} are gone"
        )
    changed = f"{later:,} pictures came and {gone:,} went since the index was built"
    tuned_rows = int(stored.chosen.get("rows", stored.rows))
    if tuned_rows / 2 < manifest.rows < 2 * tuned_rows:
        try:
            return f"{changed}; {_build_again(folder, stored, cluster)}"
        except TooFewVectorsError:
            pass
    return f"{changed}; {tune_index(path, wish, cluster=cluster, log=log)}"


def tune_index(
    path: str | Path,
    wish: IndexWish,
    *,
    cluster: Workers = HERE,
    log: Log = lambda line: None,
) -> str:
    """Choose, build and store the index of a collection; say in a sentence what it is."""
    folder = CollectionFolder(path)
    manifest = folder.read()
    if manifest.rows < LEAST_ROWS:
        if manifest.index is not None:
            with folder.writing():
                _store(folder, folder.read(), None)
        return f"search is exact: {manifest.rows:,} pictures need no index"
    with folder.writing():
        manifest, opened = folder.read(), Collection(path)
        queries, source = {}, ""
        if wish.queries != "image":
            texts, source = text_queries(opened)
            if not texts and wish.queries == "text":
                raise RetrievalInputError(
                    f"{path} gives no text queries ({source}); tune for --queries image"
                )
            log(
                f"text queries: {len(texts):,} from {source}"
                if texts
                else f"text queries: {source}"
            )
            if texts:
                queries["text"] = opened.encoder.encode_text(texts)
        tuning = tune(
            opened,
            queries,
            held_out=None if wish.queries == "text" else "image",
            recall=wish.recall,
            ram=wish.ram,
            k=PAGE,
            families=wish.families,
            ids=opened.ids,
            workers=cluster,
            log=log,
        )
        chosen = tuning.facts() | {"rows": len(opened), "wish": asdict(wish)}
        chosen["texts"] = source if queries else "none"
        setting = dict(tuning.chosen.setting)
        _store(folder, manifest, tuning.index, setting, chosen)
    return f"index {tuning.describe()}"


def _build_again(folder: CollectionFolder, stored: StoredIndex, cluster: Workers) -> str:
    """Build the index of a collection again, of today's pictures, with its settings."""
    chosen = stored.chosen
    config = Config(
        chosen["config"]["name"], stored.index_type, chosen["config"]["build"],
        (dict(stored.settings),), n_train=chosen["n_train"],
    )  # fmt: skip
    with folder.writing():
        manifest, opened = folder.read(), Collection(folder.path)
        index = build(config, opened, ids=opened.ids, workers=cluster).index
        _store(folder, manifest, index, dict(stored.settings), chosen)
    settings = ", ".join(f"{name} {value}" for name, value in stored.settings.items())
    return f"built again with the same settings: {config.name} {settings}".rstrip()


def _store(
    folder: CollectionFolder,
    manifest: Manifest,
    index: VectorSearchIndex | None,
    settings: Mapping[str, object] | None = None,
    chosen: Mapping[str, object] | None = None,
) -> None:
    """Write an index into its folder, then the manifest that names it; the old one goes last."""
    entry = None
    if index is not None:
        name = f"index-{manifest.counter:06d}"
        index.save(folder.path / name)
        entry = StoredIndex(
            name, index.index_type, index.ntotal, manifest.next_id, settings or {}, chosen or {}
        )
    folder.write(replace(manifest, index=entry, counter=manifest.counter + 1))
    folder.remove_leftovers()


def _wish_of(stored: StoredIndex | None) -> IndexWish | None:
    wish = None if stored is None else stored.chosen.get("wish")
    return None if wish is None else IndexWish(**wish)


def _changes(opened: Collection, stored: StoredIndex) -> tuple[int, int]:
    """Count the pictures that came and went since an index was built."""
    still = int((opened.ids < stored.next_id).sum())
    return len(opened) - still, stored.rows - still
