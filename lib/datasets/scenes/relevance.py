"""Exact graded relevance of captions and images, and the best scores that are possible.

Nothing is compared that cannot match: gallery and captions are joined on the attributes that must
agree, and only the pairs of the join are graded: half a million for 25,000 captions and 5,000
images, instead of 125 million.
"""

from collections.abc import Iterator

import numpy as np

from lib.core.qrels import Qrels
from lib.datasets.scenes.language import KINDS, N_CAPTIONS, CaptionPlan, plan
from lib.datasets.scenes.world import SceneBatch, exchange_groups

TRUE, ONE_DETAIL_OFF, SAME_OBJECTS = 3, 2, 1  # grades
_PAIRS_AT_A_TIME = 1 << 20


def _joined(keys: np.ndarray, gallery_keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all (i, j) with keys[i] == gallery_keys[j], ascending, in blocks of whole i."""
    order = np.argsort(gallery_keys, kind="stable")
    ranked = gallery_keys[order]
    low, high = np.searchsorted(ranked, keys, "left"), np.searchsorted(ranked, keys, "right")
    ends = np.cumsum(high - low)
    start = 0
    while start < len(keys):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _PAIRS_AT_A_TIME, "right")))
        counts = high[start:stop] - low[start:stop]
        i = np.repeat(np.arange(start, stop), counts)
        within = np.arange(len(i)) - np.repeat(ends[start:stop] - counts - before, counts)
        yield i, order[low[i] + within]
        start = stop


def _end_to_end(parts: list[np.ndarray]) -> np.ndarray:
    # There are no parts where there are no scenes.
    return np.concatenate([np.zeros(0, dtype=np.int64), *parts])


def _by_pair(scenes: SceneBatch, caption_plan: CaptionPlan | None = None):
    """Put the group of the smaller (shape, colour) pair first, in scenes and plan."""
    turned = scenes.pair[:, 0] > scenes.pair[:, 1]
    scenes = exchange_groups(scenes, turned)
    if caption_plan is None:
        return scenes, None, None
    states = (caption_plan.states_size, caption_plan.states_texture)
    return scenes, *(np.where(turned[:, None, None], s[..., ::-1], s) for s in states)


def qrels(scenes: SceneBatch, gallery: SceneBatch | None = None) -> Qrels:
    """Grade every caption of `scenes` against every image of `gallery`; no positive is missing.

    - 3: the caption is true of the image: everything it states holds, for its own image or others.
    - 2: everything holds but one of the stated sizes, textures or counts.
    - 1: the image shows the two (shape, colour) pairs that the caption names, but the relation
      differs, or more than one of the other details.
    - 0 (not stored): the image shows other objects.

    An attribute that the caption leaves out cannot make it false.

    Args:
        scenes: n scenes; their captions are the queries, five a scene in order.
        gallery: m scenes; None means `scenes` themselves.

    Returns:
        Qrels of shape (5 n, m). Query q is caption q % 5 of scene q // 5.
    """
    gallery = scenes if gallery is None else gallery
    queries, states_size, states_texture = _by_pair(scenes, plan(scenes))
    images, _, _ = _by_pair(gallery)

    def key(batch: SceneBatch) -> np.ndarray:
        return batch.pair[:, 0].astype(np.int64) * 64 + batch.pair[:, 1]

    rows, items, grades = [], [], []
    for i, j in _joined(key(queries), key(images)):
        # Both groups of a pair (i, j) correspond, since the two pairs of a scene differ.
        wrong = (queries.count[i] != images.count[j]).sum(axis=1)[:, None]  # (pairs, 1)
        size_differs = (queries.size[i] != images.size[j])[:, None]
        texture_differs = (queries.texture[i] != images.texture[j])[:, None]
        wrong = wrong + (states_size[i] & size_differs).sum(axis=2)  # (pairs, 5)
        wrong = wrong + (states_texture[i] & texture_differs).sum(axis=2)
        placed = (queries.relation[i] == images.relation[j])[:, None]
        details = np.where(wrong == 0, TRUE, np.where(wrong == 1, ONE_DETAIL_OFF, SAME_OBJECTS))
        grade = np.where(placed, details, SAME_OBJECTS)  # (pairs, 5)
        rows.append((i[:, None] * N_CAPTIONS + np.arange(N_CAPTIONS)).ravel())
        items.append(np.repeat(j, N_CAPTIONS))
        grades.append(grade.ravel())
    shape = (len(scenes) * N_CAPTIONS, len(gallery))
    return Qrels.from_pairs(*map(_end_to_end, (rows, items, grades)), shape=shape)


def _sorted_code(columns: np.ndarray, base: int) -> np.ndarray:
    """Code (n, 2) values in one number that forgets their order."""
    columns = np.sort(columns.astype(np.int64), axis=1)
    return columns[:, 0] * base + columns[:, 1]


def _tally(values: np.ndarray, states: np.ndarray | None, n_values: int) -> np.ndarray:
    """Count each stated value: (n, n_values), or (n, 5, n_values) with a mask (n, 5, 2)."""
    hot = values[..., None] == np.arange(n_values)  # (n, 2, n_values)
    if states is None:
        return hot.sum(axis=1)
    return (hot[:, None] & states[..., None]).sum(axis=2)


def same_words(scenes: SceneBatch, gallery: SceneBatch | None = None) -> Qrels:
    """Find the images that a reader blind to word order must accept: Qrels of grade 1.

    Such a reader sees the multiset of a caption's attribute words: shapes with their number (a
    plural is another word), colours, counts, sizes, textures, and the axis of the relation. An
    image is possible if some assignment of these words to its two groups, in some order, is true
    of it. Synonyms count as one word. Every image of grade 3 in `qrels` is possible.

    Args:
        scenes: n scenes; their captions are the queries.
        gallery: m scenes; None means `scenes` themselves.
    """
    gallery = scenes if gallery is None else gallery
    caption_plan = plan(scenes)

    def key(batch: SceneBatch) -> np.ndarray:
        nouns = _sorted_code(batch.shape * 2 + (batch.count > 1), 16)
        code = (nouns * 64 + _sorted_code(batch.colour, 8)) * 16 + _sorted_code(batch.count, 4)
        return code * 2 + batch.relation // 2

    # (n, 5, n_values) and (m, n_values)
    stated = [
        _tally(scenes.size, caption_plan.states_size, 2),
        _tally(scenes.texture, caption_plan.states_texture, 3),
    ]
    visible = [_tally(gallery.size, None, 2), _tally(gallery.texture, None, 3)]
    rows, items = [], []
    for i, j in _joined(key(scenes), key(gallery)):
        possible = np.ones((len(i), N_CAPTIONS), dtype=bool)
        for need, have in zip(stated, visible, strict=True):
            possible &= (need[i] <= have[j][:, None]).all(axis=2)
        pair, caption = np.nonzero(possible)
        rows.append(i[pair] * N_CAPTIONS + caption)
        items.append(j[pair])
    shape = (len(scenes) * N_CAPTIONS, len(gallery))
    return Qrels.from_pairs(*map(_end_to_end, (rows, items)), shape=shape)


def ceilings(scenes: SceneBatch, gallery: SceneBatch | None = None) -> list[dict]:
    """Compute the best possible text-to-image R@1, by kind of caption and for all of them.

    Two ideal readers put all images they cannot tell apart first, in random order. With T the
    number of images the caption is true of and W the number that the reader blind to word order
    cannot exclude, the expected share of captions answered at rank 1 is

        full reader, own image           mean(1 / T)
        full reader, any true image      1
        blind reader, own image          mean(1 / W)
        blind reader, any true image     mean(T / W)

    Args:
        scenes: their captions are the queries.
        gallery: images searched; must contain the scenes themselves. None means `scenes`. Appending
            `swap_relation(scenes)` costs the full reader little and halves the blind one.

    Returns:
        Rows {kind, n_captions, unique (share of captions true of exactly one image), own_image,
        blind_own_image, blind_any_true}, shares in 0..1.
    """
    true = qrels(scenes, gallery).at_least(TRUE).counts.reshape(-1, N_CAPTIONS)  # (n, 5)
    blind = same_words(scenes, gallery).counts.reshape(-1, N_CAPTIONS)
    rows = []
    for kind, columns in [*zip(KINDS, range(N_CAPTIONS)), ("all", slice(None))]:
        t, w = true[:, columns], blind[:, columns]
        rows.append(
            {
                "kind": kind,
                "n_captions": t.size,
                "unique": float((t == 1).mean()),
                "own_image": float((1 / t).mean()),
                "blind_own_image": float((1 / w).mean()),
                "blind_any_true": float((t / w).mean()),
            }
        )
    return rows
