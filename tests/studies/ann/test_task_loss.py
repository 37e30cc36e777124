"""What a miss costs the end task, and parts of a run measured again, on a small corpus."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.ann import harness, task_loss
from tests.studies.ann.toy import IVF, toy


@pytest.fixture(scope="module")
def built():
    corpus = toy()
    return corpus, harness.build(corpus, IVF)[0]


def test_exact_search_loses_nothing(built):
    corpus, index = built
    rows = task_loss.task_loss_table(corpus, index, [{"nprobe": 4}])
    assert rows[0]["setting"] == "nprobe 4" and rows[0]["recall"] == (1.0, 1.0, 1.0)
    assert rows[0]["missed"] == rows[0]["relevant"] == 0
    assert rows[0]["change"] == (0.0, 0.0, 0.0) and rows[0]["p (Holm)"] == 1.0


def test_misses_and_lost_hits_are_counted(built):
    corpus, index = built
    row = task_loss.task_loss_table(corpus, index, [{"nprobe": 1}])[0]
    exact = set(zip(*np.nonzero(np.ones((20, 10))), strict=True))
    assert row["missed"] == round((1 - row["recall"][0]) * len(exact))
    lost = -row["change"][0] / 100 * 20  # queries; each has one right answer
    assert lost == pytest.approx(row["relevant"]) and 0 < row["relevant"] <= row["missed"]
    assert row["R@10"] == pytest.approx(100 - 100 * lost / 20)


def test_p_values_are_adjusted_for_the_number_of_settings(built):
    corpus, index = built
    alone = task_loss.task_loss_table(corpus, index, [{"nprobe": 1}])[0]["p (Holm)"]
    both = task_loss.task_loss_table(corpus, index, [{"nprobe": 1}, {"nprobe": 4}])[0]["p (Holm)"]
    assert both == pytest.approx(min(1, 2 * alone))


def test_what_has_no_end_task_is_refused(built):
    corpus, index = built
    with pytest.raises(RetrievalInputError, match="'image'"):
        task_loss.task_loss_table(corpus, index, [{"nprobe": 1}], kind="image")
    with pytest.raises(RetrievalInputError, match="no settings"):
        task_loss.task_loss_table(corpus, index, [])
