"""What a family of indexes implements; what its users call is in `lib.index.base`."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lib.index.exact_scores import prepare
from lib.index.ids import IdMap
from lib.index.options import Option
from lib.index.saving import Bodies


class Family(ABC):
    """Abilities and options of a family, and the methods behind those of `VectorSearchIndex`.

    They get arguments that are checked: vectors and queries as `_prepare` returned them, ids that
    are new, positions that exist, ascending, each once.
    """

    index_type: ClassVar[str]
    needs_training: ClassVar[bool] = False
    can_remove: bool = True  # of the family; a single index may be less able, so ask the instance
    can_filter: bool = True
    can_use_gpu: ClassVar[bool] = False
    build_known: ClassVar[dict[str, Option]] = {}
    search_known: ClassVar[dict[str, Option]] = {}

    dimension: int
    metric: str
    use_gpu: bool
    ntotal: int
    is_trained: bool
    memory_mapped: bool
    _options: dict[str, Any]  # all of them, as in effect
    _given: set[str]  # those that the user chose
    _work: dict[str, int]  # of the last search
    _ids: IdMap

    @property
    def _name(self) -> str:
        """The family, and what makes this index less able than others of it."""
        return f"index type {self.index_type!r}" + (
            " on a GPU" if self.use_gpu and self.can_use_gpu else ""
        )

    @abstractmethod
    def _set_up(self) -> None:
        """Makes what an empty index of the family holds."""

    def _prepare(self, x, name: str, own: bool = False):
        """The border: what the family's other methods get for vectors and queries."""
        return prepare(x, name, self.metric, dim=self.dimension, allow_empty=True, own=own)

    def _check_search(self, options: dict[str, Any]) -> None:
        """Refuses search options that this index cannot have, for reasons beyond their ranges."""

    def _finish(self) -> None:
        """What `finish` says; also for search, cost and saving to call, so again and again."""

    def _train(self, vectors) -> None:
        raise NotImplementedError  # by families with needs_training

    @abstractmethod
    def _add(self, vectors, ids: np.ndarray) -> None: ...

    def _remove(self, positions: np.ndarray) -> None:
        raise NotImplementedError  # by families with can_remove

    @abstractmethod
    def _search(
        self, queries, k: int, positions: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]: ...

    @abstractmethod
    def _sizes(self) -> dict[str, int]:
        """The formula of the family in `lib.index.capacity.sizes`, for what the index holds now."""

    @abstractmethod
    def _bodies(self) -> Bodies:
        """What to save in files of their own."""

    def _state(self) -> dict[str, np.ndarray]:
        """Small arrays to save in the header."""
        return {} if self._ids.counted else {"ids": self._ids.array}

    def _restore(
        self, folder: Path, arrays: dict[str, np.ndarray], n: int, memory_map: bool
    ) -> None:
        self._restore_body(folder, arrays, n, memory_map)
        self._ids = IdMap(n, arrays.get("ids"))
        self.is_trained, self.memory_mapped = True, memory_map

    @abstractmethod
    def _restore_body(
        self, folder: Path, arrays: dict[str, np.ndarray], n: int, memory_map: bool
    ) -> None: ...
