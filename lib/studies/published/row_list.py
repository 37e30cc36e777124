"""List the rows that a corpus needs of a user's embeddings: array, id, and what to encode."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lib.studies.published.evaluation import ids_of

COLUMNS = ("array", "id", "text", "file", "start", "end")


def needed_rows(corpus) -> Iterator[dict[str, str]]:
    """List the rows that `read_embeddings` looks for, with the text or the file of each.

    Args:
        corpus: a corpus, loaded with or without its media.

    Returns:
        Rows of `COLUMNS`: the name of the array in the .npz file, the id of the row, the text as
        an encoder gets it, the path of the file, and start and end in seconds where only a part
        of the file counts. A composed query has a text and a file, the reference picture. Of
        pictures in one table the file is the table; pictures in Parquet have no text and no file.
    """
    for array, ids in ids_of(corpus).items():
        texts, files, positions = _contents(corpus, array)
        for at, id_ in enumerate(ids):
            row = dict.fromkeys(COLUMNS, "") | {"array": array, "id": id_}
            if texts is not None:
                row["text"] = str(texts[at])
            if hasattr(files, "names"):
                row |= _place(files, int(positions[at]))
            yield row


def _contents(corpus, array: str) -> tuple[Sequence | None, Sequence | None, Sequence[int]]:
    """Return the texts and the media of one side, None where it has none, and the media of each."""
    positions = range(len(ids_of(corpus)[array]))
    if hasattr(corpus, "sounds"):
        return None, corpus.sounds if array == "audio" else corpus.clips, positions
    if hasattr(corpus, "references") and array == corpus.query_side:
        return corpus.texts, corpus.media, corpus.references
    is_item = array == corpus.modality
    side = corpus.media if is_item else corpus.texts
    if hasattr(side, "texts"):  # pictures with texts
        return side.texts, side.pictures, positions
    is_text = (corpus.modality if is_item else corpus.query_modality) == "text"
    return (side, None, positions) if is_text else (None, side, positions)


def _place(files, position: int) -> dict[str, str]:
    """Return path and seconds of one file."""
    start, end = files.part(position) if hasattr(files, "part") else (None, None)
    times = {"start": start, "end": end}
    shown = {name: "" if time is None else f"{time:g}" for name, time in times.items()}
    # Some pictures lie in a table, where their id is no file name.
    name = getattr(files, "table", files.names[position])
    return {"file": (files.root / name).as_posix(), **shown}
