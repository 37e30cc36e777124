"""`crossmodal eval --models NAME=FOLDER`: a user's rows as one model of a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lib.cli.output import say
from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.core.writing import sha256_of

if TYPE_CHECKING:
    from lib.studies.published import Result


class GivenFolder:
    """Hold a folder of .npz files, one a corpus, in place of a model that encodes.

    Args:
        label: name of the model in tables and results.
        folder: with `msrvtt.npz`, `msrvtt-1k-B.npz`.
        file_of: returns the name of the file of a loaded corpus.
        settings: prompt and precision that the results name.
    """

    def __init__(
        self,
        label: str,
        folder: Path,
        file_of: Callable[[object], str],
        settings: Mapping[str, object],
    ) -> None:
        if not folder.is_dir():
            raise MissingFileError(
                f"--models {label}={folder}: this is not a folder; give one that holds a file of"
                " rows for each corpus, such as coco.npz"
            )
        self.label, self.folder, self._file_of = label, folder, file_of
        self._settings = {name: settings[name] for name in ("prompt", "precision")}

    def identity_on(self, corpus) -> dict[str, str]:
        """Return what identifies the rows of one corpus: label, settings, checksum of the file."""
        name = corpus.name.split(" ")[0].rstrip(":")
        path = self._path(corpus)
        if not path.is_file():
            raise MissingFileError(
                f"{path} is missing; `crossmodal data rows {name}` lists what it must hold"
            )
        return {"model": self.label, "tag": "", **self._settings, "embeddings": sha256_of(path)}

    def evaluate_on(
        self, corpus, *, allow_partial: bool = False, metrics: Sequence[str] | None = None
    ) -> Result:
        """Evaluate the rows of one corpus; say what was left out or not used."""
        from lib.cli.eval_composed import evaluate_vectors
        from lib.datasets.composed import ComposedQueries
        from lib.studies.published import evaluate_rows
        from lib.studies.published.embeddings_file import read_embeddings

        identity = self.identity_on(corpus)
        given = read_embeddings(self._path(corpus), corpus, allow_partial=allow_partial)
        for note in given.notes:
            say(note)
        identity["notes"] = "; ".join(given.notes)
        evaluate = evaluate_vectors if isinstance(given.corpus, ComposedQueries) else evaluate_rows
        rows = given.media, given.text
        return evaluate(*rows, given.corpus, identity=identity, metrics=metrics)

    def _path(self, corpus) -> Path:
        return self.folder / f"{self._file_of(corpus)}.npz"


def split_given(part: str) -> tuple[str, Path] | None:
    """Read `NAME=FOLDER`; None where the entry is another."""
    name, equals, folder = (piece.strip() for piece in part.partition("="))
    if not equals:
        return None
    if not name or not folder:
        raise RetrievalInputError(f"--models takes NAME=FOLDER for your rows; got {part!r}")
    return name, Path(folder)
