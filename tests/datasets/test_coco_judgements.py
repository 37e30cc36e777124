"""COCO judgements: published counts, alignment, damage, and the numbers of their authors."""

import importlib
import shutil
import sys
import warnings

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import coco_judgements
from lib.datasets.coco_judgements import DIRECTIONS, JUDGEMENTS, PUBLISHED_COUNTS
from lib.metrics import average_precision_at_r, evaluate, hit_rate_at_k, map_at_r, r_precision

needs_package = pytest.mark.skipif(
    not coco_judgements.available(),
    reason="eccv-caption is not installed: pip install eccv-caption==0.1.0",
)
SETS = [(judgements, direction) for judgements in JUDGEMENTS for direction in DIRECTIONS]


@pytest.fixture(scope="module")
def coco():
    return coco_judgements.load_judgements()


# ---- what is in it


@needs_package
def test_ids(coco):
    assert coco.caption_ids.shape == (25_000,) and coco.image_ids.shape == (5_000,)
    assert np.unique(coco.caption_ids).size == 25_000 and np.unique(coco.image_ids).size == 5_000
    assert coco.caption_ids[:5].tolist() == [770337, 771687, 772707, 776154, 781998]
    assert coco.image_ids[0] == 391895
    assert (
        np.intersect1d(coco.image_ids, coco.caption_ids).size == 137
    )  # two id spaces that overlap
    assert coco_judgements.load_judgements() is coco
    with pytest.raises(ValueError, match="read-only"):
        coco.image_ids[0] = 1


@needs_package
@pytest.mark.parametrize(
    ("judgements", "direction", "least", "most", "items"),
    [
        ("original", "image_to_text", 5, 5, 25_000),
        ("original", "text_to_image", 1, 1, 5_000),
        ("cxc", "image_to_text", 4, 19, 24_972),
        ("cxc", "text_to_image", 1, 8, 5_000),
        ("eccv", "image_to_text", 6, 48, 11_953),
        ("eccv", "text_to_image", 1, 19, 3_182),
    ],
)
def test_published_counts(coco, judgements, direction, least, most, items):
    qrels = coco.qrels(judgements, direction, as_published=True)
    counts = qrels.counts[coco.judged(judgements, direction)]
    assert (counts.size, counts.sum()) == PUBLISHED_COUNTS[judgements, direction]
    assert (counts.min(), counts.max()) == (least, most)
    assert np.unique(qrels.items).size == items and qrels.max_grade == 1
    shape = (5_000, 25_000) if direction == "image_to_text" else (25_000, 5_000)
    assert coco.qrels(judgements, direction).shape == shape


@needs_package
def test_two_published_positives_are_in_no_gallery(coco):
    published = coco.qrels("eccv", "image_to_text", as_published=True)
    assert published.shape == (5_000, 25_002)
    beyond = published.items >= 25_000
    assert coco.image_ids[published.query_index[beyond]].tolist() in (
        [575916, 421999],
        [421999, 575916],
    )
    assert not np.isin(coco_judgements.UNFINDABLE_CAPTIONS, coco.caption_ids).any()
    assert pairs(coco.qrels("eccv", "image_to_text")) == {
        p for p in pairs(published) if p[1] < 25_000
    }
    for judgements, direction in SETS:
        if (judgements, direction) != ("eccv", "image_to_text"):
            assert coco.qrels(judgements, direction, as_published=True) is coco.qrels(
                judgements, direction
            )


@needs_package
def test_original_positives_are_the_five_captions_in_order(coco):
    qrels = coco.qrels("original", "text_to_image")
    np.testing.assert_array_equal(qrels.items, coco.owner)
    assert coco.qrels("original", "image_to_text") == qrels.T


def pairs(qrels):
    return set(zip(qrels.query_index.tolist(), qrels.items.tolist(), strict=True))


@needs_package
def test_the_directions_are_transposes_but_those_of_eccv(coco):
    assert coco.qrels("cxc", "image_to_text") == coco.qrels("cxc", "text_to_image").T
    forward = pairs(coco.qrels("eccv", "image_to_text"))
    backward = pairs(coco.qrels("eccv", "text_to_image").T)
    assert len(forward & backward) == 6_089
    images = set(coco.judged("eccv", "image_to_text").tolist())
    captions = set(coco.judged("eccv", "text_to_image").tolist())
    both = {(i, c) for i, c in forward ^ backward if i in images and c in captions}
    assert both == set()  # where both sides were asked, they agree


@needs_package
def test_how_much_the_sets_share(coco):
    original, cxc = (
        pairs(coco.qrels("original", "image_to_text")),
        pairs(coco.qrels("cxc", "image_to_text")),
    )
    assert len(original & cxc) == 24_971 and len(cxc - original) == 10_614
    images = set(coco.judged("eccv", "image_to_text").tolist())
    eccv = pairs(coco.qrels("eccv", "image_to_text"))
    assert len({pair for pair in original & eccv if pair[0] in images}) == 6_296  # of 6,305
    captions = coco.judged("eccv", "text_to_image")
    assert np.unique(coco.owner[captions]).size == 1_001
    assert set(coco.owner[captions].tolist()) <= images


@needs_package
def test_folds_are_contiguous_and_hold_their_own_captions(coco):
    judged = {direction: coco.judged("eccv", direction) for direction in DIRECTIONS}
    found = []
    for number in range(5):
        images, captions = coco.fold(number)
        np.testing.assert_array_equal(np.unique(coco.owner[captions]), images)
        found.append(
            (
                np.isin(images, judged["image_to_text"]).sum(),
                np.isin(captions, judged["text_to_image"]).sum(),
            )
        )
    assert found == [(273, 281), (249, 249), (236, 263), (253, 277), (250, 262)]
    assert coco.fold(4)[0][-1] == 4_999 and coco.fold(4)[1][-1] == 24_999


@needs_package
def test_unknown_names_list_the_known_ones(coco):
    with pytest.raises(
        RetrievalInputError, match="judgements must be one of 'original', 'cxc', 'eccv'"
    ):
        coco.qrels("pm", "image_to_text")
    with pytest.raises(RetrievalInputError, match="Did you mean 'image_to_text'"):
        coco.judged("cxc", "image_to_txt")
    with pytest.raises(RetrievalInputError, match=r"fold must be one of 0..4, got 5"):
        coco.fold(5)
    assert "original 25,000 / 25,000" in repr(coco)


# ---- how it is read


@needs_package
def test_reading_imports_nothing(coco):
    sys.modules.pop("eccv_caption", None)
    coco_judgements.load_judgements.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        coco_judgements.load_judgements()
    assert "eccv_caption" not in sys.modules


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(coco_judgements.importlib.util, "find_spec", lambda name: None)
    assert not coco_judgements.available()
    with pytest.raises(MissingFileError, match="pip install eccv-caption==0.1.0"):
        coco_judgements.load_judgements.__wrapped__()


@needs_package
def test_damaged_and_missing_files_are_named(monkeypatch, tmp_path):
    folder = shutil.copytree(coco_judgements.data_folder(), tmp_path / "data")
    monkeypatch.setattr(coco_judgements, "data_folder", lambda: folder)
    damaged = folder / "cxc_image_to_caption.json"
    damaged.write_text(damaged.read_text().replace("391895", "391896"))
    with pytest.raises(
        DamagedFileError, match=r"cxc_image_to_caption.json is not the file of release 0.1.0"
    ):
        coco_judgements.load_judgements.__wrapped__()
    damaged.unlink()
    with pytest.raises(MissingFileError, match=r"cxc_image_to_caption.json is missing"):
        coco_judgements.load_judgements.__wrapped__()


@needs_package
def test_other_counts_than_the_published_are_refused(monkeypatch):
    monkeypatch.setitem(PUBLISHED_COUNTS, ("cxc", "text_to_image"), (24_972, 35_586))
    with pytest.raises(DamagedFileError, match=r"cxc text_to_image has \(24972, 35585\)"):
        coco_judgements.load_judgements.__wrapped__()


# ---- the authors' own metrics on the same ranking

DEPTH = 50  # at least 48, the largest number of positives: on shorter lists their code fails


def synthetic_run(coco, direction, seed):
    """Ranking like a model's: some positives near the top, distinct items everywhere."""
    rng = np.random.default_rng(seed)
    n_queries, n_items = coco.qrels("original", direction).shape
    # An arithmetic progression with a step that is coprime to the size never repeats.
    steps = rng.choice([1, 3, 7, 9, 11, 13, 17, 19], n_queries)
    ids = (
        rng.integers(n_items, size=n_queries)[:, None] + steps[:, None] * np.arange(DEPTH)
    ) % n_items
    for judgements in JUDGEMENTS:
        qrels = coco.qrels(judgements, direction)
        chosen = rng.random(qrels.items.size) < 0.5
        ranks = rng.geometric(0.15, qrels.items.size) - 1
        for query, item, rank in zip(
            qrels.query_index[chosen],
            qrels.items[chosen],
            np.minimum(ranks, DEPTH - 1)[chosen],
            strict=True,
        ):
            if item not in ids[query]:
                ids[query, rank] = item
    return ids


@pytest.fixture(scope="module")
def runs(coco):
    return {
        direction: synthetic_run(coco, direction, seed) for seed, direction in enumerate(DIRECTIONS)
    }


@pytest.fixture(scope="module")
def theirs(coco, runs):
    """Results of the package, `{(judgements, direction): {metric: value}}`, and its objects."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing ujson
        package, functions = map(importlib.import_module, ("eccv_caption", "eccv_caption._metrics"))
    metrics = package.Metrics()
    ids = {"image_to_text": (coco.image_ids, coco.caption_ids)}
    ids["text_to_image"] = ids["image_to_text"][::-1]
    lists = {
        direction: dict(zip(queries.tolist(), items[runs[direction]].tolist(), strict=True))
        for direction, (queries, items) in ids.items()
    }
    positives = {"original": metrics.coco_gts, "cxc": metrics.cxc_gts, "eccv": metrics.eccv_gts}
    short = {"image_to_text": "i2t", "text_to_image": "t2i"}
    per_set = {
        (judgements, direction): functions.compute_eccv_metrics(
            lists[direction], positives[judgements][short[direction]]
        )
        for judgements, direction in SETS
    }
    printed = metrics.compute_all_metrics(
        lists["image_to_text"],
        lists["text_to_image"],
        target_metrics=(
            "coco_5k_recalls",
            "cxc_recalls",
            "eccv_r1",
            "eccv_map_at_r",
            "eccv_rprecision",
        ),
    )
    return per_set, printed, positives


@needs_package
@pytest.mark.parametrize(("judgements", "direction"), SETS)
def test_the_authors_numbers_are_reproduced(coco, runs, theirs, judgements, direction):
    per_set, _, _ = theirs
    judged = coco.judged(judgements, direction)
    ids = runs[direction][judged]
    qrels = coco.qrels(judgements, direction, as_published=True).take_queries(judged)
    expected = per_set[judgements, direction]
    assert (
        0.05 < expected["eccv_map_at_r"] <= expected["eccv_rprecision"] < 0.9
    )  # a ranking that tells
    assert hit_rate_at_k(ids, qrels, 1).mean() == expected["eccv_r1"]  # to the last bit
    # They compute a precision as 1 - misses / r, whose last bits are not those of hits / r.
    assert map_at_r(ids, qrels) == pytest.approx(expected["eccv_map_at_r"], abs=1e-14)
    assert r_precision(ids, qrels).mean() == pytest.approx(expected["eccv_rprecision"], abs=1e-14)


@needs_package
@pytest.mark.parametrize(("judgements", "direction"), SETS)
def test_the_authors_numbers_to_the_last_bit(coco, runs, theirs, judgements, direction):
    """The same ranking, in their arithmetic and in the order of their dictionaries."""
    per_set, _, positives = theirs
    queries = coco.image_ids if direction == "image_to_text" else coco.caption_ids
    position = dict(zip(queries.tolist(), range(queries.size), strict=True))
    order = [
        position[i] for i in positives[judgements]["i2t" if direction == "image_to_text" else "t2i"]
    ]
    qrels = coco.qrels(judgements, direction, as_published=True).take_queries(np.array(order))
    right = qrels.grades_of(runs[direction][order]) > 0
    precision = 1 - np.cumsum(~right, axis=1) / np.arange(1, DEPTH + 1)  # (n_queries, DEPTH)
    counts = qrels.counts
    expected = per_set[judgements, direction]
    assert np.mean(precision[np.arange(counts.size), counts - 1]) == expected["eccv_rprecision"]
    averages = [
        np.mean((row * hit)[:r]) for row, hit, r in zip(precision, right, counts, strict=True)
    ]
    assert np.mean(averages) == expected["eccv_map_at_r"]
    np.testing.assert_allclose(
        average_precision_at_r(runs[direction][order], qrels), averages, atol=1e-14
    )


@needs_package
@pytest.mark.parametrize(
    ("direction", "short"), [("image_to_text", "i2t"), ("text_to_image", "t2i")]
)
def test_what_the_package_prints_is_what_evaluate_says(coco, runs, theirs, direction, short):
    _, printed, _ = theirs
    for judgements, name in (("original", "coco_5k"), ("cxc", "cxc")):
        result = evaluate(runs[direction], coco.qrels(judgements, direction), no_relevant="skip")
        for k in (1, 5, 10):
            assert result.mean(f"R@{k}") == printed[f"{name}_r{k}"][short]
    assert printed["eccv_map_at_r"][short] == theirs[0]["eccv", direction]["eccv_map_at_r"]
    assert result.n_without_relevant == (0 if direction == "image_to_text" else 28)
