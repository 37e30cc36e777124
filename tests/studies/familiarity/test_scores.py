"""The committed tables and scale of familiarity, and the fit behind them."""

import numpy as np
import pytest

from lib.search.familiarity import (
    familiarity_scores,
    load_scale,
    logistic,
    sentence_vectors,
)
from lib.studies.familiarity import scores
from lib.studies.familiarity.query_sets import UNKNOWN, load_query_sets


@pytest.fixture(scope="module")
def separation():
    return scores.STORE.table("separation.csv")


def auroc_of(table, score, against, split="validation"):
    rows = table[(table.score == score) & (table.against == against) & (table.split == split)]
    return rows.auroc.item()


def test_all_scores_are_compared_on_validation_and_one_on_test(separation):
    validation = separation[separation.split == "validation"]
    assert {*scores.SINGLE, *scores.COMBINED} < set(validation.score)
    whole = separation[~separation.score.str.contains("single words")]
    assert set(whole[whole.split == "test"].score) == {scores.CHOSEN}
    assert ((separation.low <= separation.auroc) & (separation.auroc <= separation.high)).all()


def test_the_chosen_score_is_near_the_best_on_validation(separation):
    for against in UNKNOWN:
        values = [auroc_of(separation, s, against) for s in (*scores.SINGLE, *scores.COMBINED)]
        assert auroc_of(separation, scores.CHOSEN, against) > max(values) - 0.03


def test_what_is_promised_on_test(separation):
    promised = dict(zip(UNKNOWN, (0.98, 0.93, 0.84), strict=True))
    for against, least in promised.items():
        assert auroc_of(separation, scores.CHOSEN, against, "test") > least
        assert auroc_of(separation, scores.CHOSEN, against) > auroc_of(
            separation, "best cosine", against
        )


def test_the_score_that_sees_the_hits_is_reported_beside_the_chosen_one(separation):
    table = scores.STORE.table("hits.csv")
    chosen, with_hits = table.score.unique()
    assert chosen == scores.CHOSEN and with_hits in scores.WITH_HITS
    assert with_hits == scores.best_with_hits(
        separation[separation.split == "validation"].to_dict("records")
    )
    assert ((table.low <= table.value) & (table.value <= table.high)).all()
    own = table[table.score == chosen].set_index("measure")
    for kind in UNKNOWN:
        assert own.value[f"AUROC, {kind}"] == pytest.approx(
            auroc_of(separation, chosen, kind, "test"), abs=1e-5
        )
    shares = scores.STORE.table("flagged.csv").query("split == 'test'").set_index("kind")
    for kind in ("everyday, English", "everyday, German and Spanish"):
        assert own.value[f"judged unknown, {kind}"] == pytest.approx(shares.share[kind])


def test_a_score_is_fitted_on_its_features_alone_and_lets_its_share_pass():
    rng = np.random.default_rng(0)
    is_real = np.arange(2_000) < 1_000
    features = {"a": rng.normal(0, 1, 2_000) + 2 * is_real, "b": rng.normal(0, 1, 2_000)}
    fit = scores.fit_score(features, ("a",), is_real)
    found = fit.score(features)
    np.testing.assert_array_equal(found, fit.score(features | {"b": -features["b"]}))
    assert (found[is_real] >= fit.least).mean() == pytest.approx(scores.EXCEED, abs=0.002)
    assert np.corrcoef(found, features["a"])[0, 1] > 0.9


def test_the_best_with_hits_has_the_largest_mean():
    values = {name: (0.1 * i, 0.9) for i, name in enumerate(scores.WITH_HITS)}
    rows = [{"score": name, "auroc": v} for name, own in values.items() for v in own]
    other = [{"score": scores.CHOSEN, "auroc": 1.0}]
    assert scores.best_with_hits(rows + other) == scores.WITH_HITS[-1]


def test_batches_give_what_single_queries_give():
    texts = ["alarm clock", "xyzzy qwrt", "sunset over the sea with palm trees", "\u00e9t\u00e9"]
    expected = {
        "sentence": sentence_vectors(scores.encoder(), texts),
        "model": scores.encoder().encode_text(texts),
    }
    for side in scores.SIDES:
        # Frozen states are kept as float16.
        np.testing.assert_allclose(scores.encode_side(texts, side), expected[side], atol=2e-3)


def test_the_threshold_lets_its_share_of_validation_queries_pass():
    table = scores.STORE.table("flagged.csv")
    rows = table[(table.split == "validation") & table.kind.isin(scores.REAL)]
    missed = (rows.share * rows.n).sum() / rows.n.sum()
    assert missed == pytest.approx(1 - load_scale().exceed, abs=0.002)


def test_languages_are_reported_with_what_is_found():
    table = scores.STORE.table("languages.csv")
    assert set(table.language) == set(scores.LANGUAGES)
    english = table[table.language == "en"].share.max()
    assert english < 0.15 and (table[table.language != "en"].share < 1).all()


def test_stored_shares_are_measured_again_on_a_sample():
    sets, scale = load_query_sets("test"), load_scale()
    table = (
        scores.STORE.table("flagged.csv")
        .query("split == 'test' and of == 'queries'")
        .set_index("kind")
    )
    for kind in ("names", "strings"):
        texts = [sets.texts[i] for i in np.flatnonzero(sets.kinds == kind)[::20]]
        share = (familiarity_scores(texts, scores.encoder(), scale) < scale.least).mean()
        assert share == pytest.approx(table.share[kind], abs=0.15)


def test_main_directions_by_hand():
    rows = np.array([[3.0, 0, 0], [0, 2, 0], [0, 0, 1], [-3, 0, 0]])
    assert np.abs(scores.main_directions(rows, 2)) == pytest.approx(np.eye(3)[:, :2])


def test_the_logistic_fit_finds_the_weights_of_its_data():
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (20_000, 2)) * [1, 3] + [5, 0]
    is_real = rng.random(len(x)) < logistic(x, (1.0, -0.5, -5.0))
    assert scores.fit_logistic(x, is_real) == pytest.approx([1, -0.5, -5], rel=0.08)


def test_the_fit_does_not_depend_on_the_size_of_a_class():
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.normal(1, 1, (300, 1)), rng.normal(-1, 1, (300, 1))])
    is_real = np.arange(600) < 300
    twice = np.concatenate([x, x[300:]]), np.concatenate([is_real, is_real[300:]])
    # The ridge is relative to the standard deviation, which moves a little.
    assert scores.fit_logistic(*twice) == pytest.approx(scores.fit_logistic(x, is_real), abs=0.02)


def test_rows_are_shown_in_percent():
    table = scores.pd.DataFrame([{"kind": "a", "share": 0.123, "n": 5}])
    assert scores.format_shares(table) == [{"kind": "a", "share": "12.3", "n": "5"}]


def test_everyday_queries_are_counted_as_they_are():
    table = scores.STORE.table("flagged.csv").set_index("kind")
    found = {row["kind"]: row["share"] for row in scores.everyday_rows(load_scale())}
    assert len(found) == 2
    for kind, share in found.items():
        assert share == pytest.approx(table.share[kind], abs=0.07)
