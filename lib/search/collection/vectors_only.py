"""Write a collection from vectors alone, without pictures: for measurements and for tests."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from lib.core.checks import RetrievalInputError, as_embeddings, unit_rows
from lib.search.collection.files import OWN_COLUMNS, CollectionFolder, Manifest, StoredRoot


def add_vectors(
    path: str | Path,
    vectors: np.ndarray,
    captions: Sequence[str],
    *,
    model: Mapping[str, str | None],
    identity: Mapping[str, str],
    names: Sequence[str] | None = None,
) -> None:
    """Add rows to a collection as one more part, or begin a new collection with them.

    They are searched as pictures are. Their thumbnails are empty, and their files are missing.

    Args:
        path: folder of the collection.
        vectors: (n, dim), no zero rows; they are scaled to length 1.
        captions: n texts, "" for none.
        model: name, pretrained and artifact_sha256 of the encoder of queries, see `model_of`.
        identity: of the encoder; that of the rows that are there already.
        names: n file names; the ids when None.
    """
    rows, folder = unit_rows(vectors, "vectors"), CollectionFolder(path)
    n = len(rows)
    for name, texts in (("captions", captions), ("names", names)):
        if texts is not None and len(texts) != n:
            raise RetrievalInputError(f"there must be {n} {name}, one a vector, got {len(texts)}")
    with folder.writing():
        if folder.exists():
            manifest = folder.read()
            manifest.check_model(identity, folder.path)
            as_embeddings(rows, "vectors", dim=manifest.dim, allow_empty=True)
        else:
            root = StoredRoot(".", str(folder.path.resolve()))
            manifest = Manifest(dict(model), dict(identity), rows.shape[1], (root,))
        ids = range(manifest.next_id, manifest.next_id + n)
        given = {
            "id": ids,
            "path": [f"{item:09d}.png" for item in ids] if names is None else names,
            "caption": captions,
        }
        columns = [
            pa.array(given[field.name], field.type)
            if field.name in given
            else pa.repeat(pa.scalar("" if pa.types.is_string(field.type) else 0, field.type), n)
            for field in OWN_COLUMNS
        ]
        table = pa.Table.from_arrays(columns, schema=OWN_COLUMNS)
        part = folder.write_part(manifest.counter, rows, table, [b""] * n)
        folder.write(
            replace(
                manifest,
                parts=(*manifest.parts, part),
                next_id=manifest.next_id + n,
                counter=manifest.counter + 1,
                finished=True,
            )
        )
