"""The sources of one run: their numbers in the collection, and the pictures they answer for."""

from collections.abc import Sequence
from dataclasses import replace

from lib.core.checks import RetrievalInputError
from lib.search.collection.files import CollectionFolder, StoredRoot
from lib.search.collection.sources import Place, Root


class Scope:
    """Number the sources of a run; those of earlier runs keep their numbers.

    A folder that holds sources of earlier runs takes their pictures over. One that lies in a source
    of an earlier run is an error.

    Args:
        folder: of the collection.
        stored: the sources of earlier runs.
        roots: the sources of this run.

    Attributes:
        roots: number -> source of this run.
        stored: all sources, for the manifest.
    """

    def __init__(
        self, folder: CollectionFolder, stored: Sequence[StoredRoot], roots: Sequence[Root]
    ) -> None:
        self.roots: dict[int, Root] = {}
        self._taken_over: set[int] = set()
        all_stored = list(stored)
        folders = [folder.root_folder(root).resolve() for root in stored]
        whole = {path for path, root in zip(folders, stored, strict=True) if root.files is None}
        for root in roots:
            outer = next((path for path in root.folder.parents if path in whole), None)
            if outer is not None:
                raise RetrievalInputError(
                    f"{root.folder} lies in {outer}, which {folder.path} holds as a whole. Index"
                    f" {outer} again: only what is new or has changed is encoded"
                )
            if root.folder in folders:
                number = folders.index(root.folder)
                all_stored[number] = folder.stored_root(_joined(all_stored[number], root))
            else:
                number = len(all_stored)
                all_stored.append(folder.stored_root(root))
            self.roots[number] = root
            if root.files is None:
                inner = [n for n, path in enumerate(folders) if root.folder in path.parents]
                self._taken_over.update(inner)
                for number in inner:
                    all_stored[number] = replace(all_stored[number], files=())
        self.stored = tuple(all_stored)

    def holds(self, place: Place) -> bool:
        """Return whether this run looks for a picture at a place."""
        number, path, _ = place
        root = self.roots.get(number)
        given = root is not None and (root.files is None or path in root.files)
        return given or number in self._taken_over


def _joined(old: StoredRoot, new: Root) -> Root:
    if old.files is None or new.files is None:
        return replace(new, files=None)
    return replace(new, files=tuple(dict.fromkeys((*old.files, *new.files))))
