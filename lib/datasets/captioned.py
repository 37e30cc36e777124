"""Media and the texts that describe them: the shape that every caption benchmark is loaded into."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_distinct, is_unicode
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask, entries_at
from lib.datasets.completeness import Count

MODALITIES = ("image", "video", "audio")


@dataclass(frozen=True, eq=False, repr=False)
class CaptionedMedia:
    """Media of one modality and the texts that describe them, in evaluation order.

    Args:
        name: `"coco"`, `"msrvtt"`; a miniature has `" (miniature)"` behind it.
        split: `"test"`, `"val_1"`; a part of a split is named behind it.
        modality: `"image"`, `"video"` or `"audio"`.
        media: one entry per item, decoded when it is asked for (`PictureFiles`, `ClipFiles`).
        item_ids: distinct ids of the items.
        texts: the captions or paragraphs, as the files have them.
        text_ids: distinct ids of the texts. An item and a text may have the same id.
        qrels: `(n_texts, n_items)`: texts are the queries; `.T` is the other direction.
        captions: the protocol that chose the texts: `"all"`, `"first 5"`, `"paragraph"`.
        counts: what was found beside what is published.
        missing: media files that are not there, relative to the root; their items and texts were
            left out.
        datasheet: the section of `data/README.md` that describes the corpus.

    Raises:
        RetrievalInputError: lengths that do not fit, an id twice, a text that is empty or no text.

    Relations: `task` turns it into queries and gallery; `take_items` makes subsets and folds.
    """

    name: str
    split: str
    modality: str
    media: Sequence
    item_ids: tuple[str, ...]
    texts: tuple[str, ...]
    text_ids: tuple[str, ...]
    qrels: Qrels
    captions: str
    counts: tuple[Count, ...]
    missing: tuple[str, ...] = ()
    datasheet: str = ""

    def __post_init__(self) -> None:
        check_choice(self.modality, MODALITIES, "modality")
        for field in ("item_ids", "texts", "text_ids", "counts", "missing"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        lengths = {"media": len(self.media), "item_ids": len(self.item_ids)}
        if len(set(lengths.values())) > 1 or len(self.texts) != len(self.text_ids):
            raise RetrievalInputError(
                f"{self.name}: {len(self.media)} media have {len(self.item_ids)} ids, "
                f"{len(self.texts)} texts have {len(self.text_ids)}"
            )
        if self.qrels.shape != (len(self.texts), len(self.item_ids)):
            raise RetrievalInputError(
                f"{self.name}: qrels have shape {self.qrels.shape}, expected (texts, items) = "
                f"{(len(self.texts), len(self.item_ids))}"
            )
        for kind, ids in (("item", self.item_ids), ("text", self.text_ids)):
            check_distinct(ids, kind, self.name)
        for position, text in enumerate(self.texts):
            if not isinstance(text, str) or not text.strip() or not is_unicode(text):
                raise RetrievalInputError(
                    f"{self.name}: text {position} (id {self.text_ids[position]}) is {text!r},"
                    " expected words. An empty query has no answer: mend the file or leave the"
                    " text out"
                )

    @property
    def directions(self) -> tuple[str, str]:
        return f"text_to_{self.modality}", f"{self.modality}_to_text"

    @property
    def owners(self) -> np.ndarray:
        """`(n_texts,)` position of the first item that each text describes, -1 where there is
        none.
        """
        owners = np.full(len(self.texts), -1)
        described = np.flatnonzero(self.qrels.counts)
        owners[described] = self.qrels.items[self.qrels.indptr[described]]
        return owners

    def positions(self, kind: str, ids: Sequence[str]) -> np.ndarray:
        """`(n,)` where each id stands among the ids of `"item"` or `"text"`, -1 where it does
        not.
        """
        own = {"item": self.item_ids, "text": self.text_ids}[
            check_choice(kind, ("item", "text"), "kind")
        ]
        at = {one: position for position, one in enumerate(own)}
        return np.array([at.get(one, -1) for one in ids], dtype=np.int64)

    def task(self, direction: str) -> RetrievalTask:
        """Queries, gallery and judgements of one direction.

        Args:
            direction: `f"text_to_{modality}"` or `f"{modality}_to_text"`.

        Returns:
            A task whose media are still files. Texts as queries are grouped by the first item that
            they describe, so that intervals resample items; a text that describes none is a group
            of its own.
        """
        common = {
            "name": self.name,
            "split": self.split,
            "direction": direction,
            "datasheet": self.datasheet,
        }
        if check_choice(direction, self.directions, "direction") == self.directions[1]:
            return RetrievalTask(
                queries=self.media, gallery=self.texts, qrels=self.qrels.T, **common
            )
        alone = len(self.item_ids) + np.arange(len(self.texts))
        groups = np.where(self.owners < 0, alone, self.owners)
        return RetrievalTask(
            queries=self.texts, gallery=self.media, qrels=self.qrels, query_groups=groups, **common
        )

    def take_items(self, index, name_of_part: str = "") -> CaptionedMedia:
        """Some of the items, with the texts that describe these and no others.

        Args:
            index: item positions, in the order wanted, or a boolean per item.
            name_of_part: goes behind the split: `"fold 1 of 5"`.

        Returns:
            The part. Texts keep their order. A text that also describes an item outside is left
            out, since its judgements would be incomplete, and so is one that describes nothing.

        Raises:
            RetrievalInputError: no position, one outside the items, or one given twice.
        """
        if not np.size(index):
            raise RetrievalInputError(f"{self.name}: a part needs at least one item")
        by_item = self.qrels.T.take_queries(index)  # refuses positions that are none
        items = np.arange(len(self.item_ids))[np.asarray(index)]
        inside = np.bincount(by_item.items, minlength=len(self.texts))
        texts = np.flatnonzero((inside > 0) & (inside == self.qrels.counts))
        item_ids = tuple(self.item_ids[item] for item in items)
        check_distinct(item_ids, "item", self.name)
        return replace(
            self,
            split=f"{self.split} ({name_of_part})" if name_of_part else self.split,
            media=entries_at(self.media, items),
            item_ids=item_ids,
            texts=tuple(self.texts[text] for text in texts),
            text_ids=tuple(self.text_ids[text] for text in texts),
            qrels=by_item.T.take_queries(texts),
        )

    def without_items(self, positions: Sequence[int]) -> CaptionedMedia:
        """Leave out items whose media cannot be decoded, with their texts; counts and `missing` say
        so.

        Args:
            positions: of the items; at least one item must stay.
        """
        lost = set(positions)
        part = self.take_items([at for at in range(len(self.item_ids)) if at not in lost])
        found = {"captions": len(part.texts), "judgements": part.qrels.items.size}
        counts = [
            (
                replace(count, found=found.get(count.what, count.found - len(lost)))
                if count.what in found or count.found == len(self.item_ids)
                else count
            )
            for count in self.counts
        ]
        names = tuple(getattr(self.media, "names", self.item_ids)[at] for at in sorted(lost))
        return replace(part, counts=tuple(counts), missing=(*self.missing, *names))

    def checksum(self) -> str:
        """SHA-256 over everything that decides an embedding or a score: what a cache is filed
        under.
        """
        digest = hashlib.sha256()
        for part in (
            self.name,
            self.split,
            self.modality,
            self.captions,
            self.item_ids,
            self.text_ids,
            self.texts,
        ):
            for text in [part] if isinstance(part, str) else [str(len(part)), *part]:
                encoded = text.encode("utf-8", "surrogatepass")
                digest.update(
                    f"{len(encoded)}:".encode() + encoded
                )  # with lengths, no two lists run together
        for array in (self.qrels.indptr, self.qrels.items, self.qrels.grades):
            digest.update(array.astype("<i8").tobytes())
        digest.update(self._media_fingerprint().encode())
        return digest.hexdigest()

    def _media_fingerprint(self) -> str:
        if hasattr(self.media, "fingerprint"):
            return self.media.fingerprint()
        digest = hashlib.sha256()
        for entry in self.media:  # already decoded: arrays, or pictures
            array = np.ascontiguousarray(entry)
            digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """One line: name, split, protocol, sizes, and what is missing."""
        line = (
            f"{self.name}, {self.split} split, captions: {self.captions}: {len(self.item_ids):,}"
            f" {self.modality} items, {len(self.texts):,} texts, {self.qrels.items.size:,}"
            " judgements"
        )
        wrong = [count.text() for count in self.counts if not count.ok]
        return f"{line} ({'; '.join(wrong)})" if wrong else line

    def __repr__(self) -> str:
        return f"CaptionedMedia({self.describe()})"


def equal_texts_once(keys: Sequence[str], qrels: Qrels) -> tuple[np.ndarray, Qrels]:
    """Texts that read alike as one, relevant to the items of all of them.

    Args:
        keys: what decides whether two texts are one, in the order of the texts.
        qrels: `(n_texts, n_items)`.

    Returns:
        `(n_kept,)` positions of the first text of each kind, and `Qrels` `(n_kept, n_items)` of
        grade 1.
    """
    places: dict[str, int] = {}
    of_text = np.array([places.setdefault(key, len(places)) for key in keys], dtype=np.int64)
    _, first = np.unique(of_text, return_index=True)
    # The same words twice for one item are one judgement.
    pairs = np.unique(np.stack([of_text[qrels.query_index], qrels.items], axis=1), axis=0)
    return first, Qrels.from_pairs(*pairs.T, shape=(len(places), qrels.n_items))
