"""Variants: tunes that share much of their melody, in any key and rhythm.

Fiddlers and editors changed tunes and renamed them: `Kitty's Wedding` and `Smith's Reel` are one
melody. A search that finds the other setting is right, so a variant must be judged as relevant.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.sparse import coo_array, csr_array

from lib.core.checks import check_count
from lib.core.qrels import Qrels
from lib.datasets.concept_splits import group_by_keys
from lib.datasets.tunes.melody import Melody

PIECE = 12  # intervals of a piece
SAME, VARIANT, RELATED = 3, 2, 1  # grades
LEAST_SHARE = {RELATED: 0.1, VARIANT: 0.2, SAME: 0.5}
KINDS = re.compile(
    r"\b(reel|jig|hornpipe|strathspey|clog|march|air|quick\s?step|setting|part|no"
    r"|regt|\d+(st|n?d|rd|th)|a|an|the)\b"
)
SHORTEST_TITLE = 6  # letters; shorter titles are shared by chance


def shared_pieces(melodies: Sequence[Melody], piece: int = PIECE) -> csr_array:
    """Compute how much of its melody each tune shares with each other.

        share(a, b) = |P(a) & P(b)| / min(|P(a)|, |P(b)|)

    where P holds the different runs of `piece` successive intervals. Intervals do not depend on the
    key, and a tune that quotes a whole shorter one shares everything.

    Args:
        melodies: n tunes; one with fewer intervals than `piece` shares with itself alone.
        piece: number of intervals.

    Returns:
        `(n, n)` symmetric, 1 on the diagonal, with no entry where nothing is shared.
    """
    check_count(piece, "piece")
    own = [_pieces(melody, piece) for melody in melodies]
    sizes = np.array([pieces.size for pieces in own])
    n, width = len(own), f"S{piece}"
    _, column = np.unique(np.concatenate([*own, np.empty(0, width)]), return_inverse=True)
    row = np.repeat(np.arange(n), sizes)
    holds = coo_array((np.ones(row.size), (row, column))).tocsr() if row.size else csr_array((n, 1))
    holds.resize((n, holds.shape[1]))
    shared = (holds @ holds.T).tocoo()
    a, b = shared.coords
    apart = a != b
    share = shared.data[apart] / np.minimum(sizes[a[apart]], sizes[b[apart]])
    each = np.arange(n)
    cells = (np.concatenate([a[apart], each]), np.concatenate([b[apart], each]))
    return coo_array((np.concatenate([share, np.ones(n)]), cells), shape=(n, n)).tocsr()


def _pieces(melody: Melody, piece: int) -> np.ndarray:
    """Return the different runs of intervals as byte strings of one length."""
    intervals = melody.intervals.astype(np.int8)  # pitches lie in 0..127
    if intervals.size < piece:
        return np.empty(0, f"S{piece}")
    windows = np.ascontiguousarray(sliding_window_view(intervals, piece))
    return np.unique(windows.view(f"S{piece}"))


def judge(shares: csr_array, queries: np.ndarray, gallery: np.ndarray) -> Qrels:
    """Grade tunes by the share of melody: 3 from 0.5 (and the tune itself), 2 from 0.2, 1 from 0.1.

    Args:
        shares: of `shared_pieces`, between n tunes.
        queries: positions of the tunes that are asked for, with repetition as wanted.
        gallery: positions of the tunes that can be found.

    Returns:
        `Qrels` of shape `(len(queries), len(gallery))`.
    """
    block = shares[queries][:, gallery].tocoo()
    grades = np.zeros(block.data.size, dtype=int)
    for grade, least in LEAST_SHARE.items():
        grades[block.data >= least] = grade
    keep = grades > 0
    query, item = (positions[keep] for positions in block.coords)
    return Qrels.from_pairs(query, item, grades[keep], shape=block.shape)


def title_key(title: str) -> str:
    """Return the letters of a title without articles, kinds of tunes and what is in brackets."""
    words = re.sub(r"\(.*?\)|['.]", "", title.lower())
    return re.sub(r"[\W\d_]", "", KINDS.sub("", words))


def families(melodies: Sequence[Melody], shares: csr_array) -> np.ndarray:
    """Group tunes into families: those that share a tenth of their melody, or bear one title.

    Relations chain: a family holds every tune that is reached through others.

    Returns:
        int64 `(n,)`, numbered by first appearance.
    """
    keys: list[list] = [[] for _ in melodies]
    pairs = shares.tocoo()
    for a, b, share in zip(*pairs.coords, pairs.data, strict=True):
        if a < b and share >= LEAST_SHARE[RELATED]:
            keys[a].append((a, b))
            keys[b].append((a, b))
    for own, melody in zip(keys, melodies, strict=True):
        title = title_key(melody.title)
        if len(title) >= SHORTEST_TITLE:
            own.append(title)
    return group_by_keys(keys)
