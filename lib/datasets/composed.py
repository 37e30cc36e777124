"""Queries of a picture and a text that says what to change, and the pictures that can be found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_distinct, is_unicode, unit_rows
from lib.core.qrels import Qrels
from lib.core.task import entries_at
from lib.datasets.completeness import Count, check_media, wrong_counts

COMPOSITIONS = ("sum", "image", "text")
REFERENCES = ("removed", "kept")


@dataclass(frozen=True, eq=False)
class ComposedGallery:
    """Name some queries and the pictures among which they are ranked.

    Args:
        name: `"image"`, or the name of a part, such as `"subset"` or `"dress"`.
        queries, items: positions in the corpus.
        members: `(n_queries, n_items)` of the corpus: the candidates of each query, where each has
            a few of its own.
    """

    name: str
    queries: np.ndarray
    items: np.ndarray
    members: Qrels | None = None


@dataclass(frozen=True, eq=False, repr=False)
class ComposedQueries:
    """Hold queries of a reference picture and a text, their targets, and the galleries.

    Args:
        name: `"cirr"`; a miniature adds `" (miniature)"`.
        split: of the files.
        media: the pictures, decoded on access: references and all that can be found.
        item_ids: distinct ids of the pictures.
        texts: the text of each query, as an encoder gets it.
        text_ids: distinct ids of the queries.
        references: `(n_queries,)` position of the picture that each query starts from.
        qrels: `(n_queries, n_items)` the targets; rows are empty where they are not published.
        galleries: where each query is ranked; the mean over several is reported too.
        reference: `"removed"`: a query does not find its own reference; or `"kept"`.
        relevance: the protocol in words, for the results.
        composition: how an encoder makes a query: `"sum"` of the unit vectors of picture and text,
            `"image"` or `"text"` alone.
        counts: numbers found here beside the published ones.
        missing: pictures that do not exist; the queries that need them were left out.
        datasheet: the section of `data/README.md`.
    """

    name: str
    split: str
    media: Sequence
    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    text_ids: tuple[str, ...]
    references: np.ndarray
    qrels: Qrels
    galleries: tuple[ComposedGallery, ...]
    reference: str
    relevance: str
    counts: tuple[Count, ...]
    composition: str = "sum"
    missing: tuple[str, ...] = ()
    datasheet: str = ""

    modality = "image"
    query_modality = "text"  # of `texts`; the other half of a query is one of the pictures
    query_side = "query"
    directions = ("query_to_image",)

    def __post_init__(self) -> None:
        check_choice(self.reference, REFERENCES, "reference")
        check_choice(self.composition, COMPOSITIONS, "query")
        shape = (len(self.texts), len(self.item_ids))
        sizes = (len(self.text_ids), len(self.references), len(self.media))
        if self.qrels.shape != shape or sizes != (shape[0], shape[0], shape[1]):
            raise RetrievalInputError(
                f"{self.name}: {shape[0]} texts, {sizes[0]} ids, {sizes[1]} references and"
                f" {self.qrels.shape[0]} rows of targets must be one of each query,"
                f" {shape[1]} ids and {sizes[2]} pictures one of each item"
            )
        if not shape[0]:
            raise RetrievalInputError(f"{self.name}: no query is left")
        for kind, ids in (("picture", self.item_ids), ("query", self.text_ids)):
            check_distinct(ids, kind, self.name)
        for id_, text in zip(self.text_ids, self.texts):
            if not isinstance(text, str) or not is_unicode(text):
                raise RetrievalInputError(
                    f"{self.name}: the text of query {id_!r} must be Unicode, got {text!r:.80}"
                )

    @cached_property
    def excluded(self) -> Qrels | None:
        """The reference of each query as a pair, where references are removed."""
        if self.reference == "kept":
            return None
        return Qrels.from_pairs(np.arange(len(self.texts)), self.references, shape=self.qrels.shape)

    @property
    def has_targets(self) -> bool:
        """Tell whether the targets of this split are published."""
        return self.qrels.items.size > 0

    def query_rows(self, image_rows, text_rows) -> np.ndarray:
        """Compose the vector of each query from rows of all pictures and of all texts.

            q = x / |x| + t / |t|,   x the row of the reference, t that of the text

        This is the baseline without training of papers; x or t alone for the other compositions.

        Args:
            image_rows: `(n_items, d)`.
            text_rows: `(n_queries, d)`.

        Reference: Saito et al. 2023, "Pic2Word".
        """
        if self.composition == "text":
            return unit_rows(text_rows, "text rows")
        images = unit_rows(image_rows, "image rows")[self.references]
        return images if self.composition == "image" else images + unit_rows(text_rows, "text rows")

    def without_items(self, positions: Sequence[int]) -> ComposedQueries:
        """Leave out pictures without usable files or rows, and every query that needs one.

        A query needs its reference, its target, and the members of its set.
        """
        lost = np.zeros(len(self.item_ids), bool)
        lost[list(positions)] = True
        pairs = [self.qrels, *(one.members for one in self.galleries if one.members is not None)]
        broken = lost[self.references]
        for needed in pairs:
            broken[needed.query_index[lost[needed.items]]] = True
        items, queries = np.flatnonzero(~lost), np.flatnonzero(~broken)
        item_at, query_at = (np.cumsum(kept) - 1 for kept in (~lost, ~broken))

        def part(pairs: Qrels | None) -> Qrels | None:
            return pairs and pairs.take_queries(queries).T.take_queries(items).T

        galleries = tuple(
            ComposedGallery(
                one.name,
                query_at[one.queries[~broken[one.queries]]],
                item_at[one.items[~lost[one.items]]],
                part(one.members),
            )
            for one in self.galleries
        )
        numbers = {"pictures": items.size, "queries": queries.size}
        for one in galleries:
            numbers[f"{one.name} pictures"] = one.items.size
            numbers[f"{one.name} queries"] = one.queries.size
        counts = [
            Count(
                one.what,
                numbers.get(one.what, one.found),
                one.found if one.published is None else one.published,
            )
            for one in self.counts
        ]
        files = getattr(self.media, "names", self.item_ids)
        return replace(
            self,
            media=entries_at(self.media, items.tolist()),
            item_ids=tuple(self.item_ids[at] for at in items),
            texts=tuple(self.texts[at] for at in queries),
            text_ids=tuple(self.text_ids[at] for at in queries),
            references=item_at[self.references[queries]],
            qrels=part(self.qrels),
            galleries=tuple(one for one in galleries if one.queries.size),
            counts=tuple(counts),
            missing=(*self.missing, *(files[at] for at in np.flatnonzero(lost))),
        )

    def with_present_media(self, allow_partial: bool) -> ComposedQueries:
        """Refuse missing pictures, or leave them out with their queries."""
        present = self.media.present()
        absent = np.flatnonzero(~present)
        if not absent.size:
            return self
        count = Count("pictures", int(present.sum()), len(self.media))
        check_media(count, [self.media.names[at] for at in absent], self.name, allow_partial)
        return self.without_items(absent.tolist())

    def checksum(self, *, media: bool = True) -> str:
        """Return the SHA-256 of everything that a score, and, with media, an embedding needs."""
        facts = [self.name, self.split, self.relevance, self.item_ids, self.text_ids, self.texts]
        digest = hashlib.sha256(json.dumps(facts).encode())
        for array in (self.references, self.qrels.indptr, self.qrels.items):
            digest.update(array.astype("<i8").tobytes())
        for one in self.galleries:
            members = [] if one.members is None else one.members.items.tolist()
            parts = [one.name, one.queries.tolist(), one.items.tolist(), members]
            digest.update(json.dumps(parts).encode())
        if media:
            digest.update(self.media.fingerprint().encode())
        return digest.hexdigest()

    def describe(self) -> str:
        """Describe the corpus in one line: name, split, protocol, sizes, and what is missing."""
        sizes = f"{len(self.texts):,} queries (image and text), {len(self.item_ids):,} pictures"
        names = ", ".join(one.name for one in self.galleries)
        line = f"{self.name}, {self.split} split, {self.relevance}: {sizes}; galleries: {names}"
        wrong = wrong_counts(self.counts)
        return f"{line} ({wrong})" if wrong else line

    def __repr__(self) -> str:
        return f"ComposedQueries({self.describe()})"


def positions_of(
    names: Sequence[str], item_ids: Sequence[str], where: Sequence[str], what: str
) -> np.ndarray:
    """Return the positions of pictures; an unknown name is an error that names its entry."""
    at = {id_: position for position, id_ in enumerate(item_ids)}
    for name, entry in zip(names, where, strict=True):
        if name not in at:
            raise RetrievalInputError(
                f"{entry}: the {what} {name!r} is not one of the {len(at):,} pictures of the split."
                " Get the captions and the split of one release"
            )
    return np.array([at[name] for name in names], np.int64)
