"""CIRR: a photograph and a sentence that says how the wanted photograph differs from it."""

from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_distinct
from lib.core.qrels import Qrels
from lib.datasets.annotations import field_of, placed, read_json, require_file
from lib.datasets.completeness import Count, check_counts, published_counts
from lib.datasets.composed import REFERENCES, ComposedGallery, ComposedQueries, positions_of
from lib.datasets.media.files import PictureFiles

NAME = "cirr"
SPLITS = ("val", "train", "test1")
# Queries of val: README of the authors, which corrects 4,184 in the paper. Pictures of val and of
# test1: as users of the files count them. The other numbers are recalled; they sum to 36,554
# queries and to the 21,551 pictures of M-BEIR's pool.
PUBLISHED = {
    "val": {"pictures": 2_297, "queries": 4_181},
    "train": {"pictures": 16_939, "queries": 28_225},
    "test1": {"pictures": 2_315, "queries": 4_148},
}
SET_SIZE = 6  # pictures of a set, the reference and the target among them
VERSION = "rc2"
FOLDERS = ("", "cirr/")  # with captions/ and image_splits/ in it
PICTURES = ("", "img_raw/", "cirr/img_raw/")  # with dev/, test1/ and train/ in it
_FIRST = {"val": "dev", "train": "train", "test1": "test1"}  # folder of a split


def load_cirr(
    root: str | Path,
    split: str = "val",
    *,
    reference: str = "removed",
    query: str = "sum",
    allow_partial: bool = False,
    need_media: bool = True,
) -> ComposedQueries:
    """Load the queries of a split, its gallery, and the set of six pictures of each query.

    Args:
        root: holds `captions/` and `image_splits/` (or has them in `cirr/`), and the pictures of
            NLVR2 in `dev/`, `train/` and `test1/` (or has them in `img_raw/`).
        split: `"test1"` has no published targets: its rankings go to the server of the authors.
        reference: `"removed"` from the gallery and the set of its query, as published, or `"kept"`.
        query: what a model makes of a query: `"sum"` of picture and text, `"image"`, or `"text"`.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Two galleries: `"image"`, all pictures of the split, and `"subset"`, the set of each query.
        Query ids are those of the pairs (`"12060"`), picture ids the names (`"dev-244-0-img0"`).

    Reference: Liu et al. 2021, "Image retrieval on real-life images with pre-trained
    vision-and-language models".
    """
    check_choice(split, SPLITS, "split")
    check_choice(reference, REFERENCES, "reference")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    item_ids, names = _read_pictures(root, split)
    entries = _read_pairs(root, split)
    where = [entry["where"] for entry in entries]
    counts = [
        Count("pictures", len(item_ids), published["pictures"]),
        Count("queries", len(entries), published["queries"]),
    ]
    check_counts(counts, f"{label}, {split} split", allow_partial)
    n, n_items = len(entries), len(item_ids)
    references = positions_of([e["reference"] for e in entries], item_ids, where, "reference")
    rows = np.repeat(np.arange(n), SET_SIZE)
    named = [name for entry in entries for name in entry["members"]]
    members = positions_of(named, item_ids, np.repeat(where, SET_SIZE).tolist(), "set member")
    if reference == "removed":
        others = members != references[rows]
        rows, members = rows[others], members[others]
    targets = np.arange(0)
    if split != "test1":
        targets = positions_of([e["target_hard"] for e in entries], item_ids, where, "target")
    corpus = ComposedQueries(
        name=label,
        split=split,
        media=PictureFiles(root, names),
        item_ids=tuple(item_ids),
        texts=tuple(entry["caption"] for entry in entries),
        text_ids=tuple(str(entry["pairid"]) for entry in entries),
        references=references,
        qrels=Qrels.from_pairs(np.arange(targets.size), targets, shape=(n, n_items)),
        galleries=(
            ComposedGallery("image", np.arange(n), np.arange(n_items)),
            ComposedGallery(
                "subset", np.arange(n), np.arange(n_items),
                Qrels.from_pairs(rows, members, shape=(n, n_items)),
            ),
        ),
        reference=reference,
        relevance=f"reference {reference}",
        counts=tuple(counts),
        composition=query,
        datasheet=NAME,
    )  # fmt: skip
    with placed(str(root)):
        return corpus.with_present_media(allow_partial) if need_media else corpus


def _read_pictures(root: Path, split: str) -> tuple[list[str], list[str]]:
    """Read the pictures of a split: ids and paths under the root."""
    path = _file(root, f"image_splits/split.{VERSION}.{split}.json")
    data = read_json(path, keyed=True)
    if not isinstance(data, dict) or not data:
        raise RetrievalInputError(
            f"{path} must be {{picture: path}} with at least one picture, got {data!r:.60}"
        )
    first = _FIRST[split]
    base = next((base for base in PICTURES if (root / base / first).is_dir()), PICTURES[0])
    names = [base + field_of(data, id_, str, str(path)).removeprefix("./") for id_ in data]
    return list(data), names


def _read_pairs(root: Path, split: str) -> list[dict]:
    """Read and check the pairs of a split, in file order."""
    path = _file(root, f"captions/cap.{VERSION}.{split}.json")
    data = read_json(path)
    if not isinstance(data, list):
        raise RetrievalInputError(f"{path} must be a list of pairs, got {type(data).__name__}")
    entries = [_checked(entry, f"{path}, pair {n}", split) for n, entry in enumerate(data)]
    check_distinct([str(entry["pairid"]) for entry in entries], "pair", str(path))
    return entries


def _checked(entry, where: str, split: str) -> dict:
    """Return the fields of a pair that count; target_soft and the ranks in the set do not."""
    kinds = {"pairid": int, "reference": str, "caption": str, "img_set": dict}
    if split != "test1":
        kinds["target_hard"] = str
    found = {name: field_of(entry, name, kind, where) for name, kind in kinds.items()}
    members = field_of(found["img_set"], "members", list, f"{where}, img_set")
    if len(members) != SET_SIZE or not all(isinstance(name, str) for name in members):
        raise RetrievalInputError(
            f"{where}: members must be the names of {SET_SIZE} pictures, got {members!r:.80}"
        )
    check_distinct(members, "set member", where)
    reference, target = found["reference"], found.get("target_hard")
    for name, what in ((reference, "reference"), (target, "target")):
        if name is not None and name not in members:
            raise RetrievalInputError(
                f"{where}: the {what} {name!r} must be one of the set, {members!r:.120}"
            )
    if reference == target:
        raise RetrievalInputError(
            f"{where}: reference and target are both {target!r}; a pair needs two pictures"
        )
    return found | {"members": members, "where": where}


def _file(root: Path, name: str) -> Path:
    folder, _, file = name.partition("/")
    return require_file(root, file, [f"{base}{folder}" for base in FOLDERS], NAME)
