"""Export what was found: a list as JSON or CSV, or a folder with copies of the pictures."""

import csv
import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.writing import atomic_folder, atomic_path
from lib.search.collection.collection import Collection
from lib.search.collection.searching import CollectionHit, Searchable, name_of

LISTS = (".json", ".csv")


def check_target(target: str | Path) -> Path:
    """Refuse a target that cannot be written as it is meant, before the search."""
    target = Path(target)
    if target.suffix.lower() not in LISTS and target.exists():
        raise RetrievalInputError(
            f"--export {target} exists; give a new folder for copies, or a file .json or .csv"
        )
    return target


def export(collection: Searchable, hits: Sequence[CollectionHit], target: str | Path) -> str:
    """Write hits to a file `.json` or `.csv`, or copy their pictures into a new folder.

    Returns:
        What was written, in words. A picture that cannot be copied is named there.
    """
    target = check_target(target)
    if target.suffix.lower() in LISTS:
        reranked = any(hit.second_score is not None for hit in hits)
        rows = [_row(collection, hit, reranked) for hit in hits]
        with atomic_path(target) as temporary:
            if target.suffix.lower() == ".json":
                text = json.dumps(_finite(rows), indent=1, default=str, ensure_ascii=False)
                temporary.write_text(text + "\n", encoding="utf-8")
            else:
                with open(temporary, "w", encoding="utf-8", newline="") as stream:
                    writer = csv.DictWriter(stream, rows[0] if rows else ["rank"])
                    writer.writeheader()
                    writer.writerows(rows)
        return f"{len(rows)} hits in {target}"
    missed = []
    with atomic_folder(target) as temporary:
        for hit in hits:
            try:
                content, suffix = collection.content(hit.id)
            except (OSError, ValueError) as error:
                missed.append(f"{hit.name}: {error}")
                continue
            (temporary / _file_name(hit.rank, hit.name, suffix)).write_bytes(content)
    told = f"{len(hits) - len(missed)} pictures in {target}"
    return told + ("; not copied: " + "; ".join(missed) if missed else "")


def zip_originals(collection: Collection, ids: Sequence[int]) -> Iterator[bytes]:
    """Yield a ZIP file with the pictures of some ids, one picture after the other.

    What cannot be read is listed in `not_copied.txt` inside.
    """
    sink, missed = _Sink(), []
    with zipfile.ZipFile(sink, "w") as archive:
        for number, item in enumerate(ids, start=1):
            name = name_of(collection.item(item))
            try:
                content, suffix = collection.content(item)
            except (OSError, ValueError) as error:
                missed.append(f"{name}: {error}\n")
                continue
            archive.writestr(_file_name(number, name, suffix), content)
            yield sink.taken()
        if missed:
            archive.writestr("not_copied.txt", "".join(missed))
    yield sink.taken()


class _Sink:
    """Bytes that were written and not yet taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        pass

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _file_name(number: int, name: str, suffix: str) -> str:
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)[:60]
    return f"{number:04d}_{stem}{suffix}"


def _row(collection: Searchable, hit: CollectionHit, reranked: bool) -> dict:
    """Return scores, columns and file; where the user has such a column, ours gets another name."""
    scores: dict = {"rank": hit.rank, "score": round(hit.score, 6)}
    if reranked:
        second = hit.second_score
        scores["second_score"] = None if second is None else round(second, 6)
    place = {}
    if isinstance(collection, Collection):
        root = collection.folder.root_folder(collection.manifest.roots[collection.root_of(hit.id)])
        place["file"] = str(root / str(hit.columns["path"]))
    scores, place = (
        {
            f"crossmodal_{name}" if name in hit.columns else name: value
            for name, value in own.items()
        }
        for own in (scores, place)
    )
    return {**scores, **hit.columns, **place}


def _finite(value: object) -> object:
    """Return a value as JSON has it: without NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(name): _finite(part) for name, part in value.items()}
    return [_finite(part) for part in value] if isinstance(value, list | tuple) else value
