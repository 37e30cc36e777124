"""Hit rates by seed and their intervals, on made-up trials with known answers; and the committed
trials.
"""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from lib.core.checks import RetrievalInputError
from lib.core.paths import artifacts_dir
from lib.core.reading import load_arrays
from lib.studies.losses import trial_grid as loss_trials
from lib.studies.losses import trial_statistics
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


def test_by_seed_knows_each_setting():
    frame = made_up(rising)
    found = trial_statistics.by_seed(frame=frame, loss="sigmoid", batch_size=64, **HEADS)
    assert found.to_dict() == {0: 33.0, 1: 34.0, 2: 35.0}
    row = trial_statistics.interval(found)
    assert row["value"] == 34 and row["seeds"] == 3
    assert row["high"] - 34 == pytest.approx(4.302653 / 3**0.5, rel=1e-6)


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
        trial_statistics.by_seed("R@2", frame)


def test_the_test_task_has_the_sizes_of_the_trials():
    task = trial_statistics.load_test_task("scenes")
    assert len(task.gallery) == 1000 and len(task.queries) == 5000
    with pytest.raises(RetrievalInputError, match="scenes"):
        trial_statistics.load_test_task("coco")


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


def test_every_trial_with_full_encoders_has_its_cosines():
    trials = trial_statistics.select_trials(encoders="full", **trial_statistics.WHOLE)
    assert trials[list(COSINES)].notna().all(axis=None)
    assert (trials[list(COSINES)].abs().max() <= 1).all()
