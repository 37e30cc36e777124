"""`crossmodal collection copy`: a collection into LanceDB or Milvus."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from lib.cli.options import given_path
from lib.cli.output import progress_bar, say


def copy(
    folder: Annotated[Path, Argument(parser=given_path, help="Folder of the collection.")],
    address: Annotated[
        str, Argument(help="lancedb:FOLDER, milvus:./FILE.db, or milvus:http://HOST:PORT#NAME.")
    ],
) -> None:
    """Copy a collection into a database, or bring the copy up to date.

    Only what is new or has changed is written. Search it: crossmodal search "..." --collection
    ADDRESS. Thumbnails and pictures stay where they are.
    """
    from lib.search.collection import Collection
    from lib.search.stores import copy_collection

    opened = Collection(folder)
    with progress_bar() as bar:
        row = bar.add_task("pictures", total=len(opened))
        report = copy_collection(opened, address, progress=lambda n: bar.advance(row, n))
    say(report.describe())
    say(f'next: crossmodal search "..." --collection {address}')
