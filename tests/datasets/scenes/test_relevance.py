"""Judgements and ceilings against slow, literal definitions."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lib.datasets import scenes
from lib.datasets.scenes import relevance
from lib.datasets.scenes.language import plan
from tests.datasets.scenes.examples import one_scene

OPPOSITE = {0: 1, 1: 0, 2: 3, 3: 2}


def crowded(n: int, seed: int) -> scenes.SceneBatch:
    """Scenes of few compositions that share half of their attributes."""
    pool = scenes.sample("test", 12, seed)
    rng = np.random.default_rng(seed)
    batch = scenes.sample("test", n, seed + 1)
    base = pool[rng.integers(len(pool), size=n)]
    batch = replace(batch, shape=base.shape, colour=base.colour, relation=base.relation)
    batch = replace(batch, size=np.where(rng.random((n, 2)) < 0.6, base.size, batch.size))
    batch = replace(batch, texture=np.where(rng.random((n, 2)) < 0.7, base.texture, batch.texture))
    batch = replace(batch, count=np.where(rng.random((n, 2)) < 0.7, base.count, batch.count))
    flip = rng.random(n) < 0.3
    batch = replace(batch, relation=np.where(flip, batch.relation ^ 1, batch.relation))
    turned = np.arange(n) % 3 == 0
    return scenes.concatenate([scenes.canonical(batch[turned]), batch[~turned]])


def groups_of(batch: scenes.SceneBatch) -> list[list[dict]]:
    names = ("shape", "colour", "size", "texture", "count")
    rows = range(len(batch))
    return [
        [{name: int(getattr(batch, name)[i, g]) for name in names} for g in range(2)] for i in rows
    ]


def double_loop(judge, asked: scenes.SceneBatch, gallery: scenes.SceneBatch) -> np.ndarray:
    """Judge every caption of `asked` against every image of `gallery`."""
    told = plan(asked)
    mine, others = groups_of(asked), groups_of(gallery)
    sizes, textures = told.states_size.tolist(), told.states_texture.tolist()
    states = [
        [{"size": size, "texture": texture} for size, texture in zip(*five, strict=True)]
        for five in zip(sizes, textures, strict=True)
    ]
    relations, shown = asked.relation.tolist(), gallery.relation.tolist()
    return np.array(
        [
            [
                judge(states[i][k], mine[i], relations[i], others[j], shown[j])
                for j in range(len(gallery))
            ]
            for i in range(len(asked))
            for k in range(5)
        ]
    )


def slow_grade(states: dict, mine: list[dict], relation: int, other: list[dict], shown: int) -> int:
    """Tries both ways of matching the groups, attribute by attribute."""
    best = 0
    for order, told_relation in (((0, 1), shown), ((1, 0), OPPOSITE[shown])):
        if any(mine[g][x] != other[order[g]][x] for g in range(2) for x in ("shape", "colour")):
            continue
        wrong = 0
        for g in range(2):
            wrong += mine[g]["count"] != other[order[g]]["count"]
            wrong += states["size"][g] and mine[g]["size"] != other[order[g]]["size"]
            wrong += states["texture"][g] and mine[g]["texture"] != other[order[g]]["texture"]
        placed = relation == told_relation
        best = max(best, 3 if placed and wrong == 0 else 2 if placed and wrong == 1 else 1)
    return best


def slow_bag(states: dict, mine: list[dict], relation: int, other: list[dict], shown: int) -> bool:
    """Assign the words of each kind to the two groups in every way."""
    if relation // 2 != shown // 2:
        return False
    for noun, colour, size, texture, count in product(((0, 1), (1, 0)), repeat=5):
        fits = True
        for g in range(2):
            said, painted, sized, textured, counted = (
                mine[f[g]] for f in (noun, colour, size, texture, count)
            )
            fits &= said["shape"] == other[g]["shape"] and (said["count"] > 1) == (
                other[g]["count"] > 1
            )
            fits &= (
                painted["colour"] == other[g]["colour"] and counted["count"] == other[g]["count"]
            )
            fits &= not states["size"][size[g]] or sized["size"] == other[g]["size"]
            fits &= not states["texture"][texture[g]] or textured["texture"] == other[g]["texture"]
        if fits:
            return True
    return False


def dense(qrels) -> np.ndarray:
    table = np.zeros(qrels.shape, dtype=int)
    table[qrels.query_index, qrels.items] = qrels.grades
    return table


def test_qrels_equal_a_double_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = crowded(60, seed=2)
    expected = double_loop(slow_grade, batch, batch)
    assert np.bincount(expected.ravel(), minlength=4).min() > 50  # every grade is put to the test
    assert np.array_equal(dense(scenes.qrels(batch)), expected)
    gallery = crowded(23, seed=2)
    monkeypatch.setattr(relevance, "_PAIRS_AT_A_TIME", 7)  # many blocks
    assert np.array_equal(dense(scenes.qrels(batch)), expected)
    assert np.array_equal(
        dense(scenes.qrels(batch, gallery)), double_loop(slow_grade, batch, gallery)
    )


def test_same_words_equals_a_double_loop() -> None:
    batch = scenes.concatenate([crowded(20, seed=4), scenes.swap_colours(crowded(10, seed=4))])
    expected = double_loop(slow_bag, batch, batch)
    assert np.array_equal(dense(scenes.same_words(batch)), expected)
    assert (dense(scenes.qrels(batch)) == 3).sum() < expected.sum()


def test_a_worked_example() -> None:
    # Two large solid red circles left of a small striped blue square, and six images.
    asked = one_scene()
    told_again = one_scene(  # a small striped blue square right of two large solid red circles
        shape=[[1, 0]],
        colour=[[4, 0]],
        size=[[0, 1]],
        texture=[[1, 0]],
        count=[[1, 2]],
        relation=[1],
    )
    gallery = scenes.concatenate(
        [
            asked,
            told_again,
            one_scene(count=[[3, 1]]),  # one detail off
            one_scene(size=[[0, 1]]),  # both sizes off
            scenes.swap_relation(asked),  # other relation
            scenes.swap_colours(asked),  # blue circles and a red square: other objects
        ]
    )
    grades = dense(scenes.qrels(asked, gallery))
    assert grades[0].tolist() == [3, 3, 2, 1, 1, 0]
    # The caption without sizes and textures cannot be wrong about them.
    assert grades[4].tolist() == [3, 3, 2, 3, 1, 0]
    # Without word order: sizes may be dealt out the other way, relation and colours too; the count
    # may not.
    assert dense(scenes.same_words(asked, gallery))[0].tolist() == [1, 1, 0, 1, 1, 1]


def test_every_caption_is_true_of_its_own_image_and_of_all_that_read_alike() -> None:
    batch = scenes.sample("test", 1500)
    qrels = scenes.qrels(batch)
    owner = np.arange(len(batch) * 5) // 5
    assert (qrels.grades_of(owner[:, None]) == 3).all()
    true = qrels.at_least(3)
    blind = scenes.same_words(batch)
    assert (blind.counts >= true.counts).all()
    cells = set(zip(blind.query_index.tolist(), blind.items.tolist(), strict=True))
    assert cells >= set(zip(true.query_index.tolist(), true.items.tolist(), strict=True))


def test_ceilings_are_the_shares_they_say() -> None:
    batch = crowded(60, seed=6)
    rows = scenes.ceilings(batch)
    assert [row["kind"] for row in rows] == [*scenes.KINDS, "all"]
    true, blind = dense(scenes.qrels(batch)) == 3, dense(scenes.same_words(batch)) == 1
    for k, row in enumerate(rows):
        t, w = (table[k::5] if k < 5 else table for table in (true, blind))
        t, w = t.sum(axis=1), w.sum(axis=1)
        assert row["n_captions"] == len(t)
        assert row["unique"] == pytest.approx(np.mean(t == 1))
        assert row["own_image"] == pytest.approx(np.mean(1 / t))
        assert row["blind_own_image"] == pytest.approx(np.mean(1 / w))
        assert row["blind_any_true"] == pytest.approx(np.mean(t / w))


def test_ceilings_of_the_published_test_set() -> None:
    test = scenes.sample("test", 5000)
    rows = {row["kind"]: row for row in scenes.ceilings(test)}
    assert rows["all"]["own_image"] == pytest.approx(0.9413, abs=5e-5)
    assert rows["all"]["unique"] == pytest.approx(0.8910, abs=5e-5)
    assert rows["all"]["blind_any_true"] == pytest.approx(0.8302, abs=5e-5)
    assert rows["order"]["blind_any_true"] == pytest.approx(0.5842, abs=5e-5)
    twins = scenes.concatenate([test, scenes.swap_relation(test)])
    with_twins = {row["kind"]: row for row in scenes.ceilings(test, twins)}
    # Every image now has a twin that a reader without word order cannot tell from it.
    assert all(row["blind_own_image"] <= 0.5 for row in with_twins.values())
    assert with_twins["full"]["own_image"] > 0.98
