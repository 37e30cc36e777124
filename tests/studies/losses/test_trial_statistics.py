"""What the trials of the losses say: on made-up trials with known answers, and on the committed
ones.
"""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr, ttest_1samp, ttest_rel

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.reading import load_arrays
from lib.losses import infonce_loss
from lib.studies.losses import claims, nb08_tables, saved_tensor_bytes, trial_statistics
from lib.studies.losses import trial_grid as loss_trials
from lib.studies.losses.train_trial import CORPORA, COSINES, Trial
from lib.training.objectives import OBJECTIVES

LUCK = np.array([-1.0, 0.0, 1.0])  # of the three seeds, the same for every loss
SIZES = loss_trials.BATCH_SIZES["heads"]
HEADS = {"corpus": "icons", "encoders": "heads"}


def made_up(level, *, seeds=3, **damage) -> pd.DataFrame:
    """Trials of every setting with R@1 = level(corpus, encoders, loss, batch size) + the luck of
    the seed.
    """
    rows = []
    grid = product(CORPORA, ("heads", "full"), OBJECTIVES, SIZES, range(seeds))
    for corpus, encoders, loss, size, seed in grid:
        value = level(corpus, encoders, loss, size) + LUCK[seed]
        row = {
            "corpus": corpus,
            "encoders": encoders,
            "loss": loss,
            "batch_size": size,
            "seed": seed,
        }
        rows.append(
            row | trial_statistics.WHOLE | damage | dict.fromkeys(trial_statistics.METRICS, value)
        )
    return pd.DataFrame(rows)


def rising(corpus, encoders, loss, size):
    return 20.0 + 5 * list(OBJECTIVES).index(loss) + size / 16


# ---- interval


def test_interval_by_hand():
    # Deviations -3, -3, -3, 9: s = 6, s / sqrt(4) = 3; t has the quantile 3.182446 at 3 degrees of
    # freedom.
    found = trial_statistics.interval([20, 20, 20, 32])
    assert found["value"] == 23 and found["seeds"] == 4
    assert found["high"] - 23 == pytest.approx(3 * 3.182446, rel=1e-6)
    assert 23 - found["low"] == pytest.approx(3 * 3.182446, rel=1e-6)


def test_interval_is_that_of_scipy():
    values = np.random.default_rng(0).normal(30, 2, 7)
    found, peer = (
        trial_statistics.interval(values),
        ttest_1samp(values, 0).confidence_interval(0.95),
    )
    assert (found["low"], found["high"]) == pytest.approx((peer.low, peer.high))


def test_one_seed_has_no_interval():
    found = trial_statistics.interval([3.0])
    assert found["value"] == 3 and np.isnan([found["low"], found["high"]]).all()
    assert trial_statistics.verdict(found["low"], found["high"]) == "not decided"


@pytest.mark.parametrize("values", [[], [1.0, np.nan]])
def test_interval_of_nothing_and_of_nan(values):
    with pytest.raises(RetrievalInputError, match="same seeds"):
        trial_statistics.interval(values)


def test_verdicts():
    assert [trial_statistics.verdict(*ends) for ends in ((1, 2), (-2, -1), (-1, 1), (0, 1))] == [
        "rises", "falls", "not decided", "not decided",
    ]  # fmt: skip


# ---- settings, seed by seed


def test_by_seed_and_means_know_each_setting():
    frame = made_up(rising)
    found = trial_statistics.by_seed(frame=frame, loss="sigmoid", batch_size=64, **HEADS)
    assert found.to_dict() == {0: 33.0, 1: 34.0, 2: 35.0}
    (row,) = trial_statistics.means(frame=frame, loss="sigmoid", batch_size=64, **HEADS)
    assert row["value"] == 34 and row["seeds"] == 3 and row["loss"] == "sigmoid"
    assert row["high"] - 34 == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert len(trial_statistics.means(frame=frame)) == 2 * 2 * 6 * len(SIZES)


def test_damaged_trials_are_not_mixed_with_whole_ones():
    frame = pd.concat([made_up(rising), made_up(lambda *_: 1.0, noise=0.4)])
    assert trial_statistics.by_seed(frame=frame, loss="MNR", batch_size=16, **HEADS)[1] == 26
    assert (
        trial_statistics.by_seed(frame=frame, loss="MNR", batch_size=16, noise=0.4, **HEADS)[1] == 1
    )


def test_what_is_left_open_or_not_there():
    frame = made_up(rising)
    with pytest.raises(RetrievalInputError, match="several trials of one seed"):
        trial_statistics.by_seed(frame=frame, loss="MNR", **HEADS)
    with pytest.raises(RetrievalInputError, match="no trials"):
        trial_statistics.by_seed(frame=frame, loss="MNR", batch_size=1024, **HEADS)
    with pytest.raises(RetrievalInputError, match="batch_size"):
        trial_statistics.select_trials(frame, size=16)
    with pytest.raises(RetrievalInputError, match="R@1 text_to_image"):
        trial_statistics.means("R@2", frame)


def test_changes_are_paired_by_seed():
    # The luck of a seed is in both ends: without noise of its own the change has no spread at all.
    for row in trial_statistics.batch_size_changes(16, 256, frame=made_up(rising), **HEADS):
        assert row["value"] == row["low"] == row["high"] == 15 and row["verdict"] == "rises"
        assert row["large"] - row["small"] == 15
    rng = np.random.default_rng(0)
    frame = made_up(rising)
    frame["R@1 text_to_image"] += rng.normal(size=len(frame))
    row = trial_statistics.batch_size_changes(16, 256, frame=frame, **HEADS)[0]
    ends = [
        trial_statistics.by_seed(frame=frame, loss="InfoNCE", batch_size=size, **HEADS)
        for size in (256, 16)
    ]
    peer = ttest_rel(*ends).confidence_interval()
    assert (row["low"], row["high"]) == pytest.approx((peer.low, peer.high))


def test_share_lost_is_relative_and_keeps_to_seeds_that_both_have():
    whole, spoilt = made_up(lambda *_: 40.0), made_up(lambda *_: 10.0, noise=0.4, seeds=2)
    lost = trial_statistics.share_lost("MNR", frame=pd.concat([whole, spoilt]), noise=0.4)
    assert lost.to_dict() == pytest.approx({0: 100 * 30 / 39, 1: 100 * 30 / 40})


def with_cosines(frame, **cosines) -> pd.DataFrame:
    return frame.assign(**{f"cosine {name}": value for name, value in cosines.items()})


def test_collapse_is_measured_by_cosines_and_not_by_hits():
    hopeless, good = (made_up(lambda *_, level=level: level) for level in (1.0, 60.0))
    for frame, cosines, expected in (
        (
            hopeless,
            {"wrong": 0.0, "images": 0.2, "texts": 0.1},
            0,
        ),  # slow: no hits, and an open space
        (good, {"wrong": 0.95, "images": 0.95, "texts": 0.95}, 3),
        (hopeless, {"wrong": 0.1, "images": 0.3, "texts": 0.99}, 3),  # one place for each modality
    ):
        rows = trial_statistics.count_collapses("full", with_cosines(frame, **cosines))
        assert [row["collapsed"] for row in rows] == [expected] * len(rows)
        assert rows[0]["most"] == pytest.approx(max(cosines["images"], cosines["texts"]))
    with pytest.raises(RetrievalInputError, match="heads"):
        trial_statistics.count_collapses(
            "heads", with_cosines(good, wrong=np.nan, images=np.nan, texts=np.nan)
        )


def test_chance_is_that_of_the_task():
    task = trial_statistics.load_test_task("scenes")
    assert len(task.gallery) == 1000 and len(task.queries) == 5000
    assert trial_statistics.chance("scenes", 10) == pytest.approx(
        1.0, abs=0.1
    )  # few captions fit a second image
    with pytest.raises(RetrievalInputError, match="scenes"):
        trial_statistics.load_test_task("coco")


# ---- agreement and luck


def test_agreement_by_hand_and_by_scipy():
    assert trial_statistics.agreement([1, 2, 3], [10, 20, 30]) == (1.0, pytest.approx(2 / 6))
    rho, p = trial_statistics.agreement([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 5])
    assert rho == pytest.approx(1 - 6 * 2 / (6 * 35)) and p == pytest.approx(12 / 720)
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 6))
    assert trial_statistics.agreement(first, second)[0] == pytest.approx(
        spearmanr(first, second).statistic
    )


@pytest.mark.parametrize("lists", [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([1, 1, 1], [1, 2, 3])])
def test_agreement_refuses(lists):
    with pytest.raises(RetrievalInputError, match="agreement"):
        trial_statistics.agreement(*lists)


def test_luck_flatters_the_winner_of_equals():
    frame, rng, too_much = made_up(lambda *_: 30.0), np.random.default_rng(0), []
    for _ in range(20):
        frame["R@1 text_to_image"] = 30 + rng.normal(size=len(frame))
        rows = trial_statistics.winner_by_one_seed("icons", "heads", frame=frame)
        too_much += [row["reported"] - row["again"] for row in rows]
    assert [row["seed"] for row in rows] == [0, 1, 2]
    last = trial_statistics.select_trials(frame, **HEADS)
    assert rows[1]["reported"] == last[last["seed"] == 1]["R@1 text_to_image"].max()
    assert np.mean(too_much) == pytest.approx(2.04, abs=0.3)  # the expected maximum of 30 normals


def test_luck_needs_another_seed():
    with pytest.raises(RetrievalInputError, match="at least 2 seeds, got 1"):
        trial_statistics.winner_by_one_seed("icons", "heads", frame=made_up(rising, seeds=1))


# ---- compared


def test_compared_finds_the_planted_difference(monkeypatch):
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(60), 5)
    base = rng.integers(0, 5, 300) / 5
    better = np.minimum(base + 0.2, 1.0)

    class Task:
        query_groups = groups

    monkeypatch.setattr(trial_statistics, "load_test_task", lambda name: Task)
    hits = {"MNR": better}
    monkeypatch.setattr(
        trial_statistics, "seed_averaged_hits", lambda c, e, loss, size: hits.get(loss, base)
    )
    rows = {row["loss"]: row for row in trial_statistics.compare_losses("icons", "heads", 64)}
    assert len(rows) == 5 and rows["MNR"]["n_queries"] == 300
    assert rows["MNR"]["difference"] == pytest.approx(100 * (better - base).mean())
    assert rows["MNR"]["low"] > 0 and rows["MNR"]["holm"] == pytest.approx(5 * rows["MNR"]["p"])
    assert rows["sigmoid"]["difference"] == 0 and rows["sigmoid"]["holm"] == 1
    with pytest.raises(RetrievalInputError, match="InfoNCE"):
        trial_statistics.compare_losses("icons", "heads", 64, reference="hinge")


# ---- claims


def claims_of(frame):
    return {(row["loss"], row["the field says"]): row for row in claims.judge_claims(frame)}


def with_damage(level, kept):
    """Whole trials, and damaged ones that keep a share."""
    spoilt = [made_up(lambda *a: kept(*a) * level(*a), noise=noise) for noise in loss_trials.NOISE]
    return pd.concat([made_up(level), *spoilt])


def test_claims_that_hold_are_agreed_with_and_their_opposites_contradicted():
    frame = with_damage(rising, lambda *_: 0.5)
    helps = claims_of(frame)["InfoNCE", "a large batch helps"]
    assert helps["verdict"] == "agrees" and helps["icons, R@1"][0] == helps["scenes, R@10"][0] == 15
    # Losses stand in ascending order here: softmax below triplets, semi-hard above all negatives.
    found = claims_of(frame)
    assert found["InfoNCE", "a softmax over the batch beats triplets"]["verdict"] == "contradicts"
    assert found["triplet, semi-hard", "ahead of all negatives"]["verdict"] == "agrees"
    assert (
        found["sigmoid", "depends on the batch less than softmax"]["verdict"] == "not decided"
    )  # 0 +- 0
    falling = with_damage(lambda *a: 100 - rising(*a), lambda *_: 0.5)
    assert claims_of(falling)["InfoNCE", "a large batch helps"]["verdict"] == "contradicts"


def test_claims_know_one_corpus_from_the_other():
    def level(corpus, encoders, loss, size):
        return 50 + (1 if corpus == "icons" else -1) * size / 16

    found = claims_of(with_damage(level, lambda *_: 0.5))
    assert (
        found["MNR", "a large batch helps"]["verdict"] == "agrees on icons, contradicts on scenes"
    )


def test_how_much_a_loss_depends_on_the_batch_is_over_all_sizes():
    # InfoNCE swings between 32 and 512, which a range over 16, 64 and 256 alone would not see.
    frame = with_damage(
        lambda c, e, loss, size: 50 + 20 * (loss == "InfoNCE" and size == 512), lambda *_: 0.5
    )
    row = claims_of(frame)["sigmoid", "depends on the batch less than softmax"]
    assert row["icons, R@1"][0] == 20 and row["verdict"] == "agrees"
    found = {r["the field says"]: r for r in claims.judge_claims() if r["loss"] == "triplet, all"}
    value, low, high = found["depends on the batch less than softmax"]["scenes, R@1"]
    assert (value, low, high) == pytest.approx((17.08, 13.04, 21.11), abs=0.01)


def test_a_verdict_says_when_the_two_hit_rates_differ():
    frame = with_damage(rising, lambda *_: 0.5)
    frame["R@10 text_to_image"] = 50.0 + LUCK[frame["seed"]]
    assert (
        claims_of(frame)["MNR", "a large batch helps"]["verdict"]
        == "R@1: agrees; R@10: not decided"
    )


def test_who_bears_noise_better():
    frame = with_damage(rising, lambda c, e, loss, size: 0.9 if loss == "sigmoid" else 0.4)
    row = claims_of(frame)["sigmoid", "bears wrong labels better than softmax"]
    assert row["verdict"] == "agrees" and row["scenes, R@1"] == (None, None, None)


def test_verdicts_of_two_corpora():
    agrees, contradicts, open_ = claims.VERDICTS
    assert claims.combine_verdicts({"icons": agrees, "scenes": agrees}) == "agrees"
    assert claims.combine_verdicts({"icons": open_, "scenes": open_}) == "not decided"
    assert (
        claims.combine_verdicts({"icons": open_, "scenes": contradicts}) == "contradicts on scenes"
    )


def test_every_claim_is_about_a_loss_and_can_fail():
    assert {claim.loss for claim in claims.CLAIMS} == set(OBJECTIVES)
    assert len({(claim.loss, claim.says) for claim in claims.CLAIMS}) == len(claims.CLAIMS)


# ---- bytes


def test_kept_bytes_by_hand():
    B, d = 32, 4
    product_only = saved_tensor_bytes.kept_bytes(lambda x, y: (x @ y.T).sum(), B, d)
    assert product_only == 0  # a product keeps its factors, which are the embeddings
    assert saved_tensor_bytes.kept_bytes(lambda x, y: (x @ y.T).exp().sum(), B, d) == 4 * B * B


def test_losses_keep_matrices_and_blocks_do_not():
    small, large = (saved_tensor_bytes.matrices_kept(B) for B in (256, 512))
    assert set(OBJECTIVES) < set(large)
    for name, count in large.items():
        assert count < 0.6 * small[name] if "blocked" in name else 1 <= count <= 4
    for name in saved_tensor_bytes.WAYS:
        x, y = saved_tensor_bytes.pairs(8)
        saved_tensor_bytes.WAYS[name](x, y).backward()
        assert torch.isfinite(x.grad).all()


def test_the_same_loss_blocked_or_not():
    x, y = saved_tensor_bytes.pairs(300)
    blocked = saved_tensor_bytes.WAYS["InfoNCE, blocked"](x, y)
    assert blocked.item() == pytest.approx(infonce_loss(x, y, direction="both").item(), rel=1e-6)


# ---- the committed trials


def test_the_committed_trials_are_the_grid_each_once_at_the_tuned_rate():
    found = loss_trials.committed_trials()
    wanted = [trial for part in loss_trials.PARTS for trial in loss_trials.trials(part)]
    columns = [*loss_trials.SETTING, "seed"]
    rows = [tuple(row) for row in found[columns].itertuples(index=False)]
    assert len(set(rows)) == len(rows)
    assert set(rows) == {tuple(getattr(trial, column) for column in columns) for trial in wanted}
    for row in found.to_dict("records"):
        trial = Trial(**{column: row[column] for column in columns})
        assert row["rate"] == pytest.approx(trial.learning_rate, rel=1e-4), trial


def test_the_committed_rates_are_percentages_that_nest():
    found = loss_trials.committed_trials()
    for direction in ("text_to_image", "image_to_text"):
        one, ten = found[f"R@1 {direction}"], found[f"R@10 {direction}"]
        assert ((one >= 0) & (one <= ten) & (ten <= 100)).all()


def test_the_committed_hits_are_the_committed_rates():
    stored = load_arrays(artifacts_dir() / "losses" / "hits.npz")
    whole = trial_statistics.select_trials(**trial_statistics.WHOLE).groupby(
        ["corpus", "encoders", "loss", "batch_size"]
    )
    assert set(stored) == {"/".join(map(str, key)) for key, _ in whole}
    for key, trials in whole:
        counts = stored["/".join(map(str, key))]
        assert counts.shape == (
            len(trial_statistics.load_test_task(key[0]).queries),
        ) and counts.max() <= len(trials)
        share = 100 * counts.mean() / len(trials)
        assert share == pytest.approx(trials["R@1 text_to_image"].mean(), abs=1e-3)
    assert np.array_equal(loss_trials.seed_averaged_hits(*key), counts / len(trials))


def test_every_claim_of_collapse_is_backed_by_stored_cosines():
    rows = {row["loss"]: row for row in nb08_tables.collapse_rows()}
    trials = trial_statistics.select_trials(encoders="full", **trial_statistics.WHOLE)
    assert trials[list(COSINES)].notna().all(axis=None)
    measured = trials.groupby("loss")["R@10 text_to_image"]
    for loss, row in rows.items():
        fallen, runs = map(int, row["collapsed"].split(" of "))
        assert fallen <= runs == measured.size()[loss]
        assert row["R@10 (%)"] == pytest.approx(
            measured.mean()[loss]
        )  # of the same runs as the cosines
        assert (
            row["cosine wrong"] < 0.9
        )  # a collapse is seen within a modality, not between the two
    assert (trials[list(COSINES)].abs().max() <= 1).all()


def test_tables_of_the_committed_trials_are_complete():
    n = len(OBJECTIVES)
    assert sum(row["trials"] for row in nb08_tables.design_rows()) == len(
        loss_trials.committed_trials()
    )
    assert len(nb08_tables.tuned_rate_rows()) == len(nb08_tables.usual_table_rows()) == n
    assert (
        len(nb08_tables.one_size_rows(64)) == len(nb08_tables.batch_size_rows()) == n * len(CORPORA)
    )
    assert [row["corpus"] for row in nb08_tables.one_seed_rows()] == list(CORPORA)
    assert all(
        len(found) == len(loss_trials.NOISE) for found in nb08_tables.kept_under_noise().values()
    )
    assert len(claims.judge_claims()) == len(claims.CLAIMS)


def test_what_cannot_be_told_is_the_same_told_or_not():
    rows = {row["loss"]: row for row in nb08_tables.repeat_rows()}
    assert not OBJECTIVES["MNR"].takes_positives and rows["MNR"]["telling"] == "no difference"


@pytest.mark.parametrize("corpus", CORPORA)
def test_leader_and_rival_are_of_two_families(corpus):
    lead = nb08_tables.leader(corpus, "heads", 64)
    assert lead["family"] == nb08_tables.family(lead["loss"]) != nb08_tables.family(lead["rival"])
    assert lead["low"] <= lead["value"] <= lead["high"] and lead["value"] >= 0
    means, rho, p = nb08_tables.heads_and_full(corpus, 64)
    assert max(means, key=lambda loss: means[loss][0]) == lead["loss"]
    assert -1 <= rho <= 1 and 2 / 720 <= p <= 1
