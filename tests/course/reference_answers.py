"""One right answer to each exercise, so that the checks are tested before any notebook exists.

They live under tests/, not under lib/: the package that a reader imports holds no answers.
"""

import math

import numpy as np


def top_k(scores, k):
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def hit_rate(ranked_ids, relevant_id, k):
    return float((ranked_ids[:, :k] == relevant_id[:, None]).any(axis=1).mean())


def normalise(x):
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError("a row is zero")
    return x / norms


def modality_gap(images, texts):
    return normalise(images).mean(axis=0) - normalise(texts).mean(axis=0)


def truncate(x, dim):
    return normalise(x[:, :dim])


def analogy(vectors, names, a, b, c, k):
    row = {name: i for i, name in enumerate(names)}
    target = normalise((vectors[row[a]] - vectors[row[b]] + vectors[row[c]])[None])[0]
    order = np.argsort(-(normalise(vectors) @ target), kind="stable")
    return [names[i] for i in order if names[i] not in (a, b, c)][:k]


def reciprocal_rank(ranked_ids, relevant):
    for rank, item in enumerate(ranked_ids, start=1):
        if item in relevant:
            return 1 / rank
    return 0.0


def average_precision(ranked_ids, relevant_ids):
    same = ranked_ids[:, :, None] == relevant_ids[:, None, :]  # (n, depth, m)
    hit = same.any(axis=2) & (ranked_ids >= 0)
    precision = hit.cumsum(axis=1) / np.arange(1, hit.shape[1] + 1)
    return (precision * hit).sum(axis=1) / (relevant_ids >= 0).sum(axis=1)


def ndcg(ranked_grades, all_grades, k):
    def dcg(grades):
        gain = 2.0 ** np.array(grades[:k]) - 1
        return (gain / np.log2(np.arange(len(gain)) + 2)).sum()

    ideal = dcg(sorted(all_grades, reverse=True))
    return dcg(ranked_grades) / ideal if ideal else 0.0


def chance_hit_rate(n_items, n_relevant, k):
    return 1 - math.comb(n_items - n_relevant, k) / math.comb(n_items, k)


def pessimistic_r1(scores, correct):
    if np.isnan(scores).any():
        raise ValueError("a score is NaN")
    own = np.take_along_axis(scores, correct[:, None], axis=1)
    return ((scores >= own).sum(axis=1) == 1).mean()


def sign_flip(a, b, signs):
    observed, flipped = abs((a - b).sum()), np.abs(signs @ (a - b))
    return ((flipped >= observed).sum() + 1) / (len(signs) + 1)


def own_caption(scores, owner):
    return (owner[scores.argmax(axis=1)] == np.arange(len(scores))).mean()


def mcnemar(a, b):
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    n = only_a + only_b
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(min(only_a, only_b) + 1)) / 2**n)


def hinge(right, wrong, margin):
    return np.maximum(margin + wrong - right, 0).mean()


def semi_hard(cosines, margin):
    right = np.diagonal(cosines)[:, None]
    return (cosines < right) & (cosines > right - margin)


def triplet_batch(cosines, margin):
    hinges = np.maximum(margin + cosines - np.diagonal(cosines)[:, None], 0)
    return hinges[~np.eye(len(cosines), dtype=bool)].mean()


def max_of_hinges(cosines, same, margin):
    wrong = np.where(same, -np.inf, cosines)
    worst = np.concatenate([wrong.max(axis=1), wrong.max(axis=0)])
    return np.maximum(margin + worst - np.tile(np.diagonal(cosines), 2), 0).sum()


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def infonce_symmetric(logits):
    return -(np.diag(log_softmax(logits)) + np.diag(log_softmax(logits.T))).mean() / 2


def infonce_gradient(logits):
    softmaxes = np.exp(log_softmax(logits)) + np.exp(log_softmax(logits.T)).T
    return (softmaxes - 2 * np.eye(len(logits))) / (2 * len(logits))


def infonce_tutorial(texts, images, ids, temperature):
    logits = normalise(texts) @ normalise(images).T / temperature
    equal = ids[:, None] == ids
    targets = equal / equal.sum(axis=1, keepdims=True)
    return -((log_softmax(logits) + log_softmax(logits.T)) * targets).sum(axis=1).mean() / 2


def infonce_running(blocks):
    seen = -np.inf
    for block in blocks:
        seen = np.logaddexp(seen, np.logaddexp.reduce(block, axis=1))
    return seen


def ranking_loss(cosines, scale):
    return -np.diagonal(log_softmax(scale * cosines)).mean()


def ranking_gradient(cosines, scale):
    return scale * (np.exp(log_softmax(scale * cosines)) - np.eye(*cosines.shape)) / len(cosines)


def mnr_with_negatives(anchor, positive, negatives, scale):
    keys = np.concatenate([positive, negatives.reshape(-1, positive.shape[1])])
    return ranking_loss(anchor @ keys.T, scale)


def mine_hard_negatives(cosines, right, k):
    return np.argsort(-np.where(right, -np.inf, cosines), axis=1, kind="stable")[:, :k]


def sigmoid_prior(n_keys, n_right):
    return math.log(n_right / (n_keys - n_right))


def sigmoid_of(logits):
    return np.exp(-np.logaddexp(0, -logits))


def sigmoid_logit_gradient(logits, positives):
    return (sigmoid_of(logits) - positives) / len(logits)


def sigmoid_loss(logits, positives):
    return np.logaddexp(0, np.where(positives, -logits, logits)).sum() / len(logits)


def sigmoid_in_gallery(p, batch_size, gallery_size):
    right, wrong = p * (batch_size - 1), (1 - p) * (gallery_size - 1)
    return right / (right + wrong)


def seed_interval(values, quantile):
    if len(values) < 2:
        raise ValueError(f"{len(values)} value has no spread")
    half = quantile * np.std(values, ddof=1) / np.sqrt(len(values))
    return np.mean(values), np.mean(values) - half, np.mean(values) + half


def honest_choice(validation, test):
    setting = int(np.argmax(np.mean(validation, axis=1)))
    return setting, np.mean(test[setting])


def at_equal_budget(curves):
    pairs = {name: np.array(curve["steps"]) * curve["batch_size"] for name, curve in curves.items()}
    budget = min(seen[-1] for seen in pairs.values())
    return {
        name: curve["hits"][np.sum(pairs[name] <= budget) - 1] for name, curve in curves.items()
    }


def clustered_error(a, b, groups):
    d = np.mean(a - b, axis=0)
    _, cluster = np.unique(groups, return_inverse=True)
    return np.sqrt((np.bincount(cluster, d - d.mean()) ** 2).sum()) / len(d)


def reranked(ids, scores, depth):
    order = np.lexsort((ids[:, :depth], -scores[:, :depth]), axis=1)
    head = np.take_along_axis(ids[:, :depth], order, axis=1)
    return np.concatenate([head, ids[:, depth:]], axis=1)


def depth_within(first, fixed, pair, budget, depths, quality):
    cost = np.where(depths > 0, first + fixed + pair * depths, first)
    fits = np.flatnonzero(cost <= budget)
    return depths[fits][np.argmax(quality[fits])] if fits.size else -1


def fuse(runs, k):
    scores = {}
    for run in runs:
        for rank, item in enumerate(run, start=1):
            scores[item] = scores.get(item, 0) + 1 / (k + rank)
    return sorted(scores, key=lambda item: (-scores[item], item))


def order_of_stages(first, second):
    unread = np.isneginf(second)
    return np.lexsort((-np.where(unread, first, second), unread), axis=1)


def maxsim_of(query, document):
    return (query @ document.T).max(axis=1).sum()


def maxsim_padded(query, documents, mask):
    similarities = query @ documents.transpose(0, 2, 1)  # (n, L_q, L_d)
    return np.where(mask[:, None], similarities, -np.inf).max(axis=2).sum(axis=1)


def filip_loss(text_to_image, image_to_text):
    def cross_entropy(logits):
        return -np.diag(log_softmax(logits)).mean()

    return (cross_entropy(text_to_image) + cross_entropy(image_to_text.T)) / 2


def keep_most_won(queries, document, k):
    wins = np.bincount((queries @ document.T).argmax(axis=1), minlength=len(document))
    return np.sort(np.argsort(-wins, kind="stable")[:k])


def match_probability(logits):
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights[:, 1] / weights.sum(axis=1)


def interaction_part(scores):
    rows, columns = scores.mean(axis=1, keepdims=True), scores.mean(axis=0)
    return scores - rows - columns + scores.mean()


def hard_negative_chances(logits, same):
    wrong = np.where(same, -np.inf, logits)
    weights = np.exp(wrong - np.maximum(wrong.max(axis=1, keepdims=True), -1e308))
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(total > 0, total, 1.0)


def greedy_path(scores, neighbours, entry):
    path = [entry]
    while True:
        best = max(neighbours[path[-1]], key=lambda node: scores[node])
        if scores[best] <= scores[path[-1]]:
            return path
        path.append(best)


def beam_of(scores, neighbours, entry, ef):
    waiting, best, seen = [entry], [entry], {entry}
    while waiting:
        node = max(waiting, key=lambda other: scores[other])
        waiting.remove(node)
        if len(best) == ef and scores[node] < scores[best[-1]]:
            break
        for other in set(neighbours[node]) - seen:
            seen.add(other)
            if len(best) < ef or scores[other] > scores[best[-1]]:
                waiting.append(other)
                best = sorted([*best, other], key=lambda each: -scores[each])[:ef]
    return best


def filtered_hits(search, n, allowed, k):
    asked = k
    while True:
        hits = [item for item in search(min(asked, n)) if item in allowed]
        if len(hits) >= k or asked >= n:
            return hits[:k]
        asked *= 2


def surely_reaching(efs, hits, k, target):
    recall = hits / k
    low = recall.mean(axis=1) - 1.96 * recall.std(axis=1, ddof=1) / np.sqrt(recall.shape[1])
    enough = np.flatnonzero(low >= target)
    return efs[enough[0]] if enough.size else -1


def cells_to_visit(queries, centroids, nprobe):
    directions = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    return np.argsort(-(queries @ directions.T), axis=1, kind="stable")[:, :nprobe]


def adc(queries, codebooks, codes):
    pieces = np.split(queries, len(codebooks), axis=1)
    tables = [
        piece @ book.T for piece, book in zip(pieces, codebooks)
    ]  # m times (n_queries, n_codes)
    return sum(table[:, codes[:, j]] for j, table in enumerate(tables))


def decode_ivfpq(cells, codes, centroids, codebooks):
    pieces = [book[codes[:, j]] for j, book in enumerate(codebooks)]
    return centroids[cells] + np.concatenate(pieces, axis=1)


def recall_of_ids(found, true, k):
    was_found = (found[:, :k, None] == true[:, None, :k]).any(axis=1) & (true[:, :k] >= 0)
    return was_found.sum(axis=1).mean() / k


def choose_nprobe(nprobes, learn_hits, test_hits, k, target):
    reached = learn_hits.mean(axis=1) / k >= target
    at = reached.argmax() if reached.any() else len(nprobes) - 1
    return nprobes[at], test_hits[at].mean() / k


def signature(rows, normals):
    return (rows @ normals.T >= 0).astype(int)


def shared_bucket(cosine, bits, tables):
    same_side = 1 - np.arccos(cosine) / np.pi
    return 1 - (1 - same_side**bits) ** tables


def differing_bits(queries, base, normals):
    projected = base @ normals.T
    cuts = np.median(projected, axis=0)
    return ((queries @ normals.T >= cuts)[:, None] != (projected >= cuts)).sum(axis=2)


def score_aware(vectors, decoded, eta):
    residual = vectors - decoded
    along = (residual * vectors).sum(axis=1) / np.linalg.norm(vectors, axis=1)
    return (residual**2).sum(axis=1) + (eta - 1) * along**2


def frontier_of(recall, speed):
    best, kept = -1.0, []
    for at in sorted(range(len(recall)), key=lambda i: (-speed[i], -recall[i])):
        if recall[at] > best:
            kept.append(at)
            best = recall[at]
    return kept


def found_by_distance(run, distances, slack):
    k, hits = run.shape[1], 0
    for ids, far in zip(run, distances, strict=True):
        near = far <= np.sort(far)[k - 1] + slack
        hits += sum(near[item] for item in set(ids) - {-1})
    return hits / (k * len(run))


def honest_benchmark(search, queries, own, true, k, clock):
    search(queries[:1], k + 1)
    seconds, hits = [], 0
    for at in range(len(queries)):
        start = clock()
        found = search(queries[at : at + 1], k + 1)[0]
        seconds.append(clock() - start)
        found, wanted = ([item for item in ids if item != own[at]][:k] for ids in (found, true[at]))
        hits += len(set(found) & set(wanted))
    return np.median(seconds), hits / (k * len(queries))


def codes_that_fit(n, d, nlist, ram):
    left = ram - 8 * n - 4 * nlist * d - 8 * nlist - 4 * 256 * d
    return max((size for size in range(1, d + 1) if d % size == 0 and n * size <= left), default=-1)


def best_rank(scores, owner):
    own = owner == np.arange(len(scores))[:, None]
    best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
    return 1 + ((scores >= best) & ~own).sum(axis=1)


def mean_of_folds(scores, owner, n_folds):
    size = scores.shape[1] // n_folds
    means = []
    for fold in range(n_folds):
        mine = owner // size == fold
        inside = scores[mine, fold * size : (fold + 1) * size]
        means.append((inside.argmax(axis=1) + fold * size == owner[mine]).mean())
    return np.mean(means)


def load_clips(rows, on_disk, allow_partial):
    listed = list(dict.fromkeys(name for name, _ in rows))
    missing = [name for name in listed if name not in on_disk]
    if missing and not allow_partial:
        raise ValueError(f"found {len(listed) - len(missing)} of {len(listed)} clips")
    return [row for row in rows if row[0] in on_disk], missing


def side_by_side(mine, theirs):
    names = sorted({*mine, *theirs})
    left_open = [name for name in names if mine.get(name) is None or theirs.get(name) is None]
    return [
        name for name in names if name not in left_open and mine[name] != theirs[name]
    ], left_open


def mean_of_pieces(states, mask):
    counted = np.where(mask[:, :, None], states, 0)
    return counted.sum(axis=1) / mask.sum(axis=1)[:, None]


def attention_pooled(states, query, mask):
    scores = np.where(mask, states @ query, -np.inf)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    weights = powers / powers.sum(axis=1, keepdims=True)
    return (weights[:, :, None] * states).sum(axis=1)


def unlocked_names(names, n_layers, unlocked):
    kept = []
    for name in names:
        parts = name.split(".")
        in_layer = parts[:2] == ["tower", "layer"]
        if parts[0] != "tower" or (in_layer and int(parts[2]) >= n_layers - unlocked):
            kept.append(name)
    return kept


def best_by_cosine(queries, gallery, k):
    return top_k(normalise(queries) @ normalise(gallery).T, k)


def by_least_squares(texts, images, new_texts, new_images):
    """Map texts to images by ridge regression, in one go, instead of training in steps."""
    centres = texts.mean(axis=0), images.mean(axis=0)
    known, wanted = texts - centres[0], images - centres[1]
    matrix = np.linalg.solve(known.T @ known + 10 * np.eye(known.shape[1]), known.T @ wanted)
    return (new_texts - centres[0]) @ matrix, new_images - centres[1]


def changes(known, found):
    new = set(found.values()) - set(known.values())
    return [sorted(new), sorted(set(known) - set(found))]


def compose(text, pictures, without, weight):
    query = text
    if len(pictures):
        query = (1 - weight) * text + weight * normalise(pictures.mean(axis=0)[None])[0]
    if len(without):
        query = query - 0.5 * without.mean(axis=0)
    return query / np.linalg.norm(query)


def make_page(scores, allowed, group, k, offset):
    order = np.argsort(-scores, kind="stable")
    order = order[allowed[order]]
    _, first = np.unique(group[order], return_index=True)
    return order[np.sort(first)][offset : offset + k]


def threshold(copies, different, candidates, most):
    kept = [(different >= each).mean() <= most for each in candidates]
    chosen = candidates[kept.index(True)] if any(kept) else candidates[-1]
    return float(chosen), float((copies >= chosen).mean())


def merge_shards(scores, ids, k):
    scores, ids = (np.moveaxis(part, 0, 1).reshape(part.shape[1], -1) for part in (scores, ids))
    scores = np.where(ids < 0, -np.inf, scores)
    return np.take_along_axis(ids, np.lexsort((ids, -scores), axis=1), axis=1)[:, :k]


def global_ids(local, sizes):
    starts = np.cumsum(sizes, dtype=np.int64) - sizes
    return np.stack([np.where(rows < 0, -1, rows + at) for rows, at in zip(local, starts)])


def share_late(p, n, copies):
    return 1 - (1 - p**copies) ** n


def machines_for(qps, seconds, cores, share):
    return max(1, math.ceil(round(qps * seconds / share / cores, 9)))


def points_of(rows):
    lifts = np.cumsum(rows[:, 2]) - rows[:, 2]
    return np.column_stack([np.cumsum(rows[:, :2], axis=0), lifts])


def distances_to_piece(points, start, end):
    along = end - start
    length = max(float(along @ along), 1e-12)
    share = np.clip((points - start) @ along / length, 0, 1)
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)


def average_precision_at(relevant, total, k):
    relevant = np.asarray(relevant, dtype=float)[:k]
    precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
    return float((precision * relevant).sum() / min(total, k))


def leaking_shares(drawing, concept, trained):
    trained = np.asarray(trained, dtype=bool)
    return tuple(np.isin(of[~trained], of[trained]).mean() for of in (drawing, concept))


def parsons_of(pitches):
    steps = np.diff(pitches)
    return np.where(np.abs(steps) < 0.5, 0, np.sign(steps))


def window_distances(tune, query):
    windows = np.lib.stride_tricks.sliding_window_view(tune, len(query))
    windows = windows - windows.mean(axis=1, keepdims=True)
    return np.abs(windows - (query - query.mean())).mean(axis=1)


def warped_costs(costs):
    table = np.full(costs.shape, np.inf)
    table[0] = costs[0]
    for i in range(1, len(costs)):
        for j in range(1, costs.shape[1]):
            ways = [table[i - 1, j - 1]]
            if j >= 2:
                ways.append(table[i - 1, j - 2])
            if i >= 2:
                ways.append(table[i - 2, j - 1] + costs[i - 1, j])
            table[i, j] = min(ways) + costs[i, j]
    return table


def rank_of_family(families, own):
    places = np.flatnonzero(families == own)
    return len(np.unique(families[: places[0]])) + 1 if places.size else 0


ANSWERS = {
    "start.top_k": top_k,
    "start.hit_rate": hit_rate,
    "space.normalise": normalise,
    "space.modality_gap": modality_gap,
    "space.truncate": truncate,
    "space.analogy": analogy,
    "metrics.reciprocal_rank": reciprocal_rank,
    "metrics.average_precision": average_precision,
    "metrics.ndcg": ndcg,
    "metrics.chance": chance_hit_rate,
    "traps.pessimistic_r1": pessimistic_r1,
    "traps.sign_flip": sign_flip,
    "traps.own_caption": own_caption,
    "traps.mcnemar": mcnemar,
    "triplet.hinge": hinge,
    "triplet.semi_hard": semi_hard,
    "triplet.batch": triplet_batch,
    "triplet.max_of_hinges": max_of_hinges,
    "infonce.symmetric": infonce_symmetric,
    "infonce.gradient": infonce_gradient,
    "infonce.tutorial": infonce_tutorial,
    "infonce.running": infonce_running,
    "mnr.loss": ranking_loss,
    "mnr.gradient": ranking_gradient,
    "mnr.hard_negatives": mnr_with_negatives,
    "mnr.mine": mine_hard_negatives,
    "sigmoid.prior": sigmoid_prior,
    "sigmoid.gradient": sigmoid_logit_gradient,
    "sigmoid.loss": sigmoid_loss,
    "sigmoid.in_gallery": sigmoid_in_gallery,
    "shootout.interval": seed_interval,
    "shootout.select": honest_choice,
    "shootout.budget": at_equal_budget,
    "shootout.error": clustered_error,
    "late.maxsim": maxsim_of,
    "late.padded": maxsim_padded,
    "late.filip": filip_loss,
    "late.prune": keep_most_won,
    "two_stage.rerank": reranked,
    "two_stage.depth": depth_within,
    "two_stage.fuse": fuse,
    "two_stage.order": order_of_stages,
    "cross.probability": match_probability,
    "cross.interaction": interaction_part,
    "cross.negatives": hard_negative_chances,
    "graph.greedy": greedy_path,
    "graph.beam": beam_of,
    "graph.filtered": filtered_hits,
    "graph.tune": surely_reaching,
    "lists.cells": cells_to_visit,
    "lists.recall": recall_of_ids,
    "lists.tune": choose_nprobe,
    "codes.adc": adc,
    "codes.residual": decode_ivfpq,
    "lsh.signature": signature,
    "lsh.tables": shared_bucket,
    "lsh.thresholds": differing_bits,
    "lsh.anisotropic": score_aware,
    "tradeoffs.frontier": frontier_of,
    "tradeoffs.by_distance": found_by_distance,
    "tradeoffs.honest": honest_benchmark,
    "tradeoffs.codes": codes_that_fit,
    "benchmarks.best_rank": best_rank,
    "benchmarks.mean_of_folds": mean_of_folds,
    "benchmarks.load_clips": load_clips,
    "benchmarks.side_by_side": side_by_side,
    "text.mean": mean_of_pieces,
    "text.pool": attention_pooled,
    "text.unlock": unlocked_names,
    "build.search": best_by_cosine,
    "build.connect": by_least_squares,
    "build.beat": by_least_squares,
    "folder.changes": changes,
    "folder.compose": compose,
    "folder.page": make_page,
    "folder.threshold": threshold,
    "shards.merge": merge_shards,
    "shards.ids": global_ids,
    "shards.late": share_late,
    "shards.machines": machines_for,
    "sketches.points": points_of,
    "sketches.segment": distances_to_piece,
    "sketches.ap": average_precision_at,
    "sketches.leak": leaking_shares,
    "hums.parsons": parsons_of,
    "hums.windows": window_distances,
    "hums.dtw": warped_costs,
    "hums.family_rank": rank_of_family,
}
