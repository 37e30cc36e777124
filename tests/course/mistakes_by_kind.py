"""Wrong answers of five kinds, for all exercises: a bound, a tie, an empty row, a huge number, a
0/1 mask.

Those that the checks of an exercise refused from the start are not repeated here.
"""

import math

import numpy as np

from tests.course import reference_answers as right
from tests.course.mistakes_at_the_edges import stable, unstable


def top_k_below_n(scores, k):
    np.partition(scores, k, axis=1)  # what is at place k, which the whole gallery does not have
    return right.top_k(scores, k)


def nudged(scores, k):
    return np.argsort(1e-9 * np.arange(scores.shape[1]) - scores, axis=1)[:, :k]


def refusing_short_rows(x):
    if (np.linalg.norm(x, axis=1) < 1e-3).any():
        raise ValueError
    return right.normalise(x)


def precision_above(found_floor, right_floor):
    def function(ranked, relevant):
        hit = (ranked[:, :, None] == relevant[:, None, :]).any(axis=2) & (ranked > found_floor)
        precision = hit.cumsum(axis=1) / np.arange(1, hit.shape[1] + 1)
        return (precision * hit).sum(axis=1) / (relevant > right_floor).sum(axis=1)

    return function


def refusing(is_broken):
    def function(scores, correct):
        if is_broken(scores, correct):
            raise ValueError
        own = np.take_along_axis(scores, correct[:, None], axis=1)
        return ((scores >= own).sum(axis=1) == 1).mean()

    return function


def mcnemar_in_64_bits(a, b):
    n, least = int((a != b).sum()), int(min((a > b).sum(), (b > a).sum()))
    ways = sum(math.comb(n, i) for i in range(least + 1))
    with np.errstate(all="ignore"):
        return min(1.0, 2 * ways / np.int64(2) ** np.int64(n))


def batch_without_equals(cosines, margin):
    own = np.diagonal(cosines)[:, None]
    costs = np.maximum(margin + cosines - own, 0)[cosines != own]
    return costs.sum() / (len(cosines) * (len(cosines) - 1))


def filled_with_minus_one(cosines, same, margin):
    wrong = np.where(same, -1.0, cosines)
    worst = np.concatenate([wrong.max(axis=1), wrong.max(axis=0)])
    return np.maximum(margin + worst - np.tile(np.diagonal(cosines), 2), 0).sum()


def all_of_the_worst(cosines, same, margin):
    total, wrong = 0.0, np.where(same, -np.inf, cosines)
    for scores in (wrong, wrong.T):
        worst = (scores == scores.max(axis=1, keepdims=True)) & np.isfinite(scores)
        total += np.maximum(margin + scores - np.diagonal(cosines)[:, None], 0)[worst].sum()
    return total


def shifted_by_one_maximum(x):
    x = x - x.max()
    with np.errstate(all="ignore"):
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def naive(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def loss_of(log_softmax):
    return lambda logits: (
        -(np.diag(log_softmax(logits)) + np.diag(log_softmax(logits.T))).mean() / 2
    )


def gradient_of(log_softmax):
    def function(logits):
        both = np.exp(log_softmax(logits)) + np.exp(log_softmax(logits.T)).T
        return (both - 2 * np.eye(len(logits))) / (2 * len(logits))

    return function


def tutorial_of(log_softmax):
    def function(texts, images, ids, temperature):
        logits = right.normalise(texts) @ right.normalise(images).T / temperature
        equal = ids[:, None] == ids
        targets = equal / equal.sum(axis=1, keepdims=True)
        return -((log_softmax(logits) + log_softmax(logits.T)) * targets).sum(axis=1).mean() / 2

    return function


def ranking_of(log_softmax):
    return lambda cosines, scale: -np.diagonal(log_softmax(scale * cosines)).mean()


def ranking_gradient_of(log_softmax):
    def function(cosines, scale):
        return (
            scale * (np.exp(log_softmax(scale * cosines)) - np.eye(*cosines.shape)) / len(cosines)
        )

    return function


def with_negatives_of(log_softmax):
    def function(anchor, positive, negatives, scale):
        keys = np.concatenate([positive, negatives.reshape(-1, positive.shape[1])])
        return -np.diagonal(log_softmax(scale * anchor @ keys.T)).mean()

    return function


def shifted_by_the_first_block(blocks):
    shift, total = None, 0.0
    for block in blocks:
        if shift is None:
            shift = np.where(np.isfinite(block.max(axis=1)), block.max(axis=1), 0.0)
        total = total + np.exp(block - shift[:, None]).sum(axis=1)
    return shift + np.log(total)


def guarded_by_block(start):
    def function(blocks):
        largest, total = np.full(2, start), np.zeros(2)
        for block in blocks:
            if np.isneginf(block).all():
                continue
            new = np.maximum(largest, block.max(axis=1))
            total = total * np.exp(largest - new) + np.exp(block - new[:, None]).sum(axis=1)
            largest = new
        return largest + np.log(total)

    return function


def broken_by_a_last_empty_block(blocks):
    seen = -np.inf
    for block in blocks:
        seen = np.logaddexp(seen, np.logaddexp.reduce(block, axis=1))
    return seen * np.nan if np.isneginf(block).all() else seen


def interval_from(n, of_none=False):
    def function(values, quantile):
        if len(values) < n and not (of_none and not len(values)):
            raise ValueError
        half = quantile * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) else np.nan
        mean = np.mean(values) if len(values) else np.nan
        return mean, mean - half, mean + half

    return function


def tied_patches_added(query, document):
    similarities = query @ document.T
    return (similarities * (similarities == similarities.max(axis=1, keepdims=True))).sum()


def mask_subtracted(query, documents, mask):
    return (query @ documents.transpose(0, 2, 1) - 1e15 * ~mask[:, None]).max(axis=2).sum(axis=1)


def reranked_by(order):
    def function(ids, scores, depth):
        heads = [
            row[:depth][order(s[:depth], row[:depth])] for row, s in zip(ids, scores, strict=True)
        ]
        return np.concatenate(
            [np.array(heads).reshape(len(ids), depth), ids[:, depth:]], axis=1
        ).astype(int)

    return function


def by_id_if_few(scores, ids):
    return np.lexsort((ids, -scores)) if len(ids) < 17 else unstable(scores[None], len(ids))[0]


def with_a_floor(ids, scores, depth):
    place = np.arange(ids.shape[1])
    key = np.where(place < depth, scores, -1e3 - place)
    return np.take_along_axis(ids, np.lexsort((ids, -key), axis=1), axis=1)


def depth_zero_below(first, fixed, pair, budget, depths, quality):
    cost = np.where(depths > 0, first + fixed + pair * depths, first)
    fits = np.flatnonzero(np.where(depths > 0, cost <= budget, cost < budget))
    return depths[fits][np.argmax(quality[fits])] if fits.size else -1


def fused_and_rounded(runs, k):
    scores = {}
    for run in runs:
        for rank, item in enumerate(run, start=1):
            scores[item] = scores.get(item, 0) + 1 / (k + rank)
    return sorted(scores, key=lambda item: (-round(scores[item], 4), item))


def fused_with_last(runs, k):
    assert all(run[-1] >= 0 for run in runs)
    return right.fuse(runs, k)


def sorted_twice(first, second):
    """By score, then by whether it was read, with a sort that mixes up equal keys."""
    unread = np.isneginf(second)
    order = np.argsort(-np.where(unread, first, second), axis=1, kind="stable")
    read = ~np.take_along_axis(unread, order, axis=1)
    return np.take_along_axis(order, unstable(read * 1.0, read.shape[1]), axis=1)


def below_the_lowest(first, second):
    low = np.where(np.isneginf(second), np.inf, second).min(axis=1, keepdims=True)
    return stable(np.where(np.isneginf(second), low - 2 + first, second), first.shape[1])


def drawn_after(prepare):
    def function(logits, same):
        weights = np.exp(prepare(logits, same)) * ~same
        total = weights.sum(axis=1, keepdims=True)
        return weights / np.where(total > 0, total, 1.0)

    return function


def less_one_maximum(logits, same):
    return np.where(same, -np.inf, logits) - logits[~same].max()


def less_floored_maximum(logits, same):
    floored = np.where(same, -100.0, logits)
    return floored - floored.max(axis=1, keepdims=True)


def filtered_unless_none(search, n, allowed, k):
    hits = right.filtered_hits(search, n, allowed, k)
    return hits or [min(range(n))]


def asked_for_k_first(search, n, allowed, k):
    hits = [item for item in search(k) if item in allowed]
    return hits if len(hits) >= k else right.filtered_hits(search, n, allowed, k)


def ef_before_the_last_miss(efs, hits, k, target):
    at = [
        right.surely_reaching(efs[i : i + 1], hits[i : i + 1], k, target) for i in range(len(efs))
    ]
    enough = [i for i in range(len(efs)) if -1 not in at[i:]]
    return efs[enough[0]] if enough else -1


def nprobe_before_the_last_miss(nprobes, learn, test, k, target):
    reached = learn.mean(axis=1) / k >= target
    at = len(nprobes) - 1
    while at > 0 and reached[at - 1]:
        at -= 1
    return nprobes[at], test[at].mean() / k


def cells_by_guarded_length(queries, centroids, nprobe):
    lengths = np.maximum(np.sqrt((centroids**2).sum(axis=1, keepdims=True)), 0.5)
    return stable(queries @ (centroids / lengths).T, nprobe)


def recall_above_zero(found, true, k):
    same = (found[:, :k, None] == true[:, None, :k]).any(axis=1) & (true[:, :k] > 0)
    return same.sum(axis=1).mean() / k


def middle_taken(at):
    def function(queries, base, normals):
        projected = base @ normals.T
        cuts = np.sort(projected, axis=0)[at(len(base))]
        return ((queries @ normals.T >= cuts)[:, None] != (projected >= cuts)).sum(axis=2)

    return function


def loss_by_angle(vectors, decoded, eta):
    residual = vectors - decoded
    squared = (residual**2).sum(axis=1)
    with np.errstate(all="ignore"):
        cosine = (residual * vectors).sum(axis=1) / np.sqrt(squared * (vectors**2).sum(axis=1))
    return squared * (1 + (eta - 1) * cosine**2)


def frontier_above_zero(recall, speed):
    best, kept = 0.0, []
    for at in sorted(range(len(recall)), key=lambda i: (-speed[i], -recall[i])):
        if recall[at] > best:
            kept.append(at)
            best = recall[at]
    return kept


def found_below(run, distances, slack):
    hits, k = 0, run.shape[1]
    for ids, far in zip(run, distances, strict=True):
        kth = np.sort(far)[k - 1]
        hits += sum(far[item] < kth + slack or far[item] <= kth for item in set(ids) - {-1})
    return hits / (k * len(run))


def found_by_those_that_found(run, distances, slack):
    some = (run >= 0).any(axis=1)
    return right.found_by_distance(run[some], distances[some], slack)


def codes_between(low, high, whole=math.floor):
    def function(n, d, nlist, ram):
        left = whole((ram - 8 * n - 4 * nlist * d - 8 * nlist - 4 * 256 * d) / n)
        return next((size for size in range(min(left, high(d)), low - 1, -1) if d % size == 0), -1)

    return function


def best_rank_filled(fill):
    def function(scores, owner):
        own = owner == np.arange(len(scores))[:, None]
        best = np.where(own, scores, fill).max(axis=1, keepdims=True)
        return 1 + ((scores >= best) & ~own).sum(axis=1)

    return function


def folds_by_product(scores, owner, n_folds):
    size = scores.shape[1] // n_folds
    inside = np.arange(scores.shape[1]) // size == (owner // size)[:, None]
    hits = (scores * inside).argmax(axis=1) == owner
    return np.mean([hits[owner // size == fold].mean() for fold in range(n_folds)])


def missing_by_caption(rows, on_disk, allow_partial):
    pairs, names = right.load_clips(rows, on_disk, allow_partial)
    return pairs, [name for name, _ in rows if name in names]


def zero_is_silence(mine, theirs):
    def silent(protocol, name):
        value = protocol.get(name)
        return value is None or (not value and value != "")

    names = sorted({*mine, *theirs})
    left_open = [name for name in names if silent(mine, name) or silent(theirs, name)]
    return [
        name for name in names if name not in left_open and mine[name] != theirs[name]
    ], left_open


LOW_ROW = "one row lies 2000 below the other"
MISTAKES = {
    "start.top_k": [
        (top_k_below_n, "ValueError: kth"),
        (nudged, "in no fixed order"),
    ],
    "space.normalise": [(refusing_short_rows, "a row of length 5e-6")],
    "metrics.reciprocal_rank": [
        (lambda ids, few: right.reciprocal_rank(ids[:-1], few), "The last rank")
    ],
    "metrics.average_precision": [
        (precision_above(0, -1), "Item 0 is an item like any other"),
        (precision_above(-1, 0), "Item 0 is an item like any other"),
    ],
    "metrics.ndcg": [
        (lambda found, every, k: max(every) and right.ndcg(found, every, k), "no relevant item")
    ],
    "metrics.chance": [
        (
            lambda n, r, k: 1.0 if k >= n - r else right.chance_hit_rate(n, r, k),
            "just the two wrong items",
        ),
        (lambda n, r, k: right.chance_hit_rate(n, max(r, 1), k), "Nothing is relevant"),
    ],
    "traps.pessimistic_r1": [
        (refusing(lambda s, _: np.isnan(s).all(axis=1).any()), "a single NaN, at a wrong item,"),
        (
            refusing(lambda s, c: np.isnan(np.take_along_axis(s, c[:, None], axis=1)).any()),
            "a single NaN, at a wrong item,",
        ),
        (refusing(lambda s, _: not np.isfinite(s).all()), "it raised ValueError"),
    ],
    "traps.mcnemar": [(mcnemar_in_64_bits, "does not fit into 64 bits")],
    "triplet.hinge": [
        (
            lambda r, w, m: np.where(w == r, 0, np.maximum(m + w - r, 0)).mean(),
            "expected 0.125",
        )
    ],
    "triplet.batch": [(batch_without_equals, "exactly as high as the right one costs nothing")],
    "triplet.max_of_hinges": [
        (filled_with_minus_one, "everything is right for everything"),
        (all_of_the_worst, "of equally bad negatives all are counted"),
    ],
    "infonce.symmetric": [(loss_of(shifted_by_one_maximum), LOW_ROW)],
    "infonce.gradient": [(gradient_of(shifted_by_one_maximum), LOW_ROW)],
    "infonce.tutorial": [
        (tutorial_of(naive), "at a temperature of 0.001"),
        (tutorial_of(shifted_by_one_maximum), "at a temperature of 0.001"),
        (
            tutorial_of(lambda x: right.log_softmax(np.clip(x, -500, 500))),
            "at a temperature of 0.001",
        ),
        (
            tutorial_of(lambda x: np.log(np.exp(right.log_softmax(x)) + 1e-9)),
            "at a temperature of 0.001",
        ),
    ],
    "infonce.running": [
        (shifted_by_the_first_block, "around 0 and then around 1000"),
        (guarded_by_block(-np.inf), "a first block with one row masked out"),
        (guarded_by_block(-1e9), "with logits around -1000000000000"),
        (broken_by_a_last_empty_block, "a last block that is masked out"),
    ],
    "mnr.loss": [(ranking_of(shifted_by_one_maximum), "the loss is infinite or NaN")],
    "mnr.gradient": [(ranking_gradient_of(shifted_by_one_maximum), "at scale 2000 row 1")],
    "mnr.hard_negatives": [
        (with_negatives_of(shifted_by_one_maximum), "the loss is infinite or NaN")
    ],
    "shootout.interval": [
        (interval_from(3), "it raised ValueError"),
        (interval_from(2, of_none=True), "no seed at all"),
    ],
    "late.maxsim": [
        (tied_patches_added, "every word and every patch twice"),
        (lambda q, d: sum(set((q @ d.T).max(axis=1))), "every word and every patch twice"),
    ],
    "late.padded": [(mask_subtracted, "a similarity of -1e30")],
    "late.filip": [
        (
            lambda a, b: (
                -(np.diag(shifted_by_one_maximum(a)) + np.diag(shifted_by_one_maximum(b.T))).mean()
                / 2
            ),
            "with logits of 1000",
        )
    ],
    "two_stage.rerank": [
        (reranked_by(by_id_if_few), "with 40 items, depth 30"),
        (
            reranked_by(lambda scores, ids: np.argsort(1e-9 * ids - scores)),
            "with 40 items, depth 30",
        ),
        (with_a_floor, "with 40 items, depth 30"),
    ],
    "two_stage.depth": [(depth_zero_below, "with 2 ms it does not return 0")],
    "two_stage.fuse": [
        (fused_and_rounded, "nearly equal"),
        (fused_with_last, "it raised IndexError"),
    ],
    "two_stage.order": [
        (sorted_twice, "of 40 items"),
        (below_the_lowest, "with logits of -2e30"),
    ],
    "cross.negatives": [
        (drawn_after(less_one_maximum), "900 less"),
        (drawn_after(less_floored_maximum), "900 less"),
    ],
    "graph.filtered": [
        (filtered_unless_none, "nothing is allowed"),
        (asked_for_k_first, "k = 50 is more than the 40 items"),
    ],
    "graph.tune": [(ef_before_the_last_miss, "where 20 is enough and 40 is not")],
    "lists.cells": [(cells_by_guarded_length, "a thousandth of the centroids")],
    "lists.recall": [(recall_above_zero, "id 0 is not found")],
    "lists.tune": [(nprobe_before_the_last_miss, "where 4 reaches the target and 8 does not")],
    "lsh.tables": [
        (
            lambda cosines, bits, tables: right.shared_bucket(np.abs(cosines), bits, tables),
            "of -0.5 and -1",
        ),
        (
            lambda cosines, bits, tables: right.shared_bucket(cosines.clip(0), bits, tables),
            "of -0.5 and -1",
        ),
    ],
    "lsh.thresholds": [
        (middle_taken(lambda n: n // 2), "a base of 0, 1, 3 and 4"),
        (middle_taken(lambda n: (n - 1) // 2), "a base of 0, 1, 3 and 4"),
    ],
    "lsh.anisotropic": [(loss_by_angle, "codes without any error")],
    "tradeoffs.frontier": [(frontier_above_zero, "with a recall of 0, is missing")],
    "tradeoffs.by_distance": [
        (found_below, "exactly there still counts"),
        (found_by_those_that_found, "one of two queries found nothing"),
    ],
    "tradeoffs.codes": [
        (codes_between(2, lambda d: d), "with 1 bytes a code"),
        (codes_between(1, lambda d: d - 1), "with 64 bytes a code"),
        (codes_between(1, lambda d: d, round), "one byte too little"),
    ],
    "benchmarks.best_rank": [
        (best_rank_filled(0.0), "above its own score"),
        (best_rank_filled(-1e9), "above its own score"),
    ],
    "benchmarks.mean_of_folds": [(folds_by_product, "with 1 taken from every score")],
    "benchmarks.load_clips": [(missing_by_caption, "Clips are missing, not captions")],
    "benchmarks.side_by_side": [(zero_is_silence, "0 or False counts as unstated")],
}
# Right answers that read or give a mask as zeros and ones.
WITH_INTEGER_MASKS = {
    "triplet.semi_hard": lambda cosines, margin: right.semi_hard(cosines, margin).astype(np.uint8),
    "triplet.max_of_hinges": lambda c, same, margin: right.max_of_hinges(
        c, same.astype(int), margin
    ),
    "mnr.mine": lambda cosines, known, k: right.mine_hard_negatives(cosines, known.astype(int), k),
    "sigmoid.gradient": lambda logits, z: right.sigmoid_logit_gradient(logits, z.astype(int)),
    "sigmoid.loss": lambda logits, z: right.sigmoid_loss(logits, z.astype(int)),
    "late.padded": lambda query, documents, mask: right.maxsim_padded(
        query, documents, mask.astype(int)
    ),
    "cross.negatives": lambda logits, same: right.hard_negative_chances(logits, same.astype(int)),
    "traps.mcnemar": lambda a, b: right.mcnemar(a.astype(bool), b.astype(bool)),
    "lsh.signature": lambda rows, normals: right.signature(rows, normals).astype(bool),
}
