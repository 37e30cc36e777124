"""What a miss costs the end task, and parts of a run measured again, on a small corpus."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.ann import harness, reproduce, result_cache, task_loss
from lib.studies.ann.configs import standard
from lib.studies.ann.corpora import two_cones
from tests.studies.ann.toy import IVF, toy


@pytest.fixture(scope="module")
def built():
    corpus = toy()
    return corpus, harness.build(corpus, IVF)[0]


def test_exact_search_loses_nothing(built):
    corpus, index = built
    rows = task_loss.losses(corpus, index, [{"nprobe": 4}])
    assert rows[0]["setting"] == "nprobe 4" and rows[0]["recall"] == (1.0, 1.0, 1.0)
    assert rows[0]["missed"] == rows[0]["relevant"] == 0
    assert rows[0]["change"] == (0.0, 0.0, 0.0) and rows[0]["p (Holm)"] == 1.0


def test_misses_and_lost_hits_are_counted(built):
    corpus, index = built
    row = task_loss.losses(corpus, index, [{"nprobe": 1}])[0]
    exact = set(zip(*np.nonzero(np.ones((20, 10))), strict=True))
    assert row["missed"] == round((1 - row["recall"][0]) * len(exact))
    lost = -row["change"][0] / 100 * 20  # queries; each has one right answer
    assert lost == pytest.approx(row["relevant"]) and 0 < row["relevant"] <= row["missed"]
    assert row["R@10"] == pytest.approx(100 - 100 * lost / 20)


def test_p_values_are_adjusted_for_the_number_of_settings(built):
    corpus, index = built
    alone = task_loss.losses(corpus, index, [{"nprobe": 1}])[0]["p (Holm)"]
    both = task_loss.losses(corpus, index, [{"nprobe": 1}, {"nprobe": 4}])[0]["p (Holm)"]
    assert both == pytest.approx(min(1, 2 * alone))


def test_what_has_no_end_task_is_refused(built):
    corpus, index = built
    with pytest.raises(RetrievalInputError, match="'image'"):
        task_loss.losses(corpus, index, [{"nprobe": 1}], kind="image")
    with pytest.raises(RetrievalInputError, match="no settings"):
        task_loss.losses(corpus, index, [])


def test_an_id_is_left_out_wherever_it_stands():
    ids = np.array([[7, 1, 2], [1, 8, 2], [1, 2, 3]])
    assert reproduce.without(ids, np.array([7, 8, 9])).tolist() == [[1, 2], [1, 2], [1, 2]]


def test_who_finds_itself_finds_more():
    corpus = two_cones(2000, 16, 1.0, n_queries=50)
    index = harness.build(corpus, standard(2000, 16, ["IVF"])[-1])[0]
    index.set_search(nprobe=1)
    found = reproduce.asked_by_the_base(corpus, index, 200)
    assert list(found) == [
        "base, itself counted",
        "base, itself left out",
        "new images",
        "new texts",
    ]
    assert (
        100
        > found["base, itself counted"]
        > found["base, itself left out"]
        > found["new texts"]
        > 0
    )
    index.set_search(nprobe=index.build_options["nlist"])
    assert set(reproduce.asked_by_the_base(corpus, index, 200).values()) == {100.0}


def test_what_is_measured_again_is_compared_with_the_table():
    corpus = two_cones(600, 16, 0.5, n_queries=20)
    config = standard(600, 16, ["IVF"])[-1]
    once = {"repeats": 1, "single_queries": 1, "budget_s": 0.01}
    quality = result_cache.tables([harness.run(corpus, config, **once)])["quality"]
    indexes, rows = reproduce.rebuilt(corpus, quality, ["IVF"])
    assert list(indexes) == [config.name] and [row["queries"] for row in rows] == ["image", "text"]
    assert all(
        row["recall"] == row["work"] == 0 and row["settings"] == len(config.search) for row in rows
    )
    moved = quality.assign(recall=quality["recall"] - 0.02, distances=1.1 * quality["distances"])
    assert reproduce.rebuilt(corpus, moved, ["IVF"])[1][0]["recall"] == pytest.approx(2)
    with pytest.raises(RetrievalInputError, match="measure it again"):
        reproduce.rebuilt(corpus, quality.iloc[1:], ["IVF"])
