"""Which trials are run, that none runs twice, and that what is stored is whole."""

from collections import Counter

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.studies.losses import train_trial
from lib.studies.losses import trial_grid as loss_trials
from lib.studies.losses.train_trial import CORPORA, RATES, Trial
from lib.studies.losses.trial_grid import (
    BATCH_SIZES,
    NOISE,
    PARTS,
    REPEATS,
    SEEDS,
    TUNED_AT,
    TUNING_RATES,
    TUNING_SEED,
)
from lib.training.objectives import OBJECTIVES

N_TEXTS, N_IMAGES = 8, 6


@pytest.fixture
def fake_runs(tmp_path, monkeypatch):
    """Runs without training, in a data folder of their own; returns the list of what was run."""
    done = []

    def run(trial, split="test"):
        done.append((trial, split))
        rng = np.random.default_rng(
            [trial.seed, list(OBJECTIVES).index(trial.loss), trial.batch_size]
        )
        sides = {"text_to_image": N_TEXTS, "image_to_text": N_IMAGES}
        return {name: rng.integers(1, 20, size) for name, size in sides.items()}

    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    monkeypatch.setattr(loss_trials, "run_trial", run)
    return done


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(loss_trials, "SEEDS", {"heads": 2, "full": 1, "damage": 1})
    monkeypatch.setattr(loss_trials, "BATCH_SIZES", {"heads": (16, 64), "full": (64,)})


@pytest.fixture
def few_full(few, monkeypatch):
    monkeypatch.setattr(loss_trials, "PARTS", ("full",))


@pytest.mark.parametrize("part", ["heads", "full"])
def test_a_part_is_every_corpus_loss_size_and_seed_once(part):
    trials = list(loss_trials.trials(part))
    wanted = len(CORPORA) * len(OBJECTIVES) * len(BATCH_SIZES[part]) * SEEDS[part]
    assert len(trials) == len(set(trials)) == wanted
    assert all(trial.encoders == part and trial.noise == trial.repeats == 0 for trial in trials)
    assert TUNING_SEED not in {trial.seed for trial in trials}


def test_damage_is_one_kind_at_a_time_and_its_undamaged_twin_is_in_the_heads():
    trials = list(loss_trials.trials("damage"))
    assert len(set(trials)) == len(trials)
    assert len(trials) == SEEDS["damage"] * len(OBJECTIVES) * (len(NOISE) + 2 * len(REPEATS))
    assert all((trial.noise > 0) != (trial.repeats > 0) for trial in trials)
    assert SEEDS["damage"] <= SEEDS["heads"]
    twins = {
        (t.corpus, t.encoders, t.loss, t.batch_size, t.seed) for t in loss_trials.trials("heads")
    }
    assert {(t.corpus, t.encoders, t.loss, t.batch_size, t.seed) for t in trials} <= twins


def test_a_stopped_run_is_balanced():
    for part in PARTS:
        seeds = [trial.seed for trial in loss_trials.trials(part)]
        assert seeds == sorted(seeds)


@pytest.mark.parametrize("encoders", ["heads", "full"])
def test_tuning_tries_every_rate_for_every_loss_with_a_seed_of_its_own(encoders):
    trials = list(loss_trials.tuning_trials(encoders))
    tried = Counter((t.corpus, t.loss, t.batch_size) for t in trials)
    assert set(tried.values()) == {len(TUNING_RATES)}
    assert len(tried) == len(CORPORA) * len(OBJECTIVES) * len(TUNED_AT[encoders])
    assert {t.seed for t in trials} == {TUNING_SEED}


@pytest.mark.parametrize("encoders", ["heads", "full"])
def test_every_rate_in_use_is_one_that_was_tried(encoders):
    for corpus in CORPORA:
        for loss in OBJECTIVES:
            by_size = RATES[corpus, encoders, loss]
            assert set(by_size) <= set(TUNED_AT[encoders])
            assert all(
                any(rate == pytest.approx(tried) for tried in TUNING_RATES)
                for rate in by_size.values()
            )


def test_no_two_trials_share_a_file_of_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    asked = {(trial, "test") for part in PARTS for trial in loss_trials.trials(part)}
    asked |= {
        (trial, "validation")
        for name in ("heads", "full")
        for trial in loss_trials.tuning_trials(name)
    }
    paths = {loss_trials.STORE.cache_path(loss_trials._key(*each)) for each in asked}
    assert len(paths) == len(asked)


def test_a_trial_is_run_once_and_then_read(fake_runs):
    trial = Trial("icons", "heads", "triplet, semi-hard", 64, seed=0)
    first, again = (loss_trials.cached_result(trial) for _ in range(2))
    assert fake_runs == [(trial, "test")]
    assert all(np.array_equal(first[side], again[side]) for side in first)
    loss_trials.cached_result(trial, "validation")
    assert len(fake_runs) == 2


def test_another_rate_is_another_trial(fake_runs):
    for rate in (1e-3, 3e-3):
        loss_trials.cached_result(Trial("icons", "heads", "MNR", 64, seed=0, rate=rate))
    assert len(fake_runs) == 2


def test_missing_trials_are_run_with_progress(fake_runs, few):
    n = len(CORPORA) * len(OBJECTIVES)
    lines, counts = [], []

    def stop_after_two(*count):
        counts.append(count)
        if count[0] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loss_trials.run_trials(("full",), log=lines.append, progress=stop_after_two)
    assert lines[0].startswith(f"1/{n}: icons, full") and counts == [(0, n), (1, n), (2, n)]
    loss_trials.run_trials(
        ("full",), log=lines.append, progress=lambda *count: counts.append(count)
    )
    assert len(fake_runs) == n and lines[-1].startswith(f"{n}/{n}: ")
    assert lines[2].startswith(f"2 of {n} results are kept in ")
    assert counts[3:] == [(number, n) for number in range(2, n + 1)]
    loss_trials.run_trials(("full",), log=lines.append)
    assert len(fake_runs) == n and lines[-1].startswith(f"{n} of {n} results are kept")


def test_collect_writes_whole_files_that_agree_with_each_other(fake_runs, few, tmp_path):
    loss_trials.write_committed()
    frame = loss_trials.committed_trials()
    expected = [trial for part in PARTS for trial in loss_trials.trials(part)]
    assert len(frame) == len(expected) == len(fake_runs)
    assert {path.name for path in (tmp_path / "artifacts" / "losses").iterdir()} == {
        "trials.csv", "trials.csv.sha256", "hits.npz", "hits.npz.sha256",
    }  # fmt: skip
    for found, trial in zip(frame.itertuples(), expected, strict=True):
        assert (found.corpus, found.loss, found.batch_size, found.seed) == (
            trial.corpus, trial.loss, trial.batch_size, trial.seed,
        )  # fmt: skip
        assert found.rate == pytest.approx(trial.learning_rate, rel=1e-4)
    hits = loss_trials.seed_averaged_hits("icons", "heads", "MNR", 16)
    whole = frame.query("noise == 0 and repeats == 0")
    one = whole.query(
        "corpus == 'icons' and encoders == 'heads' and loss == 'MNR' and batch_size == 16"
    )
    assert hits.shape == (N_TEXTS,) and len(one) == 2
    assert 100 * hits.mean() == pytest.approx(one["R@1 text_to_image"].mean(), abs=1e-3)


def test_collect_runs_only_what_is_missing(fake_runs, few_full):
    loss_trials.run_trials(("full",), log=lambda line: None)
    n = len(fake_runs)
    loss_trials.write_committed()
    assert len(fake_runs) == n


def test_rates_are_the_best_on_the_validation_split(fake_runs, monkeypatch):
    def ranks(trial, split):
        assert split == "validation"
        good = trial.rate == pytest.approx(3e-3 if trial.loss == "MNR" else 1e-3)
        return {side: np.full(5, 1 if good else 50) for side in ("text_to_image", "image_to_text")}

    monkeypatch.setattr(loss_trials, "cached_result", ranks)
    found = loss_trials.tune_rates("full", log=lambda line: None)
    assert set(found) == {(name, "full", loss) for name in CORPORA for loss in OBJECTIVES}
    assert found["scenes", "full", "MNR"] == dict.fromkeys(TUNED_AT["full"], 3e-3)
    assert found["icons", "full", "sigmoid"] == dict.fromkeys(TUNED_AT["full"], 1e-3)


def test_hits_that_nobody_collected(fake_runs, few_full):
    loss_trials.write_committed()
    with pytest.raises(
        RetrievalInputError, match=r"no trials of icons/heads/MNR/64; known: icons/full"
    ):
        loss_trials.seed_averaged_hits("icons", "heads", "MNR", 64)


def test_a_missing_or_damaged_file_is_refused(fake_runs, few_full, tmp_path):
    with pytest.raises(MissingFileError, match="loss-quality"):
        loss_trials.committed_trials()
    loss_trials.write_committed()
    path = tmp_path / "artifacts" / "losses" / "trials.csv"
    path.write_text(path.read_text().replace("sigmoid", "hinge"))
    with pytest.raises(DamagedFileError, match="trials.csv"):
        loss_trials.committed_trials()


def test_an_unknown_part():
    with pytest.raises(RetrievalInputError, match="heads"):
        list(loss_trials.trials("tails"))


def test_settings_are_columns_of_a_trial():
    assert set(loss_trials.SETTING) <= {
        *train_trial.trial_row(Trial("icons", "heads", "MNR", 64, 0), {})
    }
