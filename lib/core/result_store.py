"""One store for results: cached while a study runs, committed when it is done."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir, cache_dir
from lib.core.reading import cached_arrays, load_arrays, reading, verify
from lib.core.writing import atomic_path, save_arrays, write_checksum

Arrays = dict[str, np.ndarray]
Job = tuple[Mapping | str, Callable[[], Arrays]]
JsonValue = dict | list | str | float | int | bool | None


class ResultStore:
    """Store the results of one study.

    Cached results are sealed `.npz` files in the cache folder, one for each key; a damaged or
    missing one is computed again, and a stopped run continues where it was. Committed results are
    sealed tables and arrays in `data/artifacts/<name>`; a damaged or missing one is an error that
    says how to restore it.

    Args:
        name: the study, and its folder in both places.
        rebuild: the command that makes the committed files again.
        folder: where the committed files are, `data/artifacts/<name>` by default.
        cache: where the cached files are, the folder `name` of the cache by default.
    """

    def __init__(
        self,
        name: str,
        rebuild: str,
        folder: str | Path | None = None,
        cache: str | Path | None = None,
    ):
        self.name = name
        self.rebuild = f"Restore it with git, or run: {rebuild}"
        self._folder = folder
        self._cache = cache

    @property
    def folder(self) -> Path:
        """The folder of the committed files."""
        return artifacts_dir() / self.name if self._folder is None else Path(self._folder)

    # ---- cached

    @property
    def cache(self) -> Path:
        """The folder of the cached files."""
        return cache_dir() / self.name if self._cache is None else Path(self._cache)

    def cache_path(self, key: Mapping | str) -> Path:
        """Name the cached file of a key: readable words, and a digest of the whole key."""
        digest = _digest(key)[:16]  # checks the key
        label = re.sub(r"[^A-Za-z0-9_.]+", "_", _words(key)).strip("_")[:60]
        return self.cache / f"{label}-{digest}.npz"

    def cached(self, key: Mapping | str, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of a key from the cache, or make and store them.

        Args:
            key: everything that decides the result, as JSON: settings, seeds, versions, checksums.
            make: computes the arrays where they are missing or damaged.
        """
        return cached_arrays(self.cache_path(key), make, _digest(key))

    def cached_json(self, key: Mapping | str, make: Callable[[], JsonValue]) -> JsonValue:
        """Return a JSON value of a key from the cache, or make and store it."""
        arrays = self.cached(key, lambda: {"json": np.array(_json_text(make(), "a result"))})
        if "json" not in arrays:
            raise RetrievalInputError(
                f"{self.cache_path(key)} holds arrays, not JSON; give JSON another key"
            )
        return json.loads(str(arrays["json"]))

    def run(
        self,
        jobs: Iterable[Job],
        *,
        log: Callable[[str], None] = print,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Arrays]:
        """Yield the result of each `(key, make)` in order; those in the cache are not made again.

        Args:
            log: receives one line about cached results, and one for each new result.
            progress: receives how many of how many are ready, cached ones first.
        """
        jobs = list(jobs)
        was_cached = [self.cache_path(key).is_file() for key, _ in jobs]
        done, total = sum(was_cached), len(jobs)
        if done:
            log(
                f"{done} of {total} results are kept in {self.cache} from earlier runs,"
                " perhaps with other code; delete that folder to compute all again"
            )
        progress(done, total)
        for (key, make), known in zip(jobs, was_cached, strict=True):
            computed = []
            arrays = self.cached(key, lambda make=make, computed=computed: _mark(make, computed))
            done += not known
            if computed:  # also where a cached file was damaged
                log(f"{done}/{total}: {_words(key)}")
                progress(done, total)
            yield arrays

    # ---- committed

    def save_table(self, file: str, rows: pd.DataFrame | Iterable[Mapping]) -> None:
        """Write rows as a sealed CSV with six digits."""
        self.folder.mkdir(parents=True, exist_ok=True)
        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
        with atomic_path(self.folder / file) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6g")
        write_checksum(self.folder / file)

    def table(self, file: str) -> pd.DataFrame:
        """Read a committed CSV after its checksum was verified."""
        with reading(self.folder / file, "no CSV table", self.rebuild):
            return pd.read_csv(self.verified(file))

    def save_arrays(self, file: str, *, compressed: bool = False, **arrays: np.ndarray) -> None:
        """Write named arrays as a sealed `.npz`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        save_arrays(self.folder / file, compressed=compressed, **arrays)

    def arrays(self, file: str, names: Collection[str] | None = None) -> Arrays:
        """Read committed arrays, all or some names, after their checksum was verified."""
        return load_arrays(self.folder / file, names, rebuild=self.rebuild)

    def save_json(self, file: str, value) -> None:
        """Write a sealed JSON file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.folder / file) as temporary:
            temporary.write_text(_json_text(value, file, indent=1) + "\n", encoding="utf-8")
        write_checksum(self.folder / file)

    def json(self, file: str):
        """Read a committed JSON file after its checksum was verified."""
        with reading(self.folder / file, "no JSON", self.rebuild):
            return json.loads(self.verified(file).read_text(encoding="utf-8"))

    def verified(self, file: str) -> Path:
        """Return the path of a committed file after its checksum was verified."""
        return verify(self.folder / file, rebuild=self.rebuild)


def _words(key: Mapping | str) -> str:
    """Describe a key: its strings and numbers, without nested values."""
    if isinstance(key, str):
        return key
    return ", ".join(str(value) for value in key.values() if isinstance(value, str | int | float))


def _digest(key: Mapping | str) -> str:
    if not isinstance(key, dict | str):
        raise RetrievalInputError(f"the key of a result must be a dict or a text, got {key!r}")
    numbers = [name for name in key if not isinstance(name, str)]
    if numbers:  # JSON writes 1 and "1" alike: two keys would share one result
        raise RetrievalInputError(
            f"the key of a result has the name {numbers[0]!r}; names must be texts"
        )
    return hashlib.sha256(
        _json_text(key, "the key of a result", sort_keys=True).encode()
    ).hexdigest()


def _json_text(value: JsonValue, name: str, **options) -> str:
    try:
        return json.dumps(value, **options)
    except (TypeError, ValueError, RecursionError) as error:
        raise RetrievalInputError(
            f"{name} must be JSON (texts, numbers, lists, dicts): {error}. Convert the values of"
            " numpy by item() or tolist(), paths by str()"
        ) from error


def _mark(make: Callable[[], Arrays], computed: list) -> Arrays:
    """Call `make` and leave a mark that it was called."""
    computed.append(True)
    return make()
